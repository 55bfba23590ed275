"""Pairs: reduces records of edges to one row for each pair of sites that any prompt has an edge between.

All float sums are sequential: over the edges of one prompt in the canonical order of its graph, and over prompts in the
order of their ids. They therefore depend on nothing but the graphs.

Axes: E edge, I site, X pair of sites (a row of the result), Y pair of sites in one prompt, B row of a batch of
questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .incidences import Incidences
from .sites import Sites
from .spill import CLASS_BITS, CLASSES, Spill

PAIR_BYTES = 96
"""Bytes that a record takes while the pairs of a key range are sorted."""
_PAIRS_AT_ONCE = 1 << 15
_LOOKUPS_AT_ONCE = 1 << 20
_EDGES_AT_ONCE = 1 << 19

Rows = dict[str, npt.NDArray[Any]]


def key_ranges(spill: Spill, number: int, most_edges: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of keys that cover a partition, each within one layer and of at most `most_edges` edges.

    A single pair of sites may have more. A target site with more edges is divided by its sources.
    """
    sites, size = spill.sites, len(spill.sites)
    first, end = spill.starts[number : number + 2].tolist()
    begin, total = first, 0
    for site in range(first, end):
        own = int(sites.num_edges_I[site])
        if site > begin and (total + own > most_edges or sites.layer_I[site] != sites.layer_I[begin]):
            yield begin * size, site * size
            begin, total = site, 0
        total += own
        if total > most_edges:
            yield from _source_ranges(spill, number, site, most_edges)
            begin, total = site + 1, 0
    if begin < end:
        yield begin * size, end * size


def _source_ranges(spill: Spill, number: int, target: int, most_edges: int) -> Iterator[tuple[int, int]]:
    """Yield the key ranges of one target site, divided by its sources."""
    size = len(spill.sites)
    count_I = np.zeros(size, dtype=np.int64)
    for block in spill.edge_blocks(number):
        key = block["key"]
        own = key[(key >= target * size) & (key < (target + 1) * size)]
        count_I += np.bincount(own - target * size, minlength=size)
    begin, total = 0, 0
    for source in np.flatnonzero(count_I).tolist():
        if total and total + int(count_I[source]) > most_edges:
            yield target * size + begin, target * size + source
            begin, total = source, 0
        total += int(count_I[source])
    yield target * size + begin, (target + 1) * size


class PairReduction:
    """Turns the records of a key range into rows of the table of edges."""

    def __init__(
        self, sites: Sites, incidences: Incidences, num_prompts: int, clusters: npt.NDArray[np.int32] | None
    ) -> None:
        self._sites, self._incidences, self._num_prompts, self._clusters = sites, incidences, num_prompts, clusters

    def rows(self, records: npt.NDArray[Any]) -> Iterator[Rows]:
        """Yield the rows of all pairs of the records, by key, in batches. All targets must be of one layer."""
        records = self._ordered(records)
        if not len(records):
            return
        key_E = np.ascontiguousarray(records["key"])
        first_X = np.flatnonzero(np.concatenate([[True], key_E[1:] != key_E[:-1]]))
        end_X = np.append(first_X[1:], len(key_E))
        target_lo, target_hi = int(key_E[0]) // len(self._sites), int(key_E[-1]) // len(self._sites)
        row_sums = self._incidences.row_sums(target_lo, target_hi + 1)
        begin = 0
        while begin < len(first_X):
            most = int(np.searchsorted(end_X, first_X[begin] + _EDGES_AT_ONCE, side="right"))
            stop = max(begin + 1, min(most, begin + _PAIRS_AT_ONCE))
            batch = records[first_X[begin] : end_X[stop - 1]]
            yield self._batch(batch, first_X[begin:stop] - first_X[begin], target_lo, row_sums)
            begin = stop

    def _ordered(self, records: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the records by key, then by rank of the prompt; equal ones in the order in which they were read."""
        if not len(records):
            return records
        key_E, rank_E = records["key"], records["rank_class"] >> CLASS_BITS
        base, bits = int(key_E.min()), self._num_prompts.bit_length()
        if (int(key_E.max()) - base).bit_length() + bits < 63:
            order_E = np.argsort((key_E - base) << bits | rank_E, kind="stable")
        else:
            order_E = np.lexsort((rank_E, key_E))
        return records[order_E]

    def _batch(
        self,
        records: npt.NDArray[Any],
        first_X: npt.NDArray[np.intp],
        target_lo: int,
        row_sums: npt.NDArray[np.float64],
    ) -> Rows:
        num_pairs = len(first_X)
        rank_E, class_E = records["rank_class"] >> CLASS_BITS, records["rank_class"] & ((1 << CLASS_BITS) - 1)
        pair_E = np.repeat(np.arange(num_pairs), np.diff(first_X, append=len(records)))
        is_new_E = np.ones(len(records), dtype=bool)
        is_new_E[1:] = (rank_E[1:] != rank_E[:-1]) | (pair_E[1:] != pair_E[:-1])
        of_E, first_Y = np.cumsum(is_new_E) - 1, np.flatnonzero(is_new_E)
        pair_Y, rank_Y = pair_E[first_Y], rank_E[first_Y].astype(np.int64)
        is_known_E = np.isfinite(records["weight"])
        weight_E = np.where(is_known_E, records["weight"], 0).astype(np.float64) + 0.0  # no negative zeros
        is_known_Y = np.bincount(of_E, weights=~is_known_E, minlength=len(first_Y)) == 0

        def over_prompts(values_Y: npt.NDArray[Any], mask_Y: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
            return np.bincount(pair_Y, weights=np.where(mask_Y, values_Y, 0.0), minlength=num_pairs)

        def counted(pair: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
            return np.bincount(pair, minlength=num_pairs)

        sum_Y = np.bincount(of_E, weights=weight_E, minlength=len(first_Y))
        abs_Y = np.bincount(of_E, weights=np.abs(weight_E), minlength=len(first_Y))
        row_sum_Y = self._row_sums(records["key"][first_Y] // len(self._sites), rank_Y, target_lo, row_sums)
        has_share_Y = is_known_Y & np.isfinite(row_sum_Y)
        share_Y = np.divide(sum_Y, row_sum_Y, out=np.zeros(len(sum_Y)), where=has_share_Y)
        least_X = np.minimum.reduceat(np.where(is_known_E, weight_E, np.inf), first_X)
        most_X = np.maximum.reduceat(np.where(is_known_E, weight_E, -np.inf), first_X)
        by_class = pair_E * len(CLASSES) + class_E
        num_bins = num_pairs * len(CLASSES)
        counts = np.bincount(by_class, minlength=num_bins).reshape(num_pairs, -1)
        sums_at = np.bincount(by_class, weights=weight_E, minlength=num_bins).reshape(num_pairs, -1)
        key_X = records["key"][first_X]
        clusters = self._clusters
        return {
            **self._ends(key_X),
            "prompts": counted(pair_Y),
            "prompts_unknown": counted(pair_Y[~is_known_Y]),
            **({} if clusters is None else {"clusters": _distinct(pair_Y, clusters[rank_Y], num_pairs)}),
            "instances": counted(pair_E),
            "instances_positive": counted(pair_E[weight_E > 0]),
            "instances_negative": counted(pair_E[weight_E < 0]),
            "instances_unknown": counted(pair_E[~is_known_E]),
            "sum": over_prompts(sum_Y, is_known_Y),
            "sum_abs": over_prompts(abs_Y, is_known_Y),
            "sum_squares": over_prompts(sum_Y * sum_Y, is_known_Y),
            "min": np.where(np.isfinite(least_X), least_X, np.nan),
            "max": np.where(np.isfinite(most_X), most_X, np.nan),
            **{f"instances_at_{name}": counts[:, place] for place, name in enumerate(CLASSES)},
            **{f"sum_at_{name}": sums_at[:, place] for place, name in enumerate(CLASSES)},
            "prompts_share": counted(pair_Y[has_share_Y]),
            "sum_share": over_prompts(share_Y, has_share_Y),
        }

    def _row_sums(
        self,
        target_Y: npt.NDArray[np.int64],
        rank_Y: npt.NDArray[np.int64],
        target_lo: int,
        row_sums: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Return the sum of `row_abs_sum` over the nodes of each target in each prompt; NaN where it is unknown."""
        incidences, num_prompts = self._incidences, self._num_prompts
        low, high = int(target_Y[0]), int(target_Y[-1]) + 1
        begin, end = (int(incidences.start_I[site]) for site in (low, high))
        site = np.repeat(np.arange(low, high), np.diff(incidences.start_I[low : high + 1]))
        known = site * num_prompts + incidences.ranks[begin:end]
        place_Y = np.searchsorted(known, target_Y * num_prompts + rank_Y)
        found: npt.NDArray[np.float64] = row_sums[begin - int(incidences.start_I[target_lo]) + place_Y]
        return found

    def _ends(self, key_X: npt.NDArray[np.int64]) -> Rows:
        """Return what the two sites of each pair are, and the denominators of each pair."""
        sites, sums, total = self._sites, self._incidences.sums, self._num_prompts
        target_X, source_X = np.divmod(key_X, len(sites))
        ends: Rows = {}
        for side, site_X in (("source", source_X), ("target", target_X)):
            ends[f"{side}_kind"] = sites.kind_I[site_X]
            ends[f"{side}_layer"] = sites.layer_I[site_X]
            ends[f"{side}_feature"] = sites.feature_I[site_X]
        both_X = self._both(source_X, target_X)
        source_prompts_X, target_prompts_X = sums.num_prompts_I[source_X], sums.num_prompts_I[target_X]
        return {
            **ends,
            "prompts_source": source_prompts_X,
            "prompts_target": target_prompts_X,
            "prompts_both": both_X,
            "prompts_row": sums.num_row_I[target_X],
            "prompts_dropped_unknown": sums.num_dropped_unknown_I[target_X],
            "sum_dropped": sums.dropped_I[target_X],
            "lift": both_X * float(total) / (source_prompts_X * target_prompts_X.astype(np.float64)),
        }

    def _both(self, source_X: npt.NDArray[np.int64], target_X: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the number of prompts in which both sites of each pair are nodes: every prompt of the rarer site is
        looked up among those of the other."""
        num_prompts_I, start_I = self._incidences.sums.num_prompts_I, self._incidences.start_I
        swap_X = num_prompts_I[source_X] > num_prompts_I[target_X]
        rare_X, other_X = np.where(swap_X, target_X, source_X), np.where(swap_X, source_X, target_X)
        count_X, both_X = num_prompts_I[rare_X], np.zeros(len(source_X), dtype=np.int64)
        is_all_X = num_prompts_I[other_X] == self._num_prompts
        both_X[is_all_X] = count_X[is_all_X]
        ask_X = np.flatnonzero(~is_all_X)
        ends = np.cumsum(count_X[ask_X])
        begin = 0
        while begin < len(ask_X):
            done = int(ends[begin - 1]) if begin else 0
            stop = max(begin + 1, int(np.searchsorted(ends, done + _LOOKUPS_AT_ONCE, side="right")))
            own = ask_X[begin:stop]
            pair_B = np.repeat(np.arange(len(own)), count_X[own])
            first_B = np.cumsum(count_X[own]) - count_X[own]
            place_B = np.arange(len(pair_B)) + (start_I[rare_X[own]] - first_B)[pair_B]
            found_B = self._incidences.contains(other_X[own][pair_B], self._incidences.ranks[place_B])
            both_X[own] = np.bincount(pair_B[found_B], minlength=len(own))
            begin = stop
        return both_X


def _distinct(pair_Y: npt.NDArray[np.intp], cluster_Y: npt.NDArray[np.int32], num_pairs: int) -> npt.NDArray[np.int64]:
    """Return the number of distinct clusters of each pair; -1 stands for no cluster."""
    has_Y = cluster_Y >= 0
    found = np.unique(pair_Y[has_Y].astype(np.int64) << 32 | cluster_Y[has_Y])
    return np.bincount(found >> 32, minlength=num_pairs)
