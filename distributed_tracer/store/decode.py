"""Chunks of bytes -> rows of an array. zarr's way there takes a millisecond for each array; a part has 36 of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc, zstd

from .layout import Layout, Rows


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
    """All rows of a chunk; the last one of an array is filled up. No more memory is taken than those need, whatever
    the chunk says of itself."""
    raw: bytes | npt.NDArray[np.uint8] = chunk
    if layout.compressor is not None:
        size_of, decompress = _CODECS[layout.compressor]
        if (size := size_of(chunk)) not in (layout.chunk_bytes, None):
            raise ValueError(f"a chunk of {size} bytes where {layout.chunk_bytes} belong")
        raw = np.empty(layout.chunk_bytes, dtype=np.uint8)
        decompress(chunk, raw)
    return np.frombuffer(raw, dtype=layout.dtype).reshape(layout.chunk_rows, *layout.row_shape)


def _zstd_size(frame: bytes) -> int | None:
    """Bytes that a frame says it holds (RFC 8878, 3.1.1.1); None if it does not, and the decompressor will see."""
    if frame[:4] != b"\x28\xb5\x2f\xfd" or len(frame) < 6:
        raise ValueError("not a frame of zstd")
    descriptor = frame[4]
    is_single = descriptor >> 5 & 1
    begin = 5 + (1 - is_single) + (0, 1, 2, 4)[descriptor & 3]
    num_bytes = (is_single, 2, 4, 8)[descriptor >> 6]
    size = int.from_bytes(frame[begin : begin + num_bytes], "little")
    return size + 256 * (num_bytes == 2) if num_bytes else None


def _blosc_size(chunk: bytes) -> int:
    """Bytes that a chunk says it holds. It also says of how many it is itself, and is believed when it is read."""
    if len(chunk) < _BLOSC_HEADER or int.from_bytes(chunk[12:16], "little") != len(chunk):
        raise ValueError("not a chunk of blosc, or cut off")
    return int.from_bytes(chunk[4:8], "little")


_BLOSC_HEADER = 16
_CODECS: Mapping[str, tuple[Callable[[bytes], int | None], Callable[[bytes, Any], Any]]] = {
    "zstd": (_zstd_size, zstd.decompress),
    "blosc": (_blosc_size, blosc.decompress),
}
