"""Recurring edges: the strongest edges between features that recur over prompts, exactly and in bounded memory.

There are far more distinct edges than memory holds. The first pass therefore only adds up strengths in a table of
buckets, with many edges per bucket, which gives an upper bound for each edge. The next pass counts the edges of the
fullest buckets exactly. It is the last pass if the weakest edge of the answer is stronger than every bucket left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..store.reader import Store
from ..table import Table
from .sum_by_key import KeyedSums, as_keys, merge_sums, site_columns, sum_by_key


def recurring_edges(
    store: Store, top: int = 50, min_prompts: int = 2, num_buckets: int = 1 << 22, buckets_per_pass: int = 1 << 18
) -> Table:
    """Return the strongest feature-to-feature edges that at least `min_prompts` prompts have, disregarding positions.

    An edge's weight in one prompt is the sum over all positions of both ends. The columns are source_layer,
    source_feature, target_layer, target_feature, prompts, mean_weight (over those prompts) and strength (the sum over
    prompts of |weight|); the strongest edge comes first. `num_buckets` and `buckets_per_pass` trade memory (8 bytes per
    bucket, and the edges of one pass) for passes over the store; they do not change the answer.
    """
    bound = np.zeros(num_buckets)
    for graph in store.graphs():
        keys, weights = feature_edges(graph)
        np.add.at(bound, _bucket(keys, num_buckets), np.abs(weights))
    fullest = np.argsort(-bound, kind="stable")[: np.count_nonzero(bound)]
    best: KeyedSums = (np.zeros((0, 4), np.int64), np.zeros((0, 3)))
    for first in range(0, len(fullest), buckets_per_pass):
        wanted = np.zeros(num_buckets, dtype=bool)
        wanted[fullest[first : first + buckets_per_pass]] = True
        best = _strongest(merge_sums(best, _count(store, wanted, min_prompts)), top)
        left = bound[fullest[first + buckets_per_pass :][:1]]
        if len(best[0]) == top and (best[1][-1, 2] > left).all():
            break
    return _table(best)


def feature_edges(graph: Graph) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return one graph's edges between features and their summed weights [n].

    An edge is a row (source layer, source feature, target layer, target feature) of an array [n, 4].
    """
    nodes, target_E = graph.nodes, graph.target_E()
    is_feature_N = nodes.kind_N == NodeKind.FEATURE
    between_E = is_feature_N[graph.source_E] & is_feature_N[target_E]
    sites, site_N = np.unique(as_keys(nodes.layer_N, nodes.feature_N), axis=0, return_inverse=True)
    pair_E = site_N[graph.source_E[between_E]] * len(sites) + site_N[target_E[between_E]]
    pairs, place_E = np.unique(pair_E, return_inverse=True)
    weights = np.bincount(place_E, weights=graph.weight_E[between_E], minlength=len(pairs)).astype(np.float64)
    return np.concatenate([sites[pairs // len(sites)], sites[pairs % len(sites)]], axis=1), weights


def _bucket(keys: npt.NDArray[np.int64], num_buckets: int) -> npt.NDArray[np.intp]:
    mixed = np.zeros(len(keys), dtype=np.uint64)
    for column in keys.T:
        mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return (mixed % np.uint64(num_buckets)).astype(np.intp)


def _count(store: Store, wanted: npt.NDArray[np.bool_], min_prompts: int) -> KeyedSums:
    """Return prompts, sum of weights and sum of |weights| per edge, for all edges in the buckets that are `wanted`."""
    waiting: list[KeyedSums] = [(np.zeros((0, 4), np.int64), np.zeros((0, 3)))]
    for graph in store.graphs():
        keys, weights = feature_edges(graph)
        chosen = wanted[_bucket(keys, len(wanted))]
        weights = weights[chosen]
        waiting.append((keys[chosen], np.column_stack([np.ones(len(weights)), weights, np.abs(weights)])))
        if sum(len(keys) for keys, _ in waiting[1:]) > max(1 << 20, len(waiting[0][0])):
            waiting = [_all(waiting)]
    keys, sums = _all(waiting)
    enough = sums[:, 0] >= min_prompts
    return keys[enough], sums[enough]


def _all(waiting: list[KeyedSums]) -> KeyedSums:
    return sum_by_key(np.concatenate([keys for keys, _ in waiting]), np.concatenate([sums for _, sums in waiting]))


def _strongest(edges: KeyedSums, top: int) -> KeyedSums:
    keys, sums = edges
    best = np.lexsort((*keys.T[::-1], -sums[:, 2]))[:top]
    return keys[best], sums[best]


def _table(edges: KeyedSums) -> Table:
    keys, sums = edges
    return Table(
        {
            **site_columns(keys, "source_", "target_"),
            "prompts": sums[:, 0].astype(np.int64),
            "mean_weight": sums[:, 1] / sums[:, 0],
            "strength": sums[:, 2],
        }
    )
