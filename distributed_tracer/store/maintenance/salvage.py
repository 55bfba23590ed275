"""Salvage: reads the intact prompts of a part with damaged objects."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt

from ...errors import StoreCorrupt
from ..format.schema import COLUMNS, POINTER_COLUMN, POINTERS, SIZES, Columns
from ..part import Part, row_starts


def unreadable_rows(part: Part, damaged: Collection[str]) -> set[int]:
    """Return the rows of the prompts that cannot be read completely without the objects with these keys.

    All rows are returned if the pointers, or the metadata of all arrays, are damaged, since nothing can be determined
    then. A prompt is also returned if its sizes in the commit differ from those in the part.
    """
    everything = set(range(len(part.manifest.prompts)))
    try:
        pointers = _pointers(part)
        hit = [_prompts_of(part, key, pointers) for key in damaged]
    except StoreCorrupt:
        return everything
    for size, axis in SIZES.items():
        expected = [getattr(entry, size) for entry in part.manifest.prompts]
        hit.append(set(np.flatnonzero(np.diff(pointers[:, POINTERS.index(axis)]) != expected).tolist()))
    return everything.intersection(set().union(*hit))


def read_intact_rows(part: Part, rows: Collection[int]) -> Iterator[tuple[int, Columns]]:
    """Yield all columns of these prompts; objects that hold only rows of other prompts are not read."""
    pointers = _pointers(part)
    for first, end in _runs(sorted(rows)):
        columns = [column for column in COLUMNS.values() if part.has(column.name)]
        start_of = {column.name: row_starts(column, pointers) for column in columns}
        read = part.read({name: slice(int(start[first]), int(start[end])) for name, start in start_of.items()})
        for row in range(first, end):
            own = {
                name: read[name][int(start[row] - start[first]) : int(start[row + 1] - start[first])]
                for name, start in start_of.items()
            }
            yield row, {**part.absent(row), **own}


def _pointers(part: Part) -> npt.NDArray[np.int64]:
    """Return the part's pointers, reading nothing else. Raises StoreCorrupt if they or the metadata are damaged."""
    rows = slice(0, len(part.manifest.prompts) + 1)
    pointers: npt.NDArray[np.int64] = part.read({POINTER_COLUMN.name: rows})[POINTER_COLUMN.name]
    return pointers


def _prompts_of(part: Part, key: str, pointers: npt.NDArray[np.int64]) -> set[int]:
    """Return the rows of the prompts that have data in an object."""
    name, _, chunk = key.partition("/c/")
    if key == "zarr.json" or (name == POINTER_COLUMN.name and chunk):
        return set(range(len(pointers) - 1))
    if name not in COLUMNS or not chunk or not part.has(name):
        return set()  # the object is the metadata of one array, which the root's zarr.json has, too
    starts, size = row_starts(COLUMNS[name], pointers), part.layout(name).chunk_rows
    first = int(chunk.partition("/")[0]) * size
    hit = (starts[1:] > first) & (starts[:-1] < first + size) & (starts[1:] > starts[:-1])
    return set(np.flatnonzero(hit).tolist())


def _runs(rows: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the first row and the end of each range of consecutive rows."""
    first = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or rows[place] != rows[place - 1] + 1:
            yield rows[first], rows[place - 1] + 1
            first = place
