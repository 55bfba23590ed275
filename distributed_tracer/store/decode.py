"""Chunks of bytes -> rows of an array. zarr's way there takes a millisecond for each array; a part has 36 of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc, zstd

from .layout import Layout, Rows

_DECOMPRESS: Mapping[str, Callable[[bytes], Any]] = {"zstd": zstd.decompress, "blosc": blosc.decompress}


def decode(layout: Layout, rows: Rows, chunks: Sequence[bytes]) -> npt.NDArray[Any]:
    """Rows of an array, in memory of their own, from the chunks that hold them, in the order of `Layout.chunks`.

    Raises ValueError or RuntimeError for bytes that are no such chunks.
    """
    if isinstance(rows, slice):
        return _range(layout, rows, chunks)
    out = np.empty((len(rows), *layout.row_shape), dtype=layout.dtype)
    numbers = rows // layout.chunk_rows
    ends = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(rows)]
    for (first, end), chunk in zip(pairwise(ends), chunks, strict=True) if chunks else ():
        out[first:end] = _rows(layout, chunk)[rows[first:end] - numbers[first] * layout.chunk_rows]
    return out


def _range(layout: Layout, rows: slice, chunks: Sequence[bytes]) -> npt.NDArray[Any]:
    out = np.empty((rows.stop - rows.start, *layout.row_shape), dtype=layout.dtype)
    begin = rows.start - rows.start % layout.chunk_rows - rows.start  # of the first chunk, counted from the first row
    for chunk in chunks:
        first, end = max(begin, 0), min(begin + layout.chunk_rows, len(out))
        out[first:end] = _rows(layout, chunk)[first - begin : end - begin]
        begin += layout.chunk_rows
    return out


def _rows(layout: Layout, chunk: bytes) -> npt.NDArray[Any]:
    """All rows of a chunk; the last one of an array is filled up."""
    raw = chunk if layout.compressor is None else _DECOMPRESS[layout.compressor](chunk)
    return np.frombuffer(raw, dtype=layout.dtype).reshape(layout.chunk_rows, *layout.row_shape)
