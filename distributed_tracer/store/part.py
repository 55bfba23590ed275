"""Part: one committed part, of which any range of rows can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import StoreCorrupt
from ..graph.graph import Graph
from .arrays import Arrays
from .backend.base import Backend
from .checked_objects import CheckedPartObjects
from .format.graph_columns import check_edges, graph_of
from .format.part_manifest import PartManifest
from .format.schema import BODY, COLUMNS, HEAD, POINTER_COLUMN, POINTERS, SIZES, Axis, Column, Columns
from .format.zarr_decode import Layout, Rows

ROWS_AT_ONCE = 1 << 21
"""Maximum number of rows of a table that are read for several prompts at once. The chunk at the end of these rows is
often decoded for the next ones, too: of edges, it holds a sixteenth of them."""


class Part:
    """Reads the arrays and graphs of one part."""

    def __init__(self, root: Backend, manifest: PartManifest) -> None:
        self.manifest = manifest
        self.objects = CheckedPartObjects(root, manifest)
        self._arrays = Arrays(self.objects, (POINTER_COLUMN, *COLUMNS.values()), _num_rows(manifest))

    @cached_property
    def head(self) -> Columns:
        """The small arrays of all prompts: pointers, texts, targets, scores, metadata."""
        head = self._arrays.read_all([POINTER_COLUMN.name, *(column.name for column in HEAD)])
        self._check_pointers(head[POINTER_COLUMN.name])
        self._check_sizes("label_byte", "target", head["targets/label_size"], head[POINTER_COLUMN.name])
        return head

    def pointers(self, column: Column) -> npt.NDArray[np.int64]:
        """Return the first row of each prompt in an array, followed by the number of all rows: int64 [prompts + 1]."""
        return row_starts(column, self.head[POINTER_COLUMN.name])

    def prompt(self, number: int) -> Columns:
        """Return the small arrays of prompt `number` of the part."""
        return {column.name: self.head[column.name][self._own(column, number)] for column in HEAD}

    def graph(self, number: int) -> Graph:
        """Return the graph of prompt `number` of the part."""
        body = self.read({column.name: self._own(column, number) for column in self._body})
        return self._graph(number, body)

    def groups_to_read(self, numbers: Iterable[int]) -> Iterator[list[int]]:
        """Yield prompts, given in ascending order, in groups that fit into memory.

        From the first to the last prompt of a group there are at most `ROWS_AT_ONCE` edges and as many active features,
        unless a single prompt has more.
        """
        entries = self.manifest.prompts
        sizes = np.array([(entry.num_edges, entry.num_active) for entry in entries], dtype=np.int64).reshape(-1, 2)
        ends = np.concatenate([np.zeros((1, 2), dtype=np.int64), np.cumsum(sizes, axis=0)])
        group: list[int] = []
        for number in numbers:
            if group and (ends[number + 1] - ends[group[0]]).max() > ROWS_AT_ONCE:
                yield group
                group = []
            group.append(number)
        if group:
            yield group

    def graphs(self, numbers: Sequence[int]) -> Iterator[Graph]:
        """Yield the graphs of several prompts.

        Everything between the first and the last of them is read in one call.
        """
        first, last = min(numbers), max(numbers)
        span = {c.name: slice(self._own(c, first).start, self._own(c, last).stop) for c in self._body}
        body = self.read(span)

        def own(column: Column, number: int) -> npt.NDArray[Any]:
            rows, begin = self._own(column, number), span[column.name].start
            return body[column.name][rows.start - begin : rows.stop - begin]

        return (self._graph(number, {c.name: own(c, number) for c in self._body}) for number in numbers)

    def bodies(self, numbers: Iterable[int], names: Collection[str] = ()) -> Iterator[tuple[int, Columns]]:
        """Yield the large arrays, or some of them, of several prompts, which are given in ascending order.

        They are views of arrays in which the prompts of a group are read together.
        """
        columns = [column for column in self._body if not names or column.name in names]
        for group in self.groups_to_read(numbers):
            begin = {c.name: self._own(c, group[0]).start for c in columns}
            body = self.read({c.name: slice(begin[c.name], self._own(c, group[-1]).stop) for c in columns})
            for number in group:
                own = {c.name: self._own(c, number) for c in columns}
                shifted = {name: slice(rows.start - begin[name], rows.stop - begin[name]) for name, rows in own.items()}
                yield number, self._checked(number, {name: body[name][rows] for name, rows in shifted.items()})

    def has(self, name: str) -> bool:
        """Whether the part has an array of this name."""
        return name in self._arrays.layouts

    def layout(self, name: str) -> Layout:
        """Return the number of rows and the chunks of an array that the part has."""
        return self._arrays.layouts[name]

    @property
    def keeps_active(self) -> bool:
        """Whether the part holds all active features, not only those that are nodes."""
        return self.has("active/layer")

    def columns(self, numbers: Iterable[int]) -> Iterator[tuple[int, Columns]]:
        """Yield all arrays of several prompts, as `columns_of` makes them.

        Active features that the part lacks are zeros.
        """
        for number, body in self.bodies(numbers):
            yield number, {**self.absent(number), **self.prompt(number), **body}

    def absent(self, number: int) -> Columns:
        """Return zeros for the active features of a prompt, which the part may lack, as arrays of their table."""
        num_active = self.manifest.prompts[number].num_active
        missing = (column for column in BODY if column.axis == "active" and not column.added)
        return {column.name: np.zeros(num_active, column.dtype) for column in missing}

    def nodes(self, names: Sequence[str], rows: Rows | None = None) -> Columns:
        """Return columns of the node table by short name (`kind`, `layer`, ...), of all prompts or of some rows."""
        wanted = {f"nodes/{name}": self._arrays.all(f"nodes/{name}") if rows is None else rows for name in names}
        return {name.removeprefix("nodes/"): values for name, values in self.read(wanted).items()}

    def read(self, wanted: Mapping[str, Rows]) -> Columns:
        """Return rows of arrays, by name.

        Raises StoreCorrupt, which names what is damaged and which prompts it concerns.
        """
        return self._arrays.read(wanted)

    def decoding(self, what: str) -> AbstractContextManager[None]:
        """Return a context manager that raises StoreCorrupt if the bytes that were read cannot be decoded."""
        return self._arrays.decoding(what)

    def _own(self, column: Column, number: int) -> slice:
        pointers = self.pointers(column)
        return slice(int(pointers[number]), int(pointers[number + 1]))

    @property
    def _body(self) -> list[Column]:
        return [column for column in BODY if column.name in self._arrays.layouts]

    def _checked(self, number: int, body: Columns) -> Columns:
        """Return the large arrays of a prompt after checking that its edges connect its nodes. Raises StoreCorrupt."""
        if "edges/source" in body and "nodes/in_degree" in body:
            with self.decoding(f"prompt {self.manifest.prompts[number].id!r}"):
                check_edges(body)
        return body

    def _graph(self, number: int, body: Columns) -> Graph:
        with self.decoding(f"prompt {self.manifest.prompts[number].id!r}"):
            graph = graph_of({**self.prompt(number), **body})
        if graph.prompt_id != self.manifest.prompts[number].id:
            expected_id = self.manifest.prompts[number].id
            raise StoreCorrupt(
                f"{self.objects.where} has prompt {graph.prompt_id!r} where its commit says {expected_id!r}"
            )
        return graph

    def _check_pointers(self, pointers: npt.NDArray[np.int64]) -> None:
        """Raise StoreCorrupt if pointers, lengths of arrays and sizes in the commit contradict each other."""
        if pointers[0].any() or (np.diff(pointers, axis=0) < 0).any():
            raise StoreCorrupt(f"{self.objects.where}: pointers do not begin at 0, or go back")
        for size, counted in SIZES.items():
            expected = [getattr(entry, size) for entry in self.manifest.prompts]
            if np.diff(pointers[:, POINTERS.index(counted)]).tolist() != expected:
                raise StoreCorrupt(f"{self.objects.where}: {counted} pointers differ from the commit's {size}")
        for name, layout in self._arrays.layouts.items():
            axis = COLUMNS[name].axis if name in COLUMNS else "prompt"
            end = len(pointers) - 1 if axis == "prompt" else pointers[-1, POINTERS.index(axis)]
            if name in COLUMNS and layout.num_rows != end:
                raise StoreCorrupt(f"{self.objects.where}: {name} has {layout.num_rows} rows, its pointers {end}")

    def _check_sizes(
        self, of_bytes: Axis, axis: Axis, sizes: npt.NDArray[np.int32], pointers: npt.NDArray[np.int64]
    ) -> None:
        """Raise StoreCorrupt if the sizes of a prompt's texts do not add up to the number of its bytes."""
        ends = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])[pointers[:, POINTERS.index(axis)]]
        if (ends != pointers[:, POINTERS.index(of_bytes)]).any():
            raise StoreCorrupt(f"{self.objects.where}: sizes of texts differ from the {of_bytes} pointers")


def row_starts(column: Column, pointers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first row of each prompt in an array, followed by the number of all rows: int64 [prompts + 1].

    `pointers` are those of the part, int64 [prompts + 1, axes].
    """
    if column.axis == "prompt":
        return np.arange(len(pointers))
    starts: npt.NDArray[np.int64] = pointers[:, POINTERS.index(column.axis)]
    return starts


def _num_rows(manifest: PartManifest) -> dict[str, int]:
    """Return the number of rows of each array whose length follows from the commit."""
    of_axis = {axis: sum(getattr(entry, size) for entry in manifest.prompts) for size, axis in SIZES.items()}
    of_axis["prompt"] = len(manifest.prompts)
    of_axis["id_byte"] = sum(len(entry.id.encode("utf-8", "surrogatepass")) for entry in manifest.prompts)
    known = {column.name: of_axis[column.axis] for column in COLUMNS.values() if column.axis in of_axis}
    return {**known, POINTER_COLUMN.name: len(manifest.prompts) + 1}
