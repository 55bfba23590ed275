"""Block files: the stored tables of an atlas, in a Parquet file for each table and each block of partitions.

    tables/edges_once/block_0003.parquet

The rows of a partition are row groups of their own, so that a reader finds the rows of the same targets in all tables.
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
from .columns import INSTANCE_COLUMNS, NAMES, RECURRING_COLUMNS, STORED_NODE_COLUMNS, Column, arrow_table

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

    A table without rows has no file.
    """

    def __init__(self, folder: Path, block: int, tables: Sequence[str], of_graphs: str) -> None:
        self._folder, self._block, self._of_graphs = folder, block, of_graphs
        self._stack = ExitStack()
        self._writers: dict[str, Any] = {}
        self._waiting: dict[str, list[Any]] = {table: [] for table in tables}
        self._rows: dict[str, list[int]] = {table: [0] for table in tables}

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def add(self, table: str, rows: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add rows of the present partition."""
        waiting = self._waiting[table]
        waiting.append(arrow_table(STORED[table], rows, self._of_graphs))
        if sum(one.num_rows for one in waiting) > GROUP_ROWS:
            joined = _joined(waiting)
            whole = joined.num_rows // GROUP_ROWS * GROUP_ROWS
            self._write(table, joined.slice(0, whole))
            waiting[:] = [joined.slice(whole)]

    def end_partition(self) -> None:
        """Begin the next partition."""
        for table, waiting in self._waiting.items():
            if any(one.num_rows for one in waiting):
                self._write(table, _joined(waiting))
            waiting.clear()
            self._rows[table].append(0)

    @property
    def num_rows(self) -> dict[str, list[int]]:
        """Number of rows of each table and partition that was ended."""
        return {table: rows[:-1] for table, rows in self._rows.items()}

    def _write(self, table: str, rows: Any) -> None:
        if table not in self._writers:
            path = block_path(self._folder, table, self._block)
            path.parent.mkdir(parents=True, exist_ok=True)
            encodings: dict[str, Any] = {
                "write_statistics": [name for name in ("target", "source", "site") if name in rows.column_names],
                "use_dictionary": [name for name, column in STORED[table].items() if column.kind in NAMES],
                "column_encoding": {
                    name: "BYTE_STREAM_SPLIT" if column.kind[0] == "f" else "DELTA_BINARY_PACKED"
                    for name, column in STORED[table].items()
                    if column.kind not in NAMES and name in rows.column_names
                },
            }
            writer = import_parquet().ParquetWriter(
                path, rows.schema, compression=_COMPRESSION.get(table, "none"), **encodings
            )
            self._writers[table] = self._stack.enter_context(writer)
        self._writers[table].write_table(rows, GROUP_ROWS)
        self._rows[table][-1] += rows.num_rows


def _joined(tables: Sequence[Any]) -> Any:
    return import_module("pyarrow").concat_tables(tables).combine_chunks()


def division(num_rows: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return what a reader must know of tables with these numbers of rows of each partition, as JSON."""
    return {"block": BLOCK, "group_rows": GROUP_ROWS, "rows": num_rows}


class BlockReader:
    """Reads the rows of partitions.

    `division` is what `division` returned when they were written, and `open_file` returns a pyarrow.ParquetFile of a
    path.
    """

    def __init__(self, folder: Path, division: Mapping[str, Any], open_file: Callable[[Path], Any]) -> None:
        self._folder, self._open = folder, open_file
        self.num_rows: Mapping[str, Sequence[int]] = division["rows"]
        self._block, self._group_rows = int(division["block"]), int(division["group_rows"])
        self._files: dict[tuple[str, int], Any] = {}

    def read(self, table: str, partition: int, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
        """Return columns of a partition's rows; kinds and distances as numbers."""
        columns, rows = {name: STORED[table][name] for name in names}, self.num_rows[table]
        if not rows[partition] or not columns:
            return {name: np.empty(0, _dtype(column)) for name, column in columns.items()}
        block = partition // self._block
        before = rows[block * self._block : partition]
        first = sum(-(-number // self._group_rows) for number in before)
        groups = range(first, first + -(-rows[partition] // self._group_rows))
        file = self._file(table, block)
        found = file.read_row_groups(list(groups), list(columns), use_threads=False).combine_chunks()
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
