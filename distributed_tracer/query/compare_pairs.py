"""Edges of two graphs compared by what they connect, wherever in the prompts that is.

Axes: N node, E edge, X pair of sites.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..graph.columns import KINDS
from ..graph.edge_strength import passed_influence
from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..table import Table

_SIDES = ("a", "b")


def edge_differences(a: Graph, b: Graph, top: int | None = None) -> Table:
    """Return the edges of two graphs as pairs of sites, those that differ most in the influence that they pass on
    first.

    A site is what a node is at any position: kind, layer and feature; a target is the same if its token (or its label,
    if it is no token) is. Columns: source_kind, source_layer, source_feature (-1 unless the kind is feature),
    source_name (the text of a token or target), the same of the target, and for each graph edges (how many positions
    have one), weight and passed (sums over them; 0 where there is none).
    """
    numbers: dict[tuple[Any, ...], int] = {}
    sites = [
        np.array([numbers.setdefault(site, len(numbers)) for site in _sites(graph)], dtype=np.int64) for graph in (a, b)
    ]
    num_sites = max(len(numbers), 1)
    keys = [
        site_N[graph.target_E()] * num_sites + site_N[graph.source_E]
        for graph, site_N in zip((a, b), sites, strict=True)
    ]
    pair_X = np.unique(np.concatenate(keys))
    count, weight, passed = (np.zeros((2, len(pair_X))) for _ in range(3))
    for side, (graph, key_E) in enumerate(zip((a, b), keys, strict=True)):
        place_E = np.searchsorted(pair_X, key_E)
        count[side] = np.bincount(place_E, minlength=len(pair_X))
        weight[side] = np.bincount(place_E, np.nan_to_num(graph.weight_E.astype(np.float64)), len(pair_X))
        passed[side] = np.bincount(place_E, passed_influence(graph), len(pair_X))
    order = np.argsort(-np.abs(passed[0] - passed[1]), kind="stable")[:top]
    target, source = np.divmod(pair_X[order], num_sites)
    known = list(numbers)
    columns: dict[str, Any] = {}
    for end, of_pairs in (("source", source), ("target", target)):
        chosen = [known[number] for number in of_pairs.tolist()]
        columns[f"{end}_kind"] = [site[0] for site in chosen]
        columns[f"{end}_layer"] = np.array([site[1] for site in chosen], dtype=np.int64)
        columns[f"{end}_feature"] = np.array([site[2] for site in chosen], dtype=np.int64)
        columns[f"{end}_name"] = [site[3] for site in chosen]
    for side, name in enumerate(_SIDES):
        columns[f"edges_{name}"] = count[side, order].astype(np.int64)
        columns[f"weight_{name}"] = weight[side, order]
        columns[f"passed_{name}"] = passed[side, order]
    return Table(columns)


def _sites(graph: Graph) -> Iterator[tuple[Any, ...]]:
    """Yield kind, layer, feature and name of each node, and of targets and tokens what else tells them apart."""
    nodes = graph.nodes
    columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)
    for kind, layer, position, feature in zip(*(column.tolist() for column in columns), strict=True):
        name = KINDS[kind]
        if kind == NodeKind.FEATURE:
            yield name, layer, feature, ""
        elif kind == NodeKind.ERROR:
            yield name, layer, -1, ""
        elif kind == NodeKind.TARGET:
            target = graph.targets[feature]
            yield name, layer, -1, target.label, target.token_id
        else:
            yield name, layer, -1, graph.token_strings[position], feature
