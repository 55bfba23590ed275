"""Layout: shapes and chunks of a part's arrays, from its consolidated metadata, checked against the format."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import StoreCorrupt
from .schema import Column

Rows = slice | npt.NDArray[np.intp]
"""A range of rows with both ends given, or row numbers in ascending order."""

_LARGEST = 1 << 48
_LARGEST_CHUNK = 1 << 26
"""Bytes, uncompressed. Those of this format have eight megabytes at most."""
_COMPRESSORS = ("zstd", "blosc")  # a store must not choose what else gets run


@dataclass(frozen=True)
class Layout:
    """One array: how many rows, and how many to a chunk."""

    num_rows: int
    chunk_rows: int
    row_shape: tuple[int, ...] = ()
    """Length of the second axis, if there is one."""
    dtype: np.dtype[Any] = np.dtype("u1")  # noqa: RUF009  (immutable)
    compressor: str | None = None

    @property
    def num_chunks(self) -> int:
        """Of all rows."""
        return -(-self.num_rows // self.chunk_rows)

    @property
    def chunk_bytes(self) -> int:
        """Of a chunk, uncompressed; the last one is filled up."""
        return self.chunk_rows * math.prod(self.row_shape) * self.dtype.itemsize

    def chunks(self, rows: Rows) -> list[str]:
        """Endings of the keys of all chunks that hold some of `rows`."""
        numbers: Iterable[int]
        if isinstance(rows, slice):
            first, end = rows.start, rows.stop
            numbers = range(first // self.chunk_rows, (end - 1) // self.chunk_rows + 1) if end > first else ()
        else:
            numbers = np.unique(rows // self.chunk_rows).tolist()
        return [f"c/{number}" + "/0" * len(self.row_shape) for number in numbers]


def layouts_of(metadata: bytes, where: str, columns: Iterable[Column]) -> dict[str, Layout]:
    """Layout of each of `columns`, by name, from the root's `zarr.json` of a part or an index.

    Raises StoreCorrupt for a missing array (that is not optional), a dtype or a codec that the format does not have.
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
    row_shape = (len(column.names),) if column.names else ()
    if tuple(shape[1:]) != row_shape or tuple(chunks[1:]) != row_shape:
        raise ValueError(f"{column.name} has shape {shape}, chunks {chunks}")
    if not all(type(size) is int and 0 <= size < _LARGEST for size in (*shape, *chunks)) or chunks[0] < 1:
        raise ValueError(f"{column.name} has shape {shape}, chunks of {chunks[0]} rows")
    dtype = np.dtype(document["data_type"]).newbyteorder("<")
    layout = Layout(shape[0], chunks[0], row_shape, dtype, _compressor(column.name, document["codecs"]))
    if layout.chunk_rows > max(1, layout.num_rows) or layout.chunk_bytes > _LARGEST_CHUNK:
        raise ValueError(f"{column.name} has {shape[0]} rows in chunks of {chunks[0]} rows, {layout.chunk_bytes} bytes")
    return layout


def _compressor(name: str, codecs: list[dict[str, Any]]) -> str | None:
    """What bytes are compressed with: the only thing that the format lets vary."""
    names = [codec["name"] for codec in codecs]
    if strange := sorted({*names} - {"bytes", *_COMPRESSORS}):
        raise ValueError(f"{name} has codec {strange[0]!r}")
    if names[:1] != ["bytes"] or len(names) > 2 or names[1:] == ["bytes"]:
        raise ValueError(f"{name} has codecs {', '.join(names)}")
    if codecs[0].get("configuration", {}).get("endian", "little") != "little":
        raise ValueError(f"{name} is not little-endian")
    return names[1] if len(names) == 2 else None
