"""Communities as labels of features and as groups of the nodes of a graph, so that other commands can use them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import ConfigError
from ..graph.context import Group
from ..graph.graph import Graph
from ..graph.node_keys import node_keys
from ..graph.nodes import NodeKind
from ..table import Table
from .result import Result

COMMUNITY_KINDS = {"roles": "role", "pathways": "pathway"}
"""Commands whose results have communities, and what one of these is called."""
SIGNIFICANT = "significant"


def community_features(result: Result, level: int | None = None, every: bool = False) -> Table:
    """Return layer, feature, community and name of the members of communities, each feature once.

    They are the communities of a level or, without one, for each feature the finest community that it is in.
    Communities that are not significant are left out, unless `every` is true. Raises ConfigError for another kind of
    result and for a level that it does not have.
    """
    if result.info["what"] not in COMMUNITY_KINDS:
        raise ConfigError(
            f"{result.path} is a result of {result.info['what']}: communities are of mine roles or pathways"
        )
    communities = result.table("communities", ["community", "level", "name", "verdict"])
    levels = result.table("levels", ["level"])["level"].tolist()
    if level is not None and level not in levels:
        raise ConfigError(f"{result.path} has the levels {levels}, not {level}")
    own = np.ones(len(communities), dtype=bool) if level is None else communities["level"] == level
    if not every:
        own &= communities["verdict"] == SIGNIFICANT
    chosen = communities.where(own)
    name_of = dict(zip(chosen["community"].tolist(), chosen["name"].tolist(), strict=True))
    members = result.table("members", ["community", "layer", "feature"])
    community_of: dict[tuple[int, int], int] = {}
    for row in members.where(np.isin(members["community"], list(name_of))).rows():  # level by level
        community_of[row["layer"], row["feature"]] = row["community"]
    sites = sorted(community_of)
    return Table(
        {
            "layer": np.array([layer for layer, _ in sites], dtype=np.int64),
            "feature": np.array([feature for _, feature in sites], dtype=np.int64),
            "community": np.array([community_of[site] for site in sites], dtype=np.int64),
            "name": [name_of[community_of[site]] for site in sites],
        }
    )


def write_labels(result: Result, path: str | Path) -> int:
    """Write the finest significant community of each feature as a file of labels (CSV), which `labels add` takes, and
    return the number of labels."""
    found = community_features(result)
    texts = community_texts(result, found)
    Table({"layer": found["layer"], "index": found["feature"], "text": texts}).write_csv(Path(path).expanduser())
    return len(texts)


def community_texts(result: Result, features: Table) -> list[str]:
    """Return what the community of each row of `community_features` is called: `role 12: ' is' → ' Austin'`.

    Names of communities may repeat; these do not. They are text of prompts, and may contain any character.
    """
    both = zip(features["community"].tolist(), features["name"].tolist(), strict=True)
    return [community_text(result, number, name) for number, name in both]


def community_text(result: Result, number: int, name: str) -> str:
    """Return what a community of a result is called, given its number and its name."""
    return f"{COMMUNITY_KINDS[result.info['what']]} {number}: {name}"


def features_by_community(
    result: Result, level: int | None = None, every: bool = False
) -> dict[str, list[tuple[int, int]]]:
    """Return layer and index of the members of communities, as `community_features` chooses them, by what the
    communities are called, in the order of their numbers. Raises ConfigError if there are none to choose from."""
    found = community_features(result, level, every)
    if not len(found):
        why = "" if every else f": none of them is {SIGNIFICANT}, and every one counts only if you ask for it"
        raise ConfigError(f"{result.path} has no communities to use{why}")
    order = np.argsort(found["community"], kind="stable")
    texts, sites = community_texts(result, found), list(zip(found["layer"], found["feature"], strict=True))
    members: dict[str, list[tuple[int, int]]] = {}
    for row in order.tolist():
        layer, feature = sites[row]
        members.setdefault(texts[row], []).append((int(layer), int(feature)))
    return members


def community_groups(result: Result, graph: Graph, level: int | None = None, every: bool = False) -> list[Group]:
    """Return communities as groups of the nodes of a graph, as `community_features` chooses them.

    A group has all nodes of the graph that are features of its community, at all positions; communities without any
    are left out. Groups are in the order of communities: supernodes of viewers and of interventions. They are called
    as `community_texts` calls them, so that no name repeats.
    """
    found = community_features(result, level, every)
    sites = zip(found["layer"].tolist(), found["feature"].tolist(), strict=True)
    community_of = dict(zip(sites, found["community"].tolist(), strict=True))
    name_of = dict(zip(found["community"].tolist(), community_texts(result, found), strict=True))
    members: dict[int, list[int]] = {}
    layer_N, feature_N = graph.nodes.layer_N.tolist(), graph.nodes.feature_N.tolist()
    for node in graph.nodes.where(NodeKind.FEATURE).tolist():
        if (community := community_of.get((layer_N[node], feature_N[node]))) is not None:
            members.setdefault(community, []).append(node)
    keys = node_keys(graph)
    return [
        Group(name_of[community], tuple(keys[node] for node in members[community])) for community in sorted(members)
    ]
