"""Edges of a dense matrix [M, M], whose row is the explained node, found block by block so that memory stays small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import GraphFileError

BLOCK_BYTES = 64 * 2**20
MAX_EDGES = 2**28
"""Largest number of edges of one graph that is read; they take about 6 GB while they are sorted."""


class Edges(NamedTuple):
    """Edges as three arrays of one length: the two nodes by number, and the weight."""

    source_E: npt.NDArray[np.int64]
    target_E: npt.NDArray[np.int64]
    weight_E: npt.NDArray[np.float32]


def blocks_of(matrix: npt.NDArray[Any]) -> Iterable[npt.NDArray[Any]]:
    """Return a matrix as blocks of rows of at most BLOCK_BYTES, or of one row."""
    step = max(1, BLOCK_BYTES // max(1, matrix.shape[1] * 8))
    return (matrix[first : first + step] for first in range(0, len(matrix), step))


def edges_of(blocks: Iterable[npt.NDArray[Any]]) -> Edges:
    """Return an edge for every number of a matrix that is not zero; `blocks` are its rows, in order, as blocks.

    Raises GraphFileError for more than MAX_EDGES.
    """
    found: list[tuple[npt.NDArray[Any], ...]] = [(np.empty(0, int), np.empty(0, int), np.empty(0, np.float32))]
    first = num_edges = 0
    for block in blocks:
        row, column = np.nonzero(block)
        num_edges += len(row)
        if num_edges > MAX_EDGES:
            raise GraphFileError(f"it has more than {MAX_EDGES:,} edges")
        found.append((column, row + first, block[row, column].astype(np.float32)))
        first += len(block)
    return Edges(*(np.concatenate(column) for column in zip(*found, strict=True)))
