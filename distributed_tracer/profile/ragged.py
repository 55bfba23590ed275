"""Ragged: rows of different lengths in two flat arrays.

Axes: I row, X entry of any row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths: row i is `values_X[indptr[i]:indptr[i + 1]]`."""

    values_X: npt.NDArray[Any]
    indptr: npt.NDArray[np.int64]
    """Int64, one more than there are rows; begins with 0."""

    @classmethod
    def of(cls, rows: Sequence[Any], dtype: Any) -> Ragged:
        """Return rows given one by one."""
        indptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=indptr[1:])
        flat = [value for row in rows for value in row]
        return cls(np.array(flat, dtype=dtype), indptr)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def num_bytes(self) -> int:
        """Bytes of both arrays."""
        return int(self.values_X.nbytes + self.indptr.nbytes)

    def take(self, index_I: npt.NDArray[np.intp]) -> Ragged:
        """Return the rows at `index_I`, in this order."""
        place_X, indptr = ranges(self.indptr[:-1][index_I], self.indptr[1:][index_I])
        return Ragged(self.values_X[place_X], indptr)

    def slice(self, first: int, last: int) -> Ragged:
        """Return rows `first` to `last - 1`."""
        start, stop = self.indptr[first], self.indptr[last]
        return Ragged(self.values_X[start:stop], self.indptr[first : last + 1] - start)


def ranges(
    start_I: npt.NDArray[np.int64], stop_I: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the integers from each start up to its stop, one range after the other, and where each range begins among
    them: [X] and [I + 1]."""
    indptr = np.zeros(len(start_I) + 1, dtype=np.int64)
    np.cumsum(stop_I - start_I, out=indptr[1:])
    offset_I = start_I - indptr[:-1]
    return np.arange(indptr[-1]) + np.repeat(offset_I, np.diff(indptr)), indptr


def concatenate(parts: Sequence[Ragged]) -> Ragged:
    """Return the rows of all parts, one part after the other. There must be at least one part."""
    starts = np.cumsum([0, *(len(part.values_X) for part in parts)])
    indptr = [part.indptr[1:] + start for part, start in zip(parts, starts, strict=False)]
    return Ragged(
        np.concatenate([part.values_X for part in parts]), np.concatenate([np.zeros(1, dtype=np.int64), *indptr])
    )
