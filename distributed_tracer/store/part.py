"""Part: one committed part, read by ranges: only the chunks that hold the rows asked for, all in one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.buffer.cpu import Buffer
from zarr.storage import MemoryStore

from ..errors import StoreCorrupt
from ..graph.graph import Graph
from .columns import graph_of
from .layout import Layout, Rows, layouts_of
from .objects import PartObjects
from .receipt import Receipt
from .root import Root
from .schema import BODY, COLUMNS, HEAD, POINTER_COLUMN, POINTERS, Column, Columns

_COUNTED = {
    "num_tokens": "token",
    "num_targets": "target",
    "num_nodes": "node",
    "num_edges": "edge",
    "num_active": "active",
}


class Part:
    """Reads of one part. Objects are fetched in one call, checked, and decoded from memory by zarr."""

    def __init__(self, root: Root, receipt: Receipt) -> None:
        self.receipt = receipt
        self.objects = PartObjects(root, receipt)
        self._memory: dict[str, Any] = {}  # what the arrays of this part see as their store
        self._lock = Lock()

    @cached_property
    def head(self) -> Columns:
        """The small arrays, of all prompts: pointers, texts, targets, scores, metadata."""
        names = [POINTER_COLUMN.name, *(column.name for column in HEAD)]
        head = self.read({name: self._all(name) for name in names})
        self._check_pointers(head[POINTER_COLUMN.name])
        return head

    def pointers(self, column: Column) -> npt.NDArray[np.int64]:
        """First row of each prompt in an array, and at the end the number of all rows."""
        if column.axis == "prompt":
            return np.arange(len(self.receipt.prompts) + 1)
        pointers: npt.NDArray[np.int64] = self.head[POINTER_COLUMN.name][:, POINTERS.index(column.axis)]
        return pointers

    def prompt(self, number: int) -> Columns:
        """The small arrays of the part's prompt `number`."""
        return {column.name: self.head[column.name][self._own(column, number)] for column in HEAD}

    def graph(self, number: int) -> Graph:
        """The graph of the part's prompt `number`."""
        body = self.read({column.name: self._own(column, number) for column in self._body})
        return self._graph(number, body)

    def graphs(self, numbers: Iterable[int]) -> Iterator[Graph]:
        """The graphs of several prompts; the part is read as a whole, once."""
        body = self.read({column.name: self._all(column.name) for column in self._body})
        for number in numbers:
            yield self._graph(number, {c.name: body[c.name][self._own(c, number)] for c in self._body})

    def nodes(self, names: Sequence[str], rows: Rows | None = None) -> Columns:
        """Columns of the node table by short name (`kind`, `layer`, ...), of all prompts or only some rows."""
        wanted = {f"nodes/{name}": self._all(f"nodes/{name}") if rows is None else rows for name in names}
        return {name.removeprefix("nodes/"): values for name, values in self.read(wanted).items()}

    def read(self, wanted: Mapping[str, Rows]) -> Columns:
        """Rows of arrays, by name. Raises StoreCorrupt naming what is damaged and whose it is."""
        keys = [f"{name}/{chunk}" for name, rows in wanted.items() for chunk in self._layouts[name].chunks(rows)]
        chunks = {key: Buffer.from_bytes(data) for key, data in self.objects.fetch(keys).items()}
        arrays = self._arrays
        with self._lock:
            self._memory.update(chunks)
            try:
                return {name: _rows_of(arrays[name], rows) for name, rows in wanted.items()}
            except (ValueError, TypeError, RuntimeError) as error:
                raise self._undecodable(error) from error
            finally:
                for key in chunks:
                    del self._memory[key]

    def _all(self, name: str) -> slice:
        return slice(0, self._layouts[name].num_rows)

    def _own(self, column: Column, number: int) -> slice:
        pointers = self.pointers(column)
        return slice(int(pointers[number]), int(pointers[number + 1]))

    @property
    def _body(self) -> list[Column]:
        return [column for column in BODY if column.name in self._layouts]

    @cached_property
    def _layouts(self) -> dict[str, Layout]:
        return layouts_of(self.objects.fetch(["zarr.json"])["zarr.json"], self.objects.where)

    @cached_property
    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        """The part's arrays, whose chunks are in memory only while they are being decoded."""
        for name, layout in self._layouts.items():
            self._memory[f"{name}/zarr.json"] = Buffer.from_bytes(layout.metadata)
        store = MemoryStore(self._memory)
        try:
            return {name: zarr.open_array(store, path=name, mode="r", zarr_format=3) for name in self._layouts}
        except (ValueError, TypeError, KeyError) as error:
            raise self._undecodable(error) from error

    def _graph(self, number: int, body: Columns) -> Graph:
        try:
            graph = graph_of({**self.prompt(number), **body})
        except (ValueError, KeyError, IndexError) as error:
            raise self._undecodable(error) from error
        if graph.prompt_id != self.receipt.prompts[number].id:
            said = self.receipt.prompts[number].id
            raise StoreCorrupt(f"{self.objects.where} has prompt {graph.prompt_id!r} where its commit says {said!r}")
        return graph

    def _undecodable(self, error: Exception) -> StoreCorrupt:
        return StoreCorrupt(f"{self.objects.where} cannot be decoded: {type(error).__name__}: {error}")

    def _check_pointers(self, pointers: npt.NDArray[np.int64]) -> None:
        """Pointers, the arrays' lengths and the commit's sizes must tell the same story."""
        for size, axis in _COUNTED.items():
            expected = [getattr(entry, size) for entry in self.receipt.prompts]
            if np.diff(pointers[:, POINTERS.index(axis)]).tolist() != expected:
                raise StoreCorrupt(f"{self.objects.where}: {axis} pointers differ from the commit's {size}")
        for name, layout in self._layouts.items():
            axis = COLUMNS[name].axis if name in COLUMNS else "prompt"
            end = len(pointers) - 1 if axis == "prompt" else pointers[-1, POINTERS.index(axis)]
            if name in COLUMNS and layout.num_rows != end:
                raise StoreCorrupt(f"{self.objects.where}: {name} has {layout.num_rows} rows, its pointers {end}")


def _rows_of(array: zarr.Array[Any], rows: Rows) -> npt.NDArray[Any]:
    if not isinstance(rows, slice) and not len(rows):
        return np.empty(0, dtype=array.dtype)
    return np.asarray(array.oindex[rows])
