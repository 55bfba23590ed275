"""CoOccurrence: the number of prompts in which both sites of a pair are nodes.

Axes: I site, X pair of sites, B row of a batch of questions.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

_LOOKUPS_AT_ONCE = 1 << 20
_WORDS_AT_ONCE = 1 << 17
_BITS = 64
_LOOKUP_WORDS = 8
"""Words of two sets of bits that are compared in about the time in which one prompt is looked up."""
_MOST_BITSET_BYTES = 1 << 26


class CoOccurrence:
    """The prompts of each site, by rank.

    `incidences` has, for ranges of sites one after another, the number of prompts of each site, and the prompts of all
    of them.
    """

    def __init__(
        self, incidences: Iterable[tuple[npt.NDArray[np.integer], npt.NDArray[np.int32]]], num_prompts: int
    ) -> None:
        found = list(incidences)
        self._count_I = np.concatenate([counts for counts, _ in found]).astype(np.int64)
        self._prompts = np.concatenate([prompts for _, prompts in found])
        self._start_I = np.append(0, np.cumsum(self._count_I))
        self._bitsets(num_prompts)

    def _bitsets(self, num_prompts: int) -> None:
        """Make a set of bits of each site, or of those in most prompts as far as the memory for them reaches."""
        num_words = -(-num_prompts // _BITS)
        most = max(1, _MOST_BITSET_BYTES // (8 * num_words))
        often = np.sort(np.argsort(-self._count_I, kind="stable")[:most])
        self._bitset_I = np.full(len(self._count_I), -1, dtype=np.int32)
        self._bitset_I[often] = np.arange(len(often))
        self._bytes = np.empty((len(often), 8 * num_words), dtype=np.uint8)
        step = max(1, _MOST_BITSET_BYTES // (2 * _BITS * num_words))
        for begin in range(0, len(often), step):
            own = often[begin : begin + step]
            count, is_there = self._count_I[own], np.zeros((len(own), _BITS * num_words), dtype=bool)
            is_there[np.repeat(np.arange(len(own)), count), self._prompts[_rows(self._start_I[own], count)]] = True
            self._bytes[begin : begin + step] = np.packbits(is_there, axis=1, bitorder="little")
        self._words = self._bytes.view(np.uint64)

    def both(self, source_X: npt.NDArray[np.integer], target_X: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return the number of prompts in which both sites of each pair are nodes."""
        swap_X = self._count_I[source_X] > self._count_I[target_X]
        rare_X, other_X = np.where(swap_X, target_X, source_X), np.where(swap_X, source_X, target_X)
        both_X = np.zeros(len(rare_X), dtype=np.int64)
        num_words = self._words.shape[1]
        has_bits_X = (self._bitset_I[rare_X] >= 0) & (self._bitset_I[other_X] >= 0)
        has_bits_X &= self._count_I[rare_X] * _LOOKUP_WORDS >= num_words
        often, seldom = np.flatnonzero(has_bits_X), np.flatnonzero(~has_bits_X)
        step = max(1, _WORDS_AT_ONCE // num_words)
        for begin in range(0, len(often), step):
            own = often[begin : begin + step]
            words = self._words[self._bitset_I[rare_X[own]]]
            words &= self._words[self._bitset_I[other_X[own]]]
            both_X[own] = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
        ends = np.cumsum(self._count_I[rare_X[seldom]])
        begin = 0
        while begin < len(seldom):
            done = int(ends[begin - 1]) if begin else 0
            stop = max(begin + 1, int(np.searchsorted(ends, done + _LOOKUPS_AT_ONCE, side="right")))
            own = seldom[begin:stop]
            both_X[own] = self._looked_up(rare_X[own], other_X[own])
            begin = stop
        return both_X

    def _looked_up(self, rare_X: npt.NDArray[np.integer], other_X: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Look every prompt of the rarer site up among those of the other."""
        count_X = self._count_I[rare_X]
        pair_B = np.repeat(np.arange(len(rare_X)), count_X)
        prompt_B = self._prompts[_rows(self._start_I[rare_X], count_X)]
        bitset_B = self._bitset_I[other_X][pair_B]
        is_found_B = np.zeros(len(pair_B), dtype=bool)
        has_bits = np.flatnonzero(bitset_B >= 0)
        prompt = prompt_B[has_bits]
        is_found_B[has_bits] = (self._bytes[bitset_B[has_bits], prompt >> 3] >> (prompt & 7).astype(np.uint8)) & 1 > 0
        rest = np.flatnonzero(bitset_B < 0)
        is_found_B[rest] = self._contains(other_X[pair_B[rest]], prompt_B[rest])
        return np.bincount(pair_B[is_found_B], minlength=len(rare_X))

    def _contains(self, site_B: npt.NDArray[np.integer], prompt_B: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Return whether each site is a node in each prompt, by a binary search for all at once."""
        if not len(site_B):
            return np.zeros(0, dtype=bool)
        low_B, end_B = self._start_I[site_B], self._start_I[site_B + 1]
        high_B = end_B.copy()
        for _ in range(int((end_B - low_B).max()).bit_length()):
            middle_B = (low_B + high_B) >> 1
            is_open_B = low_B < high_B
            below_B = is_open_B & (self._prompts[np.where(is_open_B, middle_B, 0)] < prompt_B)
            low_B = np.where(below_B, middle_B + 1, low_B)
            high_B = np.where(is_open_B & ~below_B, middle_B, high_B)
        is_there_B = low_B < end_B
        is_there_B[is_there_B] = self._prompts[low_B[is_there_B]] == prompt_B[is_there_B]
        return np.asarray(is_there_B)


def _rows(start: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows of ranges that begin at `start` and have `count` rows, one range after another."""
    found = np.repeat(start - (np.cumsum(count) - count), count)
    found += np.arange(len(found))
    return found
