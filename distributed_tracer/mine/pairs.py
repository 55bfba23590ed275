"""Pairs: reduces records of edges to one row for each pair of sites that any prompt has an edge between.

All float sums are sequential: over the edges of one prompt in the canonical order of its graph, and over prompts in the
order of their ids. They therefore depend on nothing but the graphs.

Axes: E edge, Q pair of sites in one prompt, R pair of sites (a row of the result), X pair and prompt to be looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .incidences import Incidences
from .prompts import ChosenPrompts
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
        own = int(sites.num_edges_S[site])
        if site > begin and (total + own > most_edges or sites.layer_S[site] != sites.layer_S[begin]):
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
    count_S = np.zeros(size, dtype=np.int64)
    for block in spill.edge_blocks(number):
        key = block["key"]
        own = key[(key >= target * size) & (key < (target + 1) * size)]
        count_S += np.bincount(own - target * size, minlength=size)
    begin, total = 0, 0
    for source in np.flatnonzero(count_S).tolist():
        if total and total + int(count_S[source]) > most_edges:
            yield target * size + begin, target * size + source
            begin, total = source, 0
        total += int(count_S[source])
    yield target * size + begin, (target + 1) * size


class PairReduction:
    """Turns the records of a key range into rows of the table of edges."""

    def __init__(self, sites: Sites, incidences: Incidences, prompts: ChosenPrompts) -> None:
        self._sites, self._incidences, self._prompts = sites, incidences, prompts

    def rows(self, records: npt.NDArray[Any]) -> Iterator[Rows]:
        """Yield the rows of all pairs of the records, by key, in batches. All targets must be of one layer."""
        records = self._ordered(records)
        if not len(records):
            return
        key_E = np.ascontiguousarray(records["key"])
        first_R = np.flatnonzero(np.concatenate([[True], key_E[1:] != key_E[:-1]]))
        end_R = np.append(first_R[1:], len(key_E))
        target_lo, target_hi = int(key_E[0]) // len(self._sites), int(key_E[-1]) // len(self._sites)
        row_sum_I = self._incidences.row_sums(target_lo, target_hi + 1)
        begin = 0
        while begin < len(first_R):
            most = int(np.searchsorted(end_R, first_R[begin] + _EDGES_AT_ONCE, side="right"))
            stop = max(begin + 1, min(most, begin + _PAIRS_AT_ONCE))
            batch = records[first_R[begin] : end_R[stop - 1]]
            yield self._batch(batch, first_R[begin:stop] - first_R[begin], target_lo, row_sum_I)
            begin = stop

    def _ordered(self, records: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the records by key, then by rank of the prompt; equal ones in the order in which they were read."""
        if not len(records):
            return records
        key_E, rank_E = records["key"], records["rank_class"] >> CLASS_BITS
        base, bits = int(key_E.min()), len(self._prompts).bit_length()
        if (int(key_E.max()) - base).bit_length() + bits < 63:
            order_E = np.argsort((key_E - base) << bits | rank_E, kind="stable")
        else:
            order_E = np.lexsort((rank_E, key_E))
        return records[order_E]

    def _batch(
        self,
        records: npt.NDArray[Any],
        first_R: npt.NDArray[np.intp],
        target_lo: int,
        row_sum_I: npt.NDArray[np.float64],
    ) -> Rows:
        num_pairs = len(first_R)
        rank_E, class_E = records["rank_class"] >> CLASS_BITS, records["rank_class"] & ((1 << CLASS_BITS) - 1)
        pair_E = np.repeat(np.arange(num_pairs), np.diff(first_R, append=len(records)))
        is_new_E = np.ones(len(records), dtype=bool)
        is_new_E[1:] = (rank_E[1:] != rank_E[:-1]) | (pair_E[1:] != pair_E[:-1])
        of_E, first_Q = np.cumsum(is_new_E) - 1, np.flatnonzero(is_new_E)
        pair_Q, rank_Q = pair_E[first_Q], rank_E[first_Q].astype(np.int64)
        is_known_E = np.isfinite(records["weight"])
        weight_E = np.where(is_known_E, records["weight"], 0).astype(np.float64) + 0.0  # no negative zeros
        is_known_Q = np.bincount(of_E, weights=~is_known_E, minlength=len(first_Q)) == 0

        def over_prompts(values_Q: npt.NDArray[Any], mask_Q: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
            return np.bincount(pair_Q, weights=np.where(mask_Q, values_Q, 0.0), minlength=num_pairs)

        def counted(pair: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
            return np.bincount(pair, minlength=num_pairs)

        sum_Q = np.bincount(of_E, weights=weight_E, minlength=len(first_Q))
        abs_Q = np.bincount(of_E, weights=np.abs(weight_E), minlength=len(first_Q))
        row_sum_Q = self._row_sums(records["key"][first_Q] // len(self._sites), rank_Q, target_lo, row_sum_I)
        has_share_Q = is_known_Q & np.isfinite(row_sum_Q)
        share_Q = np.divide(sum_Q, row_sum_Q, out=np.zeros(len(sum_Q)), where=has_share_Q)
        least_R = np.minimum.reduceat(np.where(is_known_E, weight_E, np.inf), first_R)
        most_R = np.maximum.reduceat(np.where(is_known_E, weight_E, -np.inf), first_R)
        by_class = pair_E * len(CLASSES) + class_E
        num_bins = num_pairs * len(CLASSES)
        count_RC = np.bincount(by_class, minlength=num_bins).reshape(num_pairs, -1)
        sum_RC = np.bincount(by_class, weights=weight_E, minlength=num_bins).reshape(num_pairs, -1)
        key_R = records["key"][first_R]
        cluster_I = self._prompts.cluster_I
        return {
            **self._ends(key_R),
            "prompts": counted(pair_Q),
            "prompts_unknown": counted(pair_Q[~is_known_Q]),
            **({} if cluster_I is None else {"clusters": _distinct(pair_Q, cluster_I[rank_Q], num_pairs)}),
            "instances": counted(pair_E),
            "instances_positive": counted(pair_E[weight_E > 0]),
            "instances_negative": counted(pair_E[weight_E < 0]),
            "instances_unknown": counted(pair_E[~is_known_E]),
            "sum": over_prompts(sum_Q, is_known_Q),
            "sum_abs": over_prompts(abs_Q, is_known_Q),
            "sum_squares": over_prompts(sum_Q * sum_Q, is_known_Q),
            "min": np.where(np.isfinite(least_R), least_R, np.nan),
            "max": np.where(np.isfinite(most_R), most_R, np.nan),
            **{f"instances_at_{name}": count_RC[:, place] for place, name in enumerate(CLASSES)},
            **{f"sum_at_{name}": sum_RC[:, place] for place, name in enumerate(CLASSES)},
            "prompts_share": counted(pair_Q[has_share_Q]),
            "sum_share": over_prompts(share_Q, has_share_Q),
        }

    def _row_sums(
        self,
        target_Q: npt.NDArray[np.int64],
        rank_Q: npt.NDArray[np.int64],
        target_lo: int,
        row_sum_I: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Return the sum of `row_abs_sum` over the nodes of each target in each prompt; NaN where it is unknown."""
        incidences, num_prompts = self._incidences, len(self._prompts)
        low, high = int(target_Q[0]), int(target_Q[-1]) + 1
        begin, end = (int(incidences.start_S[site]) for site in (low, high))
        site_I = np.repeat(np.arange(low, high), np.diff(incidences.start_S[low : high + 1]))
        known_I = site_I * num_prompts + incidences.rank_I[begin:end]
        place_Q = np.searchsorted(known_I, target_Q * num_prompts + rank_Q)
        found: npt.NDArray[np.float64] = row_sum_I[begin - int(incidences.start_S[target_lo]) + place_Q]
        return found

    def _ends(self, key_R: npt.NDArray[np.int64]) -> Rows:
        """Return what the two sites of each pair are, and the denominators of each pair."""
        sites, sums, total = self._sites, self._incidences.sums, len(self._prompts)
        target_R, source_R = np.divmod(key_R, len(sites))
        ends: Rows = {}
        for side, site_R in (("source", source_R), ("target", target_R)):
            ends[f"{side}_kind"] = sites.kind_S[site_R]
            ends[f"{side}_layer"] = sites.layer_S[site_R]
            ends[f"{side}_feature"] = sites.feature_S[site_R]
        both_R = self._both(source_R, target_R)
        source_prompts_R, target_prompts_R = sums.num_prompts_S[source_R], sums.num_prompts_S[target_R]
        return {
            **ends,
            "prompts_source": source_prompts_R,
            "prompts_target": target_prompts_R,
            "prompts_both": both_R,
            "prompts_row": sums.num_row_S[target_R],
            "prompts_dropped_unknown": sums.num_dropped_unknown_S[target_R],
            "sum_dropped": sums.dropped_S[target_R],
            "lift": both_R * float(total) / (source_prompts_R * target_prompts_R.astype(np.float64)),
        }

    def _both(self, source_R: npt.NDArray[np.int64], target_R: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the number of prompts in which both sites of each pair are nodes: every prompt of the rarer site is
        looked up among those of the other."""
        num_prompts_S, start_S = self._incidences.sums.num_prompts_S, self._incidences.start_S
        swap_R = num_prompts_S[source_R] > num_prompts_S[target_R]
        rare_R, other_R = np.where(swap_R, target_R, source_R), np.where(swap_R, source_R, target_R)
        count_R, both_R = num_prompts_S[rare_R], np.zeros(len(source_R), dtype=np.int64)
        is_all_R = num_prompts_S[other_R] == len(self._prompts)
        both_R[is_all_R] = count_R[is_all_R]
        ask_R = np.flatnonzero(~is_all_R)
        ends = np.cumsum(count_R[ask_R])
        begin = 0
        while begin < len(ask_R):
            done = int(ends[begin - 1]) if begin else 0
            stop = max(begin + 1, int(np.searchsorted(ends, done + _LOOKUPS_AT_ONCE, side="right")))
            own = ask_R[begin:stop]
            pair_X = np.repeat(np.arange(len(own)), count_R[own])
            first_X = np.cumsum(count_R[own]) - count_R[own]
            place_X = np.arange(len(pair_X)) + (start_S[rare_R[own]] - first_X)[pair_X]
            found_X = self._incidences.contains(other_R[own][pair_X], self._incidences.rank_I[place_X])
            both_R[own] = np.bincount(pair_X[found_X], minlength=len(own))
            begin = stop
        return both_R


def _distinct(pair_Q: npt.NDArray[np.intp], cluster_Q: npt.NDArray[np.int32], num_pairs: int) -> npt.NDArray[np.int64]:
    """Return the number of distinct clusters of each pair; -1 stands for no cluster."""
    has_Q = cluster_Q >= 0
    found = np.unique(pair_Q[has_Q].astype(np.int64) << 32 | cluster_Q[has_Q])
    return np.bincount(found >> 32, minlength=num_pairs)
