"""joined_part: writes the graphs of several parts as one part, some chunks at a time, bitwise unchanged.

Every array of the new part is a concatenation of ranges of rows of the old ones. So no graph is built, and memory does
not depend on the sizes of parts.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .backend.base import Backend
from .backend.retry import retry_until
from .format.part_manifest import PartManifest
from .format.run_file import provenance_of
from .format.schema import COLUMNS, POINTER_COLUMN, Column
from .format.zarr_encode import ArrayStream, has_narrow_nodes, stream_group
from .object_names import RUN
from .part import Part, row_starts
from .read.part_range import part_ranges
from .read.range_edges import check_range_edges

_CHUNKS_AT_ONCE = 8
_BYTES_AT_ONCE = 1 << 25

Sources = Sequence[tuple[Part, Sequence[int]]]
"""Parts, and the rows of the prompts of each that are to be copied, ascending."""


def write_joined_part(root: Backend, sources: Sources, retry_seconds: float) -> PartManifest:
    """Write one part with these prompts, in this order, and return its manifest; it counts once it is committed.

    All parts must hold all active features, or none must. A write that fails is retried for `retry_seconds`. Raises
    StoreCorrupt for parts whose edges contradict their nodes, StoreError if the part cannot be written.
    """
    for part_range in part_ranges([(part, list(rows)) for part, rows in sources], "num_nodes", "num_edges"):
        check_range_edges(part_range)
    known: list[dict[str, Any]] = []
    retry_until(lambda: known.append(provenance_of(root.read(RUN))), retry_seconds)
    upload = _Upload(root, uuid.uuid4().hex, retry_seconds)
    stream_group("part", _arrays(sources), upload.add, known[-1])
    upload.send()
    entries = tuple(part.manifest.prompts[row] for part, rows in sources for row in rows)
    return PartManifest(upload.part, entries, {key: upload.checksums[key] for key in sorted(upload.checksums)})


@dataclass
class _Upload:
    """Objects of a part on their way into the store."""

    root: Backend
    part: str
    retry_seconds: float
    checksums: dict[str, tuple[int, str]] = field(default_factory=dict)
    waiting: dict[str, bytes] = field(default_factory=dict)

    def add(self, objects: dict[str, bytes]) -> None:
        self.checksums |= {key: (len(data), hashlib.sha256(data).hexdigest()) for key, data in objects.items()}
        self.waiting |= {f"parts/{self.part}/{key}": data for key, data in objects.items()}
        if sum(map(len, self.waiting.values())) >= _BYTES_AT_ONCE:
            self.send()

    def send(self) -> None:
        retry_until(lambda: self.root.put_many(self.waiting), self.retry_seconds)
        self.waiting = {}


def _arrays(sources: Sources) -> Iterator[ArrayStream]:
    """Yield every array of the new part: those that `encode_part` would write for the same prompts."""
    is_narrow = has_narrow_nodes(part.manifest.prompts[row].num_nodes for part, rows in sources for row in rows)
    for column in COLUMNS.values():
        having = [part for part, _ in sources if part.has(column.name)]
        if not having:
            continue
        num_rows = sum(sum(end - first for first, end in _runs(part, rows, column)) for part, rows in sources)
        width = max(part.layout(column.name).row_shape for part in having)
        dtype = np.dtype("u2" if is_narrow else "u4") if column.name == "edges/source" else np.dtype(column.dtype)
        yield ArrayStream(column, (num_rows, *width), dtype, partial(_blocks, sources, column, width, dtype))
    sizes = [np.diff(part.head[POINTER_COLUMN.name], axis=0)[list(rows)] for part, rows in sources]
    pointers = np.concatenate([np.zeros((1, sizes[0].shape[1]), np.int64), np.cumsum(np.concatenate(sizes), axis=0)])
    yield ArrayStream(POINTER_COLUMN, pointers.shape, pointers.dtype, lambda: iter([pointers]))


def _runs(part: Part, rows: Sequence[int], column: Column) -> list[tuple[int, int]]:
    """Return the ranges of an array's rows that belong to the prompts at `rows`: one for each run of prompts."""
    numbers = np.asarray(rows, dtype=np.int64)
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    starts = row_starts(column, part.head[POINTER_COLUMN.name])
    return [(int(starts[run[0]]), int(starts[run[-1] + 1])) for run in np.split(numbers, cuts) if len(run)]


def _blocks(
    sources: Sources, column: Column, width: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[npt.NDArray[Any]]:
    for part, rows in sources:
        for first, end in _runs(part, rows, column):
            if not part.has(column.name):
                yield np.full((end - first, *width), column.unknown, dtype=dtype)
                continue
            step = part.layout(column.name).chunk_rows * _CHUNKS_AT_ONCE
            for begin in range(first - first % step, end, step):
                values = part.read({column.name: slice(max(begin, first), min(begin + step, end))})[column.name]
                if values.shape[1:] != width:
                    wider = np.full((len(values), *width), column.unknown, dtype=dtype)
                    wider[:, : values.shape[1]] = values
                    values = wider
                yield values.astype(dtype, copy=False)
