"""Orders of rows, which need little time for the keys that mining has.

Axes: X row, B row of a batch, E edge, N node in the order that is wanted, Y node in the present
order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

_KEY_BITS = 63
_ROWS_AT_ONCE = 1 << 14
"""Rows that are packed or compared at once, so that what they need stays in the cache."""
_MOST_NODES = (1 << 31) - 1


def ordered(key_X: npt.NDArray[np.int64], bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Return keys in ascending order, and the row of each; rows of equal keys stay in order.

    Keys are from 0 to 2^`bits` - 1.
    """
    return Ordered(key_X.copy(), bits).take(slice(None))


class Ordered:
    """Keys in ascending order, each with its row; rows of equal keys stay in order.

    If there is room, each key gets its row as its last bits: numpy sorts integers several times as fast as it finds a
    stable order of them.
    """

    def __init__(self, key_X: npt.NDArray[np.int64], bits: int) -> None:
        """Order keys from 0 to 2^`bits` - 1, whose array is used up."""
        self._row_bits = max(1, (len(key_X) - 1).bit_length())
        self._row_X: npt.NDArray[np.intp] | None = None
        if bits + self._row_bits > _KEY_BITS:
            self._row_bits, self._row_X = 0, np.argsort(key_X, kind="stable")
            self._packed_X = key_X[self._row_X]
            return
        row_B = np.arange(min(len(key_X), _ROWS_AT_ONCE))
        for begin in range(0, len(key_X), _ROWS_AT_ONCE):
            packed_B = key_X[begin : begin + _ROWS_AT_ONCE]
            packed_B <<= self._row_bits
            packed_B |= row_B[: len(packed_B)]
            row_B += _ROWS_AT_ONCE
        self._packed_X = key_X
        self._packed_X.sort()

    def __len__(self) -> int:
        return len(self._packed_X)

    def is_first(self) -> npt.NDArray[np.bool_]:
        """Return whether each key is the first of its value."""
        is_first_X = np.ones(len(self), dtype=bool)
        least = 1 << self._row_bits  # what differs above the bits of the row is at least this
        for begin in range(1, len(self), _ROWS_AT_ONCE):
            packed_B = self._packed_X[begin : begin + _ROWS_AT_ONCE]
            differs_B = packed_B ^ self._packed_X[begin - 1 : begin - 1 + len(packed_B)]
            np.greater_equal(differs_B, least, out=is_first_X[begin : begin + len(packed_B)])
        return is_first_X

    def take(self, places: npt.NDArray[np.intp] | slice) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
        """Return the keys at some places of the order, and their rows."""
        found = self._packed_X[places] if isinstance(places, slice) else self._packed_X.take(places)
        if self._row_X is not None:
            return found, self._row_X[places]
        row_X = found & ((1 << self._row_bits) - 1)
        return found >> self._row_bits, row_X


def edges_of_rows(
    degree_Y: npt.NDArray[np.integer],
    order_N: npt.NDArray[np.intp],
    source_E: npt.NDArray[np.uint32],
    weight_E: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    """Return two values of each edge, row after row, with the rows in the order `order_N`.

    `degree_Y` are the numbers of edges of the rows as they are. This is what scipy does when it takes rows of a sparse
    matrix: it copies runs, and needs no index of each edge.
    """
    if not len(degree_Y):
        return source_E, weight_E
    ends_Y = np.zeros(len(degree_Y) + 1, dtype=np.int32 if len(source_E) <= _MOST_NODES else np.int64)
    np.cumsum(degree_Y, out=ends_Y[1:])
    rows = csr_array((weight_E, source_E.view(np.int32), ends_Y), shape=(len(degree_Y), _MOST_NODES))[order_N]
    return rows.indices.astype(np.int32, copy=False).view(np.uint32), rows.data
