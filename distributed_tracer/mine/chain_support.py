"""The support of chains: in which graphs a whole chain is there, at positions that never go back, and how strongly.

Axes: I prompt by rank, N node that some chain has a site of, E edge between two of them, X entry of a chain and
a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .clusters import student_half
from .prompts import ChosenPrompts
from .scan import ScannedRange, scan_ranges

Floats = npt.NDArray[np.float64]
_READ_ROWS = 1_000_000


@dataclass(frozen=True)
class ChainSupport:
    """What the graphs say of one chain."""

    prompts: int
    """Prompts in whose graph the whole chain is there, at positions that never go back."""
    clusters: int
    """Distinct clusters of these prompts; without clusters, these prompts."""
    prompts_target: int
    """Prompts in whose graph the target is a node."""
    clusters_target: int
    prompts_unknown: int
    """Of `prompts`, those in which the share is not known."""
    share: float
    """Mean over clusters of the share of the target's row that flows along the chain."""
    low: float
    high: float


def chain_support(
    prompts: ChosenPrompts, chains: Sequence[Sequence[int]], most_rows: int = _READ_ROWS
) -> list[ChainSupport]:
    """Return in how many of the prompts each chain is there as a whole, and which share flows along it.

    A chain is given by the codes of its sites. In one graph the share is the sum, over all ways along nodes of these
    sites, of the product of |edge| / row_abs_sum: the part of the influence that reaches the chain's beginning along
    it, for a target of weight 1. It is 0 where the target is a node and the chain is not there, so that the mean is one
    over all prompts that have the target, first within clusters, then over clusters, with Student's interval.
    """
    wanted, found = _Wanted.of(chains), []
    ends: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]] = []
    targets = np.unique(np.array([chain[-1] for chain in chains], dtype=np.int64))
    for scanned in scan_ranges(prompts, most_rows):
        found.append(_in_range(scanned, chains, wanted))
        is_end_N = np.isin(scanned.code_N, targets)
        ends.append((scanned.code_N[is_end_N], scanned.rank_N[is_end_N]))
    chain_X, rank_X, share_X = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((rank_X, chain_X))
    chain_X, rank_X, share_X = chain_X[order], rank_X[order], share_X[order]
    end_codes, end_ranks = (np.concatenate(part) for part in zip(*ends, strict=True))
    clusters_I = np.arange(len(prompts), dtype=np.int32) if prompts.clusters is None else prompts.clusters
    supports = []
    for number, chain in enumerate(chains):
        own = slice(*np.searchsorted(chain_X, [number, number + 1]).tolist())
        with_target = np.unique(end_ranks[end_codes == chain[-1]])
        value_I = np.zeros(len(prompts))
        value_I[rank_X[own]] = share_X[own]
        supports.append(_support(rank_X[own], with_target, value_I, clusters_I))
    return supports


@dataclass(frozen=True, eq=False)
class _Wanted:
    """The pairs of sites that are edges of some chain."""

    sites: npt.NDArray[np.int64]
    pairs: npt.NDArray[np.int64]
    """First site times number of sites, plus second site, by their places in `sites`; ascending."""

    @classmethod
    def of(cls, chains: Sequence[Sequence[int]]) -> _Wanted:
        sites = np.unique(np.array([site for chain in chains for site in chain], dtype=np.int64))
        pairs = np.array([pair for chain in chains for pair in pairwise(chain)], dtype=np.int64).reshape(-1, 2)
        places = np.searchsorted(sites, pairs)
        return cls(sites, np.unique(places[:, 0] * len(sites) + places[:, 1]))

    def number(self, first: int, second: int) -> int:
        """Return the number of a pair of sites that are given by their codes."""
        places = np.searchsorted(self.sites, [first, second])
        return int(np.searchsorted(self.pairs, places[0] * len(self.sites) + places[1]))

    def lookup(self, code_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the place of each site; -1 for a site that no chain has."""
        place_N = np.minimum(np.searchsorted(self.sites, code_N), len(self.sites) - 1)
        return np.where(self.sites[place_N] == code_N, place_N, -1)


def _in_range(
    scanned: ScannedRange, chains: Sequence[Sequence[int]], wanted: _Wanted
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Floats]:
    """Return chain, rank and share of each prompt of a range that has a whole chain."""
    site_N = wanted.lookup(scanned.code_N)
    source_E, weight_E = scanned.edges()
    target_E = scanned.target_E
    position_N, row_N = scanned.nodes["position"], scanned.nodes["row_abs_sum"].astype(np.float64)
    kept = np.flatnonzero((site_N[source_E] >= 0) & (site_N[target_E] >= 0))
    kept = kept[position_N[source_E[kept]] <= position_N[target_E[kept]]]
    source_E, target_E = source_E[kept], target_E[kept]
    row_E, strength_E = row_N[target_E], np.abs(weight_E[kept].astype(np.float64))
    is_known_E = np.isfinite(strength_E) & (row_E > 0) & (row_E < np.inf)
    share_E = np.divide(strength_E, row_E, out=np.full(len(kept), np.nan), where=is_known_E)
    key_E = site_N[source_E] * len(wanted.sites) + site_N[target_E]
    order = np.argsort(key_E, kind="stable")
    starts = np.searchsorted(key_E[order], wanted.pairs)
    stops = np.searchsorted(key_E[order], wanted.pairs, side="right")
    found: list[tuple[npt.NDArray[Any], ...]] = [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))]
    for number, chain in enumerate(chains):
        steps = (wanted.number(*pair) for pair in pairwise(chain))
        edges = [order[starts[step] : stops[step]] for step in steps]
        node_N, share_N = _along([(source_E[own], target_E[own], share_E[own]) for own in edges])
        if not len(node_N):
            continue
        rank_N = scanned.rank_N[node_N]
        ranks, place_N = np.unique(rank_N, return_inverse=True)
        shares = np.bincount(place_N, share_N, len(ranks)).astype(np.float64)
        found.append((np.full(len(ranks), number, np.int32), ranks.astype(np.int32), shares))
    chain_X, rank_X, share_X = (np.concatenate(part) for part in zip(*found, strict=True))
    return chain_X, rank_X, share_X


def _along(
    steps: Sequence[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Floats]],
) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return the last nodes of all ways along the steps, and the sum of the products of shares that ends in each.

    A step has source, target and share of each of its edges. A way begins at any source of the first step.
    """
    node_N = np.unique(steps[0][0])
    value_N: Floats = np.ones(len(node_N))
    for source_E, target_E, share_E in steps:
        place_E = np.minimum(np.searchsorted(node_N, source_E), max(len(node_N) - 1, 0))
        is_on_E = node_N[place_E] == source_E if len(node_N) else np.zeros(len(source_E), dtype=bool)
        product_E = value_N[place_E[is_on_E]] * share_E[is_on_E]
        node_N, place_E = np.unique(target_E[is_on_E], return_inverse=True)
        value_N = np.bincount(place_E, product_E, len(node_N)).astype(np.float64)
    return node_N, value_N


def _support(
    rank_X: npt.NDArray[np.int32],
    with_target: npt.NDArray[np.int32],
    value_I: Floats,
    clusters_I: npt.NDArray[np.int32],
) -> ChainSupport:
    cluster_X, value_X = clusters_I[with_target], value_I[with_target]
    is_counted_X = (cluster_X >= 0) & ~np.isnan(value_X)
    names, place_X = np.unique(cluster_X[is_counted_X], return_inverse=True)
    of_clusters = np.bincount(place_X, value_X[is_counted_X], len(names)) / np.bincount(place_X, minlength=len(names))
    share, low, high = _interval(of_clusters)
    return ChainSupport(
        len(rank_X),
        _num_clusters(clusters_I[rank_X]),
        len(with_target),
        _num_clusters(cluster_X),
        int(np.isnan(value_I[rank_X]).sum()),
        share,
        low,
        high,
    )


def _num_clusters(clusters: npt.NDArray[np.int32]) -> int:
    return len(np.unique(clusters[clusters >= 0]))


def _interval(of_clusters: Floats) -> tuple[float, float, float]:
    """Return the mean over clusters and the ends of Student's interval; NaN for what is not known.

    Equal values, such as those of a chain that is never there, say nothing about their spread, and have no interval.
    """
    if not len(of_clusters):
        return float("nan"), float("nan"), float("nan")
    mean = float(np.add.reduce(of_clusters)) / len(of_clusters)
    spread = float(np.square(of_clusters - mean).sum())
    if not spread:
        return mean, float("nan"), float("nan")
    half = float(student_half(np.array([spread]), len(of_clusters))[0])
    return mean, max(mean - half, 0.0), mean + half  # a share is never below 0
