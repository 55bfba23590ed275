"""Counts: how often each key occurs, for sparse keys; counts of several parts add up.

A key is a feature's number followed by a few bits, such as those of a bin.

Axes: I key that occurs, also several times; X distinct key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Counts:
    """Distinct keys in ascending order, and how often each occurs."""

    key_X: npt.NDArray[np.uint64]
    count_X: npt.NDArray[np.int64]

    @classmethod
    def of(cls, key_I: npt.NDArray[np.uint64]) -> Counts:
        """Return the counts of keys in any order."""
        is_short = len(key_I) > 0 and key_I.max() < 1 << 32  # half of the bytes are sorted in half of the time
        ordered_I: npt.NDArray[np.unsignedinteger] = np.sort(key_I.astype(np.uint32) if is_short else key_I)
        start_X = run_starts(ordered_I)
        return cls(ordered_I[start_X].astype(np.uint64), np.diff(start_X, append=len(ordered_I)))

    @property
    def num_bytes(self) -> int:
        """Bytes of both arrays."""
        return int(self.key_X.nbytes + self.count_X.nbytes)

    def between(self, first: int, last: int) -> Counts:
        """Return the counts of the keys from `first` to `last - 1`."""
        part = slice(*np.searchsorted(self.key_X, np.array([first, last], dtype=np.uint64)).tolist())
        return Counts(self.key_X[part], self.count_X[part])


def add(parts: Sequence[Counts]) -> Counts:
    """Return the sum of counts; there must be at least one part."""
    key_X = np.concatenate([part.key_X for part in parts])
    order_X = np.argsort(key_X, kind="stable")  # fast for a few sorted parts
    key_X = key_X[order_X]
    start_X = run_starts(key_X)
    count_X = np.concatenate([part.count_X for part in parts])[order_X]
    return Counts(key_X[start_X], np.add.reduceat(count_X, start_X) if len(start_X) else count_X)


def run_starts(ordered_I: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return where each run of equal entries begins."""
    if not len(ordered_I):
        return np.empty(0, dtype=np.int64)
    return np.concatenate([[0], np.flatnonzero(ordered_I[1:] != ordered_I[:-1]) + 1])


def ranks_in_runs(ordered_I: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return the place of each entry in its run of equal entries, from 0."""
    start_X = run_starts(ordered_I)
    return np.arange(len(ordered_I)) - np.repeat(start_X, np.diff(start_X, append=len(ordered_I)))
