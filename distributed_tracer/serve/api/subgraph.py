"""Endpoints about chosen nodes of one graph: scores of the subgraph, and suggested groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ConfigError
from ...graph.graph import Graph
from ...graph.node_keys import node_keys
from ...graph.nodes import NodeKind
from ...graph.subgraph_scores import SubgraphScores, subgraph_scores
from ...intervene.suggest_groups import suggest_groups
from ..endpoint import Endpoint, Json, Param
from ..node_names import key_text, parse_key
from ..served_store import ServedStore
from .graphs import PROMPT

MOST_CHOSEN = 5_000
"""Largest number of nodes that a request names."""
NODES = Param(
    "node",
    "Nodes as kind:layer:position:feature; the parameter repeats, and each may have several with commas between them.",
    "strings",
)


def scores(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the scores of a subgraph, in which all features that are not among its nodes count as errors.

    `whole` has the scores of all features that the graph has, which are the most that the subgraph can come near.
    Nodes that the graph does not have are left out and counted.
    """
    graph = served.graph(query["prompt"])
    chosen, missing = _chosen(graph, query["node"])
    features = [int(node) for node in graph.nodes.where(NodeKind.FEATURE)]
    return Json(
        {
            **_scores(subgraph_scores(graph, chosen)),
            "whole": _scores(subgraph_scores(graph, features)),
            "num_features": len(set(chosen) & set(features)),
            "num_features_of_graph": len(features),
            "num_missing": missing,
        }
    )


def suggestions(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return groups of features that have the same role, the most influential first; among `node` if any is given."""
    prompt = query["prompt"]
    graph = served.graph(prompt)
    chosen = _chosen(graph, query["node"])[0] if query["node"] else None
    found = suggest_groups(
        graph, served.context(prompt).labels, chosen, query["min_similarity"], query["max_count"], query["min_members"]
    )
    return Json({"groups": [{"name": one.name, "members": [*map(key_text, one.members)]} for one in found]})


def _chosen(graph: Graph, texts: Iterable[str]) -> tuple[list[int], int]:
    """Return the numbers of the nodes that are named, and how many others are not in the graph. Raises ConfigError."""
    keys = [parse_key(text) for joined in texts for text in joined.split(",")]
    if len(keys) > MOST_CHOSEN:
        raise ConfigError(f"{len(keys):,} nodes are named; at most {MOST_CHOSEN:,} can be")
    numbers = {key: number for number, key in enumerate(node_keys(graph))}
    found = [numbers[key] for key in dict.fromkeys(keys) if key in numbers]
    return found, len(set(keys)) - len(found)


def _scores(found: SubgraphScores) -> dict[str, float]:
    return found._asdict()


ENDPOINTS = (
    Endpoint(
        "/subgraph_scores",
        "Replacement and completeness of a subgraph, whose other features count as errors.",
        scores,
        (PROMPT, NODES),
        slow=True,
        tags=("groups",),
    ),
    Endpoint(
        "/suggested_groups",
        "Groups of features with the same role in one graph, named by labels or by tokens and targets.",
        suggestions,
        (
            PROMPT,
            NODES,
            Param(
                "min_similarity",
                "Least similarity of any two features of a group: 0 nothing in common, 1 identical.",
                "number",
                default=0.3,
                least=0,
                most=1,
            ),
            Param("max_count", "Largest number of groups; default: as many as there are.", "integer", least=1),
            Param("min_members", "Least number of features of a group.", "integer", default=2, least=1),
        ),
        slow=True,
        tags=("groups",),
    ),
)
