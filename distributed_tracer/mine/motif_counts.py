"""Exact counts of motifs in graphs, by sparse matrix algebra. docs/motifs.md has every formula and its source.

P has a 1 for every edge with a positive weight and M for every negative one, both [source, target]; A = P + M. The
share matrices have the edge's share of its target's row instead of 1. Many graphs are one matrix of blocks.

Axes: B row of a batch (a graph), E edge, N node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .statistics import Floats

SIGNS = "pn"
"""Letters of positive and negative weights in the names of motifs."""
PATTERNS = tuple("".join(letters) for letters in product(SIGNS, repeat=3))
"""Signs of a feed-forward loop: source to middle, middle to target, source to target."""
COHERENT = frozenset(pattern for pattern in PATTERNS if pattern.count("n") % 2 == 0)
"""Patterns in which the way through the middle has the sign of the direct edge."""
_PAIRS = ("pp", "pn", "nn")
_LOOPS = ("ffl", "ffl_coherent", "ffl_incoherent", *(f"ffl_{pattern}" for pattern in PATTERNS))
MOTIFS = (
    *_LOOPS,
    *(f"{name}_share" for name in _LOOPS),
    *(f"fan_in_{pair}" for pair in _PAIRS),
    *(f"fan_out_{pair}" for pair in _PAIRS),
    *(f"two_path_{''.join(letters)}" for letters in product(SIGNS, repeat=2)),
    *("bi_fan", "chains"),
)
"""Names of the motifs that are counted."""
_MOST_WEDGES = 1 << 22
"""Pairs of successive edges of all graphs that are multiplied at once."""


@dataclass(frozen=True, eq=False)
class MotifGraph:
    """What motifs are counted in: the edges of a graph with a known weight other than 0, no edge twice."""

    source_E: npt.NDArray[np.int64]
    target_E: npt.NDArray[np.int64]
    is_positive_E: npt.NDArray[np.bool_]
    share_E: Floats
    """|weight| / row_abs_sum of the target; NaN if that is not known."""
    is_token_N: npt.NDArray[np.bool_]
    is_target_N: npt.NDArray[np.bool_]

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return len(self.is_token_N)


def count_motifs(graph: MotifGraph, source_BE: npt.NDArray[np.integer]) -> Floats:
    """Return the number, or the sum of shares, of each motif [graphs, MOTIFS] in graphs with other sources of edges.

    A sum of shares is NaN if a share is not known, and the number of chains is NaN if the graph has a circle from which
    a target can be reached.
    """
    in_N, out_N = (np.bincount(node_E, minlength=graph.num_nodes) for node_E in (graph.target_E, graph.source_E))
    at_once = max(1, _MOST_WEDGES // max(1, int((in_N * np.maximum(in_N, out_N)).sum())))
    counts = [_count(graph, source_BE[first : first + at_once]) for first in range(0, len(source_BE), at_once)]
    return np.concatenate([np.zeros((0, len(MOTIFS))), *counts])


def _count(graph: MotifGraph, source_BE: npt.NDArray[np.integer]) -> Floats:
    size, num_graphs = graph.num_nodes, len(source_BE)
    shift = size * np.arange(num_graphs)[:, None]
    row, column = (source_BE + shift).reshape(-1), (graph.target_E + shift).reshape(-1)
    is_positive = np.tile(graph.is_positive_E, num_graphs)
    shares = np.tile(graph.share_E, num_graphs)

    def matrix(values: npt.NDArray[Any], kept: npt.NDArray[np.bool_]) -> Any:
        own = (values[kept], (row[kept], column[kept]))
        return sparse.csr_matrix(own, shape=(size * num_graphs, size * num_graphs))

    masks = dict(zip(SIGNS, (is_positive, ~is_positive), strict=True))
    ones = {sign: matrix(np.ones(len(row), dtype=np.int64), kept) for sign, kept in masks.items()}
    of_shares = {sign: matrix(shares, kept) for sign, kept in masks.items()}
    found = _loops(ones, num_graphs, "") | _loops(of_shares, num_graphs, "_share")
    found |= _fans_and_paths(ones, num_graphs)
    whole = ones["p"] + ones["n"]
    pairs = whole @ whole.T  # targets that two sources have in common; the diagonal has a source with itself
    pairs.data = pairs.data * (pairs.data - 1) // 2
    found["bi_fan"] = (_by_graph(pairs.sum(axis=1), num_graphs) - _by_graph(pairs.diagonal(), num_graphs)) / 2
    found["chains"] = _chains(whole, graph, num_graphs)
    return np.stack([found[name] for name in MOTIFS], axis=1)


def _by_graph(values: Any, num_graphs: int) -> Floats:
    """Return the sums over the nodes of each graph."""
    sums: Floats = np.asarray(values, dtype=np.float64).reshape(num_graphs, -1).sum(axis=1)
    return sums


def _loops(matrices: dict[str, Any], num_graphs: int, ending: str) -> dict[str, Floats]:
    """Return the sums of (X Y) o Z over all nodes for all signs of X, Y and Z."""
    found: dict[str, Floats] = {}
    for one, other in product(SIGNS, repeat=2):
        ways = matrices[one] @ matrices[other]
        for direct in SIGNS:
            loops = ways.multiply(matrices[direct])
            found[f"ffl_{one}{other}{direct}{ending}"] = _by_graph(loops.sum(axis=1), num_graphs)
    for name, patterns in (("coherent", sorted(COHERENT)), ("incoherent", sorted({*PATTERNS} - COHERENT))):
        found[f"ffl_{name}{ending}"] = sum((found[f"ffl_{own}{ending}"] for own in patterns), np.zeros(num_graphs))
    found[f"ffl{ending}"] = found[f"ffl_coherent{ending}"] + found[f"ffl_incoherent{ending}"]
    return found


def _fans_and_paths(ones: dict[str, Any], num_graphs: int) -> dict[str, Floats]:
    into, out = ({sign: np.asarray(one.sum(axis=axis)).reshape(-1) for sign, one in ones.items()} for axis in (0, 1))
    found = {}
    for name, degree in (("fan_in", into), ("fan_out", out)):
        found[f"{name}_pp"], found[f"{name}_nn"] = (
            _by_graph(degree[sign] * (degree[sign] - 1) // 2, num_graphs) for sign in SIGNS
        )
        found[f"{name}_pn"] = _by_graph(degree["p"] * degree["n"], num_graphs)
    for one, other in product(SIGNS, repeat=2):
        found[f"two_path_{one}{other}"] = _by_graph(into[one] * out[other], num_graphs)
    return found


def _chains(whole: Any, graph: MotifGraph, num_graphs: int) -> Floats:
    """Return the number of ways from tokens to targets: those of length 1, 2, ... from each node, step by step."""
    ways = np.tile(graph.is_target_N.astype(np.float64), num_graphs)
    is_token = np.tile(graph.is_token_N, num_graphs)
    total = np.zeros(num_graphs)
    for _ in range(graph.num_nodes):
        ways = whole @ ways
        if not ways.any():
            return total
        total += _by_graph(np.where(is_token, ways, 0.0), num_graphs)
    has_circle = ways.reshape(num_graphs, -1).any(axis=1)
    return np.where(has_circle, np.nan, total)


def loop_edges(graph: MotifGraph) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the feed-forward loops of a graph as edges [3, loops]: source to middle, middle to target, source to
    target."""
    size = graph.num_nodes
    order = np.lexsort((graph.source_E, graph.target_E))
    source_E, target_E = graph.source_E[order], graph.target_E[order]
    key_E = target_E * size + source_E
    in_degree_N = np.bincount(target_E, minlength=size)
    first_N = np.cumsum(in_degree_N) - in_degree_N
    wedges_E = in_degree_N[source_E]
    ends = np.cumsum(wedges_E)
    begin = 0
    while begin < len(source_E):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _MOST_WEDGES, side="right")))
        count = wedges_E[begin:end]
        second = np.repeat(np.arange(begin, end), count)
        step = np.arange(len(second)) - np.repeat(np.cumsum(count) - count, count)
        first = first_N[source_E[second]] + step
        key = target_E[second] * size + source_E[first]
        direct = np.minimum(np.searchsorted(key_E, key), len(key_E) - 1)
        there = np.flatnonzero(key_E[direct] == key)
        yield order[np.stack([first[there], second[there], direct[there]])]
        begin = end
