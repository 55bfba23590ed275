"""Endpoints of communities of features: which there are, those in a graph, and those of a feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError
from ...names import unknown
from ..communities import communities_of, community_results, community_values
from ..endpoint import Endpoint, Json, Param
from ..served_store import ServedStore
from .graphs import PROMPT


def levels(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the results of the server that have communities, with their levels."""
    return Json(
        {
            "results": [
                {"result": number, "what": result.info["what"], "levels": communities_of(served, number).levels()}
                for number, result in community_results(served)
            ]
        }
    )


def of_graph(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the communities of a result that have features in a graph, the most influential there first."""
    numbers = [str(number) for number, _ in community_results(served)]
    if str(query["result"]) not in numbers:
        raise ConfigError(unknown("result with communities", str(query["result"]), numbers))
    found, level = communities_of(served, query["result"]), query["level"]
    known = [one["level"] for one in found.levels()]
    if level is not None and level not in known:
        raise ConfigError(f"this result has the levels {known}, not {level}")
    graph = served.graph(query["prompt"])
    return Json(
        {
            "communities": [
                {**community_values(one), "members": members} for one, members in found.of_graph(graph, level)
            ]
        }
    )


def of_feature(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the communities of a feature, over all results and levels."""
    site = query["layer"], query["feature"]
    return Json(
        {
            "communities": [
                {"result": number, "what": result.info["what"], **community_values(one)}
                for number, result in community_results(served)
                for one in communities_of(served, number).of_feature(*site)
            ]
        }
    )


ENDPOINTS = (
    Endpoint(
        "/community_levels",
        "The results with communities of features (mine roles, mine pathways), and their levels.",
        levels,
        slow=True,
        tags=("findings",),
    ),
    Endpoint(
        "/communities",
        "Communities of a result with their nodes in one graph, the most influential there first.",
        of_graph,
        (
            PROMPT,
            Param("result", "Number of the result, from 0.", "integer", required=True, least=0),
            Param(
                "level",
                "Level of the communities; default: for each feature the finest significant one.",
                "integer",
                least=0,
            ),
        ),
        slow=True,
        tags=("findings",),
    ),
    Endpoint(
        "/feature_communities",
        "The communities of a feature, of all results and levels.",
        of_feature,
        (
            Param("layer", "Layer of the feature.", "integer", required=True, least=0),
            Param("feature", "Index of the feature in its layer.", "integer", required=True, least=0),
        ),
        slow=True,
        tags=("findings",),
    ),
)
