"""The strongest edges over many graphs, found exactly and in bounded memory.

There are far more distinct edges than memory holds. The first pass therefore only adds up strengths in a table of
buckets, with many edges per bucket, which gives an upper bound for each edge. The next pass counts the edges of the
fullest buckets exactly. It is the last pass if the weakest edge of the answer is stronger than every bucket left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from ..graph.graph import Graph
from .sum_by_key import KeyedSums, merge_sums, sum_by_key

EdgesOf = Callable[[Graph], tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]
"""A function that returns one graph's edges as distinct keys [n, columns], and their weights [n]."""


def strongest_edges(
    graphs: Callable[[], Iterable[Graph]],
    edges_of: EdgesOf,
    top: int,
    min_graphs: int,
    num_buckets: int,
    buckets_per_pass: int,
) -> KeyedSums:
    """Return the `top` edges by the sum of |weight| over all graphs, among those that at least `min_graphs` have.

    `graphs` is called once for each pass. The values are the number of graphs, the sum of weights and the sum of
    |weights|; the strongest edge comes first. `num_buckets` and `buckets_per_pass` trade memory for passes; they do not
    change the answer.
    """
    bound: npt.NDArray[np.float64] = np.zeros(num_buckets)
    keys = np.zeros((0, 0), np.int64)
    for graph in graphs():
        keys, weights = edges_of(graph)
        np.add.at(bound, _bucket(keys, num_buckets), np.abs(weights))
    fullest = np.argsort(-bound, kind="stable")[: np.count_nonzero(bound)]
    best: KeyedSums = (keys[:0], np.zeros((0, 3)))
    for first in range(0, len(fullest), buckets_per_pass):
        wanted = np.zeros(num_buckets, dtype=bool)
        wanted[fullest[first : first + buckets_per_pass]] = True
        best = _strongest(merge_sums(best, _count(graphs(), edges_of, wanted, min_graphs, best)), top)
        left = bound[fullest[first + buckets_per_pass :][:1]]
        if len(best[0]) == top and (best[1][-1, 2] > left).all():
            break
    return best


def sums_of_pairs(
    key_N: npt.NDArray[np.int64],
    source_E: npt.NDArray[np.int32],
    target_E: npt.NDArray[np.int32],
    weight_E: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return one graph's edges between nodes of distinct keys, [n, source's and target's columns], with summed weights.

    `key_N` has a row of columns for each node. The sums are over all nodes that have the same key.
    """
    sites, site_N = np.unique(key_N, axis=0, return_inverse=True)
    site_N = site_N.reshape(-1)
    pair_E = site_N[source_E] * len(sites) + site_N[target_E]
    pairs, place_E = np.unique(pair_E, return_inverse=True)
    weights = np.bincount(place_E, weights=weight_E, minlength=len(pairs)).astype(np.float64)
    return np.concatenate([sites[pairs // len(sites)], sites[pairs % len(sites)]], axis=1), weights


def _bucket(keys: npt.NDArray[np.int64], num_buckets: int) -> npt.NDArray[np.intp]:
    mixed = np.zeros(len(keys), dtype=np.uint64)
    for column in keys.T:
        mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return (mixed % np.uint64(num_buckets)).astype(np.intp)


def _count(
    graphs: Iterable[Graph], edges_of: EdgesOf, wanted: npt.NDArray[np.bool_], min_graphs: int, empty: KeyedSums
) -> KeyedSums:
    """Return graphs, sum of weights and sum of |weights| per edge, for all edges in the buckets that are `wanted`."""
    waiting: list[KeyedSums] = [(empty[0][:0], empty[1][:0])]
    for graph in graphs:
        keys, weights = edges_of(graph)
        chosen = wanted[_bucket(keys, len(wanted))]
        weights = weights[chosen]
        waiting.append((keys[chosen], np.column_stack([np.ones(len(weights)), weights, np.abs(weights)])))
        if sum(len(keys) for keys, _ in waiting[1:]) > max(1 << 20, len(waiting[0][0])):
            waiting = [_all(waiting)]
    keys, sums = _all(waiting)
    enough = sums[:, 0] >= min_graphs
    return keys[enough], sums[enough]


def _all(waiting: list[KeyedSums]) -> KeyedSums:
    return sum_by_key(np.concatenate([keys for keys, _ in waiting]), np.concatenate([sums for _, sums in waiting]))


def _strongest(edges: KeyedSums, top: int) -> KeyedSums:
    keys, sums = edges
    best = np.lexsort((*keys.T[::-1], -sums[:, 2]))[:top]
    return keys[best], sums[best]
