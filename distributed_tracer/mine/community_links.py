"""What feeds communities and what they feed, and how communities raise and lower each other.

Axes: Y community, N node, F feature, L layer, X pair of features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph.columns import KINDS
from ..table import Table
from .cluster_edges import ClusterEdges
from .community_graph import Floats, Ints, membership
from .community_names import NodeNames

MOST_NEIGHBOURS = 8
"""Nodes that are listed for each side of a community."""
MOST_PAIRS = 10_000
"""Pairs of communities that are listed for each level."""
Means = tuple[Ints, Ints, Floats]


def neighbours(means: Means, labels: Sequence[Ints], first: Sequence[int], names: NodeNames) -> Table:
    """Return the strongest nodes on both sides of each community, given the labels [F] of each level and the number
    of its first community."""
    source, target, share = means
    found: dict[str, list[Any]] = {name: [] for name in ("community", "side", "node", "share", "sign")}
    for label_F, begin in zip(labels, first, strict=True):
        for side, inner, outer in (("in", target, source), ("out", source, target)):
            own = np.flatnonzero(inner < len(label_F))
            own = own[label_F[inner[own]] >= 0]
            community, other, value = label_F[inner[own]], outer[own], share[own]
            code, place = np.unique(community << 32 | other, return_inverse=True)
            absolute, signed = (np.bincount(place, one, len(code)) for one in (np.abs(value), value))
            community = code >> 32
            total = np.bincount(community, absolute)
            order = np.lexsort((code, -absolute, community))
            rank = np.arange(len(order)) - np.searchsorted(community[order], community[order])
            order = order[(rank < MOST_NEIGHBOURS) & (absolute[order] > 0)]
            found["community"].append(community[order] + begin)
            found["side"] += [side] * len(order)
            found["node"].append(code[order] & 0xFFFFFFFF)
            found["share"].append(absolute[order] / total[community[order]])
            found["sign"].append(signed[order] / absolute[order])
    community, node, shares, sign = (
        np.concatenate(found[name]) if found[name] else np.zeros(0, np.int64)
        for name in ("community", "node", "share", "sign")
    )
    sides = np.array(found["side"], dtype=object)
    order = np.lexsort((node, -shares, sides.astype(str), community))
    node = node[order]
    return Table(
        {
            "community": community[order].astype(np.int64),
            "side": sides[order],
            "kind": np.array(KINDS, dtype=object)[names.kind_N[node]],
            "layer": names.layer_N[node],
            "feature": names.feature_N[node],
            "name": [names.of(one) for one in node.tolist()],
            "share": shares[order].astype(np.float64),
            "sign": sign[order].astype(np.float64),
        }
    )


def between(means: Means, edges: ClusterEdges, labels: Sequence[Ints], first: Sequence[int]) -> Table:
    """Return how communities of each level raise and lower each other, the strongest pairs first."""
    source, target, share = means
    own = (source < edges.num_features) & (target < edges.num_features)
    source, target, share = source[own], target[own], share[own]
    layer_F = edges.layer_N[: edges.num_features].astype(np.int64)
    num_layers = int(layer_F.max(initial=0)) + 1
    total_LL, size_L = np.zeros((num_layers, num_layers)), np.bincount(layer_F, minlength=num_layers)
    np.add.at(total_LL, (layer_F[source], layer_F[target]), np.abs(share))
    mean_LL = total_LL / np.maximum(1, np.outer(size_L, size_L))
    tables = []
    for level, (label_F, begin) in enumerate(zip(labels, first, strict=True)):
        in_X = (label_F[source] >= 0) & (label_F[target] >= 0)
        a, b, value = label_F[source[in_X]], label_F[target[in_X]], share[in_X]
        code, place = np.unique(a << 32 | b, return_inverse=True)
        num = len(code)
        positive, negative = (np.bincount(place, part, num) for part in (value.clip(0), (-value).clip(0)))
        layers_YL = np.zeros((int(label_F.max(initial=-1)) + 1, num_layers))
        member = membership(label_F).tocoo()
        np.add.at(layers_YL, (member.row, layer_F[member.col]), 1)
        a, b = code >> 32, code & 0xFFFFFFFF
        expected = ((layers_YL @ mean_LL)[a] * layers_YL[b]).sum(axis=1)
        both = positive + negative
        order = np.lexsort((code, -both))[:MOST_PAIRS]
        order = order[both[order] > 0]
        tables.append(
            {
                "level": np.full(len(order), level, dtype=np.int64),
                "source": a[order] + begin,
                "target": b[order] + begin,
                "edges": np.bincount(place, minlength=num)[order].astype(np.int64),
                "positive": positive[order].astype(np.float64),
                "negative": negative[order].astype(np.float64),
                "inhibition": negative[order] / both[order],
                "lift": both[order] / expected[order],
            }
        )
    return Table({name: np.concatenate([one[name] for one in tables]) for name in tables[0]})
