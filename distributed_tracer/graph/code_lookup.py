"""CodeLookup: the number of each site, given its code, in a table of all codes that there can be.

Axes: I site, N node, Y group of sites, whose codes have the same upper bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BITS = 32
_MASK = (1 << _BITS) - 1
_LEAST_PLACES, _MOST_EMPTY = 1 << 20, 16
"""The table may have as many places, or as many for each site: 64 bytes."""


class CodeLookup:
    """Finds codes in an array of different ones, ascending, each a group (such as kind and layer) * 2^32 + a number.

    There is a place for each number of a group up to its largest, from its smallest on. Looking there takes a tenth of
    the time of a search. If most places would be empty, codes are searched for.
    """

    def __init__(self, code_I: npt.NDArray[np.int64]) -> None:
        self._code_I = code_I
        self._number_of: npt.NDArray[np.int32] | None = None
        if not len(code_I):
            return
        group_I = code_I >> _BITS
        first_I = np.flatnonzero(np.diff(group_I, prepend=-1))
        lowest_Y, highest_Y = code_I[first_I] & _MASK, code_I[np.append(first_I[1:], len(code_I)) - 1] & _MASK
        size_Y = highest_Y - lowest_Y + 1
        if int(size_Y.sum()) > max(_LEAST_PLACES, _MOST_EMPTY * len(code_I)):
            return
        self._shift_of = np.zeros(int(group_I[-1]) + 1, dtype=np.int64)
        self._shift_of[group_I[first_I]] = np.cumsum(size_Y) - size_Y - lowest_Y
        self._number_of = np.zeros(int(size_Y.sum()), dtype=np.int32)
        self._number_of[self._places(code_I)] = np.arange(len(code_I), dtype=np.int32)

    def numbers(self, code_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return the place of each code in the array, given codes that are all there: int32 [nodes]."""
        if self._number_of is None:
            return np.searchsorted(self._code_I, code_N).astype(np.int32)
        found: npt.NDArray[np.int32] = self._number_of[self._places(code_N)]
        return found

    def _places(self, code_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        place_N: npt.NDArray[np.int64] = self._shift_of[code_N >> _BITS]
        place_N += code_N & _MASK
        return place_N


def distinct(code_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the different codes, ascending. numpy's `unique` hashes integers, which takes several times as long."""
    ordered_N = np.sort(code_N)
    is_new_N = np.ones(len(ordered_N), dtype=bool)
    is_new_N[1:] = ordered_N[1:] != ordered_N[:-1]
    return ordered_N[is_new_N]
