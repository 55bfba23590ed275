"""Parquet: reads a file in groups of rows. It needs the optional package pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from ..errors import CorpusError
from .open_input import translate_read_errors
from .row import Row, check_columns

BATCH_ROWS = 1024
BATCH_ROWS_WITH_LISTS = 8
"""Fewer, as a small file can hold huge lists. The metadata of each column says how long they are, but where those are
damaged, Arrow ends the process while it reads them."""
_BATCH_BYTES = 64 * 2**20
"""Bytes of the rows that are turned into Python objects at a time; a single row may take more."""


def parquet_rows(
    file: BinaryIO,
    name: str,
    check: Callable[[Sequence[str], str], None] = check_columns,
    unit: str = "prompt",
) -> Iterator[Row]:
    """Yield one row for each row of the file; a null has no value.

    `check` gets the names of the columns and the name of the file, and raises CorpusError unless the columns can hold
    what is expected. Raises CorpusError, too, if pyarrow is not installed or if the file is not Parquet. `unit` is what
    a row is, for messages.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise CorpusError(
            f"{name}: reading Parquet needs pyarrow: pip install 'distributed-tracer[parquet]'"
        ) from error
    if not file.seekable():
        raise CorpusError(f"{name}: Parquet is read from its end: found a stream, expected a file")
    with translate_read_errors(name, unit):
        table = ParquetFile(file)
        # texts are read as dictionaries: a text that many rows share is in the file, and then in memory, only once
        columns = [table.schema.column(n) for n in range(len(table.schema))]
        texts = [column.path for column in columns if _is_text(column)]
        table = ParquetFile(file, metadata=table.metadata, read_dictionary=texts)
        has_lists = any(column.max_repetition_level for column in columns)
        batches = table.iter_batches(batch_size=BATCH_ROWS_WITH_LISTS if has_lists else BATCH_ROWS)
    check(table.schema_arrow.names, name)
    number = 0
    while True:
        with translate_read_errors(f"{name}:{number + 1}", unit):
            batch = next(batches, None)
        if batch is None:
            return
        step = max(1, _BATCH_BYTES // max(1, batch.get_total_buffer_size()))
        for first in range(0, batch.num_rows, step):
            with translate_read_errors(f"{name}:{number + 1}", unit):
                rows = batch.slice(first, step).to_pylist()
            for fields in rows:
                number += 1
                yield Row(number, fields)


def _is_text(column: Any) -> bool:
    return bool(column.physical_type == "BYTE_ARRAY" and column.max_repetition_level == 0)
