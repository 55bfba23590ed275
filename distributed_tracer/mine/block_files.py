"""Block files: the stored tables of an atlas, in a Parquet file for each table and each block of partitions.

    tables/edges_once/block_0003.parquet

The rows of a partition are row groups of their own, so that a reader finds the rows of the same targets in all tables.
Only in the tables of added prompts, which have few rows in each partition, row groups have those of many partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..table_folder import import_parquet
from .columns import INSTANCE_COLUMNS, NAMES, RECURRING_COLUMNS, STORED_NODE_COLUMNS, Column, arrow_table, encodings

BLOCK = 16
"""Number of partitions of a block."""
GROUP_ROWS = 1 << 18
"""Most rows of a row group."""
STORED: dict[str, Mapping[str, Column]] = {
    "nodes": STORED_NODE_COLUMNS,
    "edges_once": INSTANCE_COLUMNS,
    "edges_recurring": RECURRING_COLUMNS,
    "instances": INSTANCE_COLUMNS,
}
"""Columns of the tables that are stored by partition."""
_COMPRESSION = {"nodes": "lz4", "edges_recurring": "lz4"}
"""Codec of the tables that it makes much smaller."""


def block_path(folder: Path, table: str, block: int) -> Path:
    """Return the file of a table and a block."""
    return folder / table / f"block_{block:04d}.parquet"


class BlockWriter:
    """Writes the tables of one block into `folder`, which a task has for itself: the files are not synced.

    A table without rows has no file. Each partition begins row groups of its own, unless `is_spanning`.
    """

    def __init__(
        self, folder: Path, block: int, tables: Sequence[str], of_graphs: str, is_spanning: bool = False
    ) -> None:
        self._folder, self._block, self._of_graphs, self._is_spanning = folder, block, of_graphs, is_spanning
        self._stack = ExitStack()
        self._writers: dict[str, Any] = {}
        self._waiting: dict[str, list[Any]] = {table: [] for table in tables}
        self.num_rows: dict[str, list[int]] = {table: [] for table in tables}
        """Number of rows of each table and partition."""
        self._starts = np.zeros(1, dtype=np.int64)

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is None:
            self._flush()
        return self._stack.__exit__(kind, error, trace)

    def begin(self, starts: npt.NDArray[np.int64]) -> None:
        """Begin partitions, given the first site of each, followed by the first site after them."""
        if not self._is_spanning:
            self._flush()
        self._starts = starts
        for counts in self.num_rows.values():
            counts += [0] * (len(starts) - 1)

    def add(self, table: str, rows: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add rows of the present partitions, in the order of their sites or targets."""
        site = rows["site" if "site" in rows else "target"]
        counts = self.num_rows[table]
        own = np.diff(np.searchsorted(site, self._starts)).tolist()
        counts[-len(own) :] = [one + more for one, more in zip(counts[-len(own) :], own, strict=True)]
        waiting = self._waiting[table]
        waiting.append(arrow_table(STORED[table], rows, self._of_graphs))
        if sum(one.num_rows for one in waiting) > GROUP_ROWS:
            joined = _joined(waiting)
            whole = joined.num_rows // GROUP_ROWS * GROUP_ROWS
            self._write(table, joined.slice(0, whole))
            waiting[:] = [joined.slice(whole)]

    def _flush(self) -> None:
        for table, waiting in self._waiting.items():
            if any(one.num_rows for one in waiting):
                self._write(table, _joined(waiting))
            waiting.clear()

    def _write(self, table: str, rows: Any) -> None:
        if table not in self._writers:
            path = block_path(self._folder, table, self._block)
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = import_parquet().ParquetWriter(
                path,
                rows.schema,
                compression=_COMPRESSION.get(table, "none"),
                write_statistics=[name for name in ("target", "source", "site") if name in rows.column_names],
                **encodings({name: STORED[table][name] for name in rows.column_names}),
            )
            self._writers[table] = self._stack.enter_context(writer)
        self._writers[table].write_table(rows, GROUP_ROWS)


def _joined(tables: Sequence[Any]) -> Any:
    return import_module("pyarrow").concat_tables(tables).combine_chunks()


def division(num_rows: Mapping[str, Sequence[int]], block: int = BLOCK, is_spanning: bool = False) -> dict[str, Any]:
    """Return what a reader must know of tables with these numbers of rows of each partition, as JSON.

    `block` is the number of partitions of a file, and `is_spanning` whether row groups have rows of several ones.
    """
    found = {"block": block, "group_rows": GROUP_ROWS, "rows": num_rows}
    return {**found, "is_spanning": True} if is_spanning else found


class BlockReader:
    """Reads the rows of partitions.

    `division` is what `division` returned when they were written, and `open_file` returns a pyarrow.ParquetFile of a
    path.
    """

    def __init__(self, folder: Path, division: Mapping[str, Any], open_file: Callable[[Path], Any]) -> None:
        self._folder, self._open = folder, open_file
        self.num_rows: Mapping[str, Sequence[int]] = division["rows"]
        self._block, self._group_rows = int(division["block"]), int(division["group_rows"])
        self._is_spanning = bool(division.get("is_spanning", False))
        self._files: dict[tuple[str, int], Any] = {}
        self._read: dict[str, tuple[tuple[Any, ...], dict[str, npt.NDArray[Any]]]] = {}
        """Of each table, the row groups of several partitions that were read last, and their columns."""

    def read(self, table: str, partition: int, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
        """Return columns of a partition's rows; kinds and distances as numbers."""
        columns, rows = {name: STORED[table][name] for name in names}, self.num_rows[table]
        if not rows[partition] or not columns:
            return {name: np.empty(0, _dtype(column)) for name, column in columns.items()}
        block = partition // self._block
        before = rows[block * self._block : partition]
        if not self._is_spanning:
            first = sum(-(-number // self._group_rows) for number in before)
            return self._groups(table, block, first, first + -(-rows[partition] // self._group_rows), columns)
        begin, end = sum(before), sum(before) + rows[partition]
        first, stop = begin // self._group_rows, -(-end // self._group_rows)
        asked = (block, first, stop, *columns)
        if table not in self._read or self._read[table][0] != asked:
            self._read[table] = asked, self._groups(table, block, first, stop, columns)
        shift = first * self._group_rows
        return {name: values[begin - shift : end - shift] for name, values in self._read[table][1].items()}

    def _groups(
        self, table: str, block: int, first: int, end: int, columns: Mapping[str, Column]
    ) -> dict[str, npt.NDArray[Any]]:
        """Return columns of row groups of one file."""
        found = self._file(table, block).read_row_groups(list(range(first, end)), list(columns), use_threads=False)
        found = found.combine_chunks()
        return {name: column_values(found[name], column) for name, column in columns.items()}

    def _file(self, table: str, block: int) -> Any:
        if (table, block) not in self._files:
            for other in [key for key in self._files if key[0] == table]:
                del self._files[other]  # blocks are read one after another
            self._files[table, block] = self._open(block_path(self._folder, table, block))
        return self._files[table, block]


def _dtype(column: Column) -> str:
    return "i1" if column.kind in NAMES else column.kind


def column_values(chunks: Any, column: Column) -> npt.NDArray[Any]:
    """Return the values of a column, in which text is the number of its name."""
    array = chunks.combine_chunks()
    array = array.chunk(0) if hasattr(array, "chunk") else array
    if column.kind not in NAMES:
        found: npt.NDArray[Any] = array.to_numpy()
        return found
    place_of = {name: place for place, name in enumerate(NAMES[column.kind])}
    names = np.array([place_of[name] for name in array.dictionary.to_pylist()], dtype=np.int8)
    numbers: npt.NDArray[np.int8] = names[array.indices.to_numpy()]
    return numbers
