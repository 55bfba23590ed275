"""Parquet: reads a file in groups of rows. It needs the optional package pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from ..errors import CorpusError
from .open_input import translate_read_errors
from .row import Row, check_columns

BATCH_ROWS = 1024
_BATCH_VALUES = 2**20
_BATCH_BYTES = 64 * 2**20
"""Bytes of the rows that are turned into Python objects at a time; a single row may take more."""


def parquet_rows(file: BinaryIO, name: str, text_field: str = "text") -> Iterator[Row]:
    """Yield one row for each row of the file; a null has no value.

    Raises CorpusError if pyarrow is not installed, if the file is not Parquet, or if no column can hold prompts.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise CorpusError(
            f"{name}: reading Parquet needs pyarrow: pip install 'distributed-tracer[parquet]'"
        ) from error
    if not file.seekable():
        raise CorpusError(f"{name}: Parquet is read from its end: found a stream, expected a file")
    with translate_read_errors(name):
        table = ParquetFile(file)
        # texts are read as dictionaries: a text that many rows share is in the file, and then in memory, only once
        texts = [column.path for column in map(table.schema.column, range(len(table.schema))) if _is_text(column)]
        table = ParquetFile(file, metadata=table.metadata, read_dictionary=texts)
        batches = table.iter_batches(batch_size=_rows_at_once(table.metadata))
    check_columns(table.schema_arrow.names, name, text_field)
    number = 0
    while True:
        with translate_read_errors(f"{name}:{number + 1}"):
            batch = next(batches, None)
        if batch is None:
            return
        step = max(1, _BATCH_BYTES // max(1, batch.get_total_buffer_size()))
        for first in range(0, batch.num_rows, step):
            with translate_read_errors(f"{name}:{number + 1}"):
                rows = batch.slice(first, step).to_pylist()
            for fields in rows:
                number += 1
                yield Row(number, fields)


def _is_text(column: Any) -> bool:
    return bool(column.physical_type == "BYTE_ARRAY" and column.max_repetition_level == 0)


def _rows_at_once(metadata: Any) -> int:
    """Return how many rows to read at a time: fewer if rows have many values, as a small file can hold huge lists."""
    most = 1.0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        num_values = max((group.column(n).num_values for n in range(group.num_columns)), default=0)
        most = max(most, num_values / max(1, group.num_rows))
    return max(1, min(BATCH_ROWS, int(_BATCH_VALUES / most)))
