"""Orders of rows, which need little time for the keys that mining has.

Axes: X row, E edge, N node in the order that is wanted, Y node in the present order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

_KEY_BITS = 63
_MOST_NODES = (1 << 31) - 1


def ordered(key_X: npt.NDArray[np.int64], bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Return keys in ascending order, and the row of each; rows of equal keys stay in order.

    Keys are from 0 to 2^`bits` - 1. If there is room, each gets its row as its last bits: numpy sorts integers
    several times as fast as it finds a stable order of them.
    """
    own = max(1, (len(key_X) - 1).bit_length())
    if bits + own > _KEY_BITS:
        order_X = np.argsort(key_X, kind="stable")
        return key_X[order_X], order_X
    packed_X = key_X << own
    packed_X |= np.arange(len(key_X))
    packed_X.sort()
    order_X = packed_X & ((1 << own) - 1)
    packed_X >>= own
    return packed_X, order_X


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
