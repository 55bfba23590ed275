"""Zarr decoding: checks the shapes and chunks of arrays in consolidated metadata, and decodes the chunks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc, zstd

from ...errors import StoreCorrupt
from .schema import Column

Rows = slice | npt.NDArray[np.intp]
"""A range of rows with both ends given, or row numbers in ascending order."""

_LARGEST = 1 << 48
_LARGEST_CHUNK = 1 << 26
"""Maximum size of an uncompressed chunk in bytes. The chunks that this format writes have at most eight megabytes."""
_COMPRESSORS = ("zstd", "blosc")  # a store must not be able to make us run any other codec


@dataclass(frozen=True)
class Layout:
    """Number of rows, rows per chunk, dtype and compressor of one array."""

    num_rows: int
    chunk_rows: int
    row_shape: tuple[int, ...] = ()
    """Length of the second axis, if there is one; else empty."""
    dtype: np.dtype[Any] = np.dtype("u1")  # noqa: RUF009  (immutable)
    compressor: str | None = None

    @property
    def num_chunks(self) -> int:
        """Number of chunks that hold all rows."""
        return -(-self.num_rows // self.chunk_rows)

    @property
    def chunk_bytes(self) -> int:
        """Size of an uncompressed chunk in bytes; the last chunk of an array is filled up to this size."""
        return self.chunk_rows * math.prod(self.row_shape) * self.dtype.itemsize

    def chunks(self, rows: Rows) -> list[str]:
        """Return the endings of the keys of all chunks that hold some of `rows`."""
        numbers: Iterable[int]
        if isinstance(rows, slice):
            first, end = rows.start, rows.stop
            numbers = range(first // self.chunk_rows, (end - 1) // self.chunk_rows + 1) if end > first else ()
        else:
            numbers = np.unique(rows // self.chunk_rows).tolist()
        return [f"c/{number}" + "/0" * len(self.row_shape) for number in numbers]


def layouts_of(metadata: bytes, where: str, columns: Iterable[Column]) -> dict[str, Layout]:
    """Return the layout of each of `columns`, by name, from the root `zarr.json` of a part or an index.

    Raises StoreCorrupt for a missing array that is not optional, and for a dtype or a codec that the format does not
    have.
    """
    try:
        below = json.loads(metadata)["consolidated_metadata"]["metadata"]
        return {
            column.name: _layout(column, below[column.name])
            for column in columns
            if not column.optional or column.name in below
        }
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise StoreCorrupt(f"{where} is not of this format: {type(error).__name__}: {error}") from error


def _layout(column: Column, document: dict[str, Any]) -> Layout:
    shape, chunks = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
    dtypes = {np.dtype(column.dtype).name} | ({"uint16"} if column.name == "edges/source" else set())
    if document["data_type"] not in dtypes:
        raise ValueError(f"{column.name} is {document['data_type']}, not {' or '.join(sorted(dtypes))}")
    row_shape = tuple(shape[1:2]) if column.by_layer else (len(column.names),) if column.names else ()
    if tuple(shape[1:]) != row_shape or tuple(chunks[1:]) != row_shape or column.by_layer > len(row_shape):
        raise ValueError(f"{column.name} has shape {shape}, chunks {chunks}")
    if not all(type(size) is int and 0 <= size < _LARGEST for size in (*shape, *chunks)) or chunks[0] < 1:
        raise ValueError(f"{column.name} has shape {shape}, chunks of {chunks[0]} rows")
    dtype = np.dtype(document["data_type"]).newbyteorder("<")
    layout = Layout(shape[0], chunks[0], row_shape, dtype, _compressor(column.name, document["codecs"]))
    if layout.chunk_rows > max(1, layout.num_rows) or layout.chunk_bytes > _LARGEST_CHUNK:
        raise ValueError(f"{column.name} has {shape[0]} rows in chunks of {chunks[0]} rows, {layout.chunk_bytes} bytes")
    return layout


def _compressor(name: str, codecs: list[dict[str, Any]]) -> str | None:
    """Return the compressor of an array, or None: the compressor is the only codec that the format lets vary."""
    names = [codec["name"] for codec in codecs]
    if strange := sorted({*names} - {"bytes", *_COMPRESSORS}):
        raise ValueError(f"{name} has codec {strange[0]!r}")
    if names[:1] != ["bytes"] or len(names) > 2 or names[1:] == ["bytes"]:
        raise ValueError(f"{name} has codecs {', '.join(names)}")
    if codecs[0].get("configuration", {}).get("endian", "little") != "little":
        raise ValueError(f"{name} is not little-endian")
    return names[1] if len(names) == 2 else None


def decode(layout: Layout, rows: Rows, chunks: Sequence[bytes]) -> npt.NDArray[Any]:
    """Return rows of an array, in newly allocated memory, decoded from the chunks that hold them.

    The chunks are in the order of `Layout.chunks`. Raises ValueError or RuntimeError for bytes that are not valid
    chunks.
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
    begin = rows.start - rows.start % layout.chunk_rows - rows.start  # the chunk's start, relative to the first row
    for chunk in chunks:
        first, end = max(begin, 0), min(begin + layout.chunk_rows, len(out))
        out[first:end] = _rows(layout, chunk)[first - begin : end - begin]
        begin += layout.chunk_rows
    return out


def _rows(layout: Layout, chunk: bytes) -> npt.NDArray[Any]:
    """Return all rows of a chunk; the last chunk of an array is filled up.

    Takes no more memory than the layout needs, whatever size the chunk itself claims to have.
    """
    raw: bytes | npt.NDArray[np.uint8] = chunk
    if layout.compressor is not None:
        size_of, decompress = _CODECS[layout.compressor]
        if (size := size_of(chunk)) not in (layout.chunk_bytes, None):
            raise ValueError(f"a chunk of {size} bytes where {layout.chunk_bytes} belong")
        raw = np.empty(layout.chunk_bytes, dtype=np.uint8)
        decompress(chunk, raw)
    return np.frombuffer(raw, dtype=layout.dtype).reshape(layout.chunk_rows, *layout.row_shape)


def _zstd_size(frame: bytes) -> int | None:
    """Return the content size in bytes that a zstd frame states (RFC 8878, 3.1.1.1); None if it states none.

    In that case the decompressor finds out whether the size is right.
    """
    if frame[:4] != b"\x28\xb5\x2f\xfd" or len(frame) < 6:
        raise ValueError("not a frame of zstd")
    descriptor = frame[4]
    is_single = descriptor >> 5 & 1
    begin = 5 + (1 - is_single) + (0, 1, 2, 4)[descriptor & 3]
    num_bytes = (is_single, 2, 4, 8)[descriptor >> 6]
    size = int.from_bytes(frame[begin : begin + num_bytes], "little")
    return size + 256 * (num_bytes == 2) if num_bytes else None


def _blosc_size(chunk: bytes) -> int:
    """Return the uncompressed size in bytes that a blosc chunk states.

    A chunk also states its compressed size, which blosc trusts when it reads the chunk, so it is checked here.
    """
    if len(chunk) < _BLOSC_HEADER or int.from_bytes(chunk[12:16], "little") != len(chunk):
        raise ValueError("not a chunk of blosc, or cut off")
    return int.from_bytes(chunk[4:8], "little")


_BLOSC_HEADER = 16
_CODECS: Mapping[str, tuple[Callable[[bytes], int | None], Callable[[bytes, Any], Any]]] = {
    "zstd": (_zstd_size, zstd.decompress),
    "blosc": (_blosc_size, blosc.decompress),
}
