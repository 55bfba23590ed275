"""Layout: shapes and chunks of a part's arrays, from its consolidated metadata, checked against the format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import StoreCorrupt
from .schema import COLUMNS, POINTER_COLUMN, Column

Rows = slice | npt.NDArray[np.intp]
"""A range of rows with both ends given, or row numbers in ascending order."""

_CODECS = {"bytes", "zstd", "blosc"}  # a store must not choose what else gets run


@dataclass(frozen=True)
class Layout:
    """One array: how many rows, and how many to a chunk."""

    num_rows: int
    chunk_rows: int
    dimensions: int
    metadata: bytes
    """The array's own `zarr.json`."""

    def chunks(self, rows: Rows) -> list[str]:
        """Endings of the keys of all chunks that hold some of `rows`."""
        numbers: Iterable[int]
        if isinstance(rows, slice):
            first, end = rows.start, rows.stop
            numbers = range(first // self.chunk_rows, (end - 1) // self.chunk_rows + 1) if end > first else ()
        else:
            numbers = np.unique(rows // self.chunk_rows).tolist()
        return [f"c/{number}" + "/0" * (self.dimensions - 1) for number in numbers]


def layouts_of(metadata: bytes, where: str) -> dict[str, Layout]:
    """Layout of every array of a part, by name, from its root's `zarr.json`.

    Raises StoreCorrupt for a missing array (other than active/...), a dtype or a codec that the format does not have.
    """
    try:
        below = json.loads(metadata)["consolidated_metadata"]["metadata"]
        columns = (POINTER_COLUMN, *COLUMNS.values())
        return {
            column.name: _layout(column, below[column.name])
            for column in columns
            if column.axis != "active" or column.name in below
        }
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreCorrupt(f"{where} is not of this format: {type(error).__name__}: {error}") from error


def _layout(column: Column, document: dict[str, Any]) -> Layout:
    shape, chunks = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
    codecs = {codec["name"] for codec in document["codecs"]}
    if not codecs <= _CODECS:
        raise ValueError(f"{column.name} has codec {sorted(codecs - _CODECS)[0]!r}")
    dtypes = {np.dtype(column.dtype).name} | ({"uint16"} if column.name == "edges/source" else set())
    if document["data_type"] not in dtypes:
        raise ValueError(f"{column.name} is {document['data_type']}, not {' or '.join(sorted(dtypes))}")
    if shape[1:] != ([len(column.names)] if column.names else []):
        raise ValueError(f"{column.name} has shape {shape}")
    return Layout(shape[0], chunks[0], len(shape), json.dumps(document).encode())
