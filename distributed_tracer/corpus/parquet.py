"""Parquet, a batch of rows at a time. Needs the optional package pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from ..errors import CorpusError
from .row import Row, check_columns
from .source import reading

BATCH_ROWS = 1024


def parquet_rows(file: BinaryIO, name: str, text_field: str = "text") -> Iterator[Row]:
    """One row per row of the file; a null has no value.

    Raises CorpusError without pyarrow, for a file that is not Parquet, or without a column that holds prompts.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise CorpusError(
            f"{name}: reading Parquet needs pyarrow: pip install 'distributed-tracer[parquet]'"
        ) from error
    if not file.seekable():
        raise CorpusError(f"{name}: Parquet is read from its end: found a stream, expected a file")
    with reading(name):
        table = ParquetFile(file)
        batches = table.iter_batches(batch_size=BATCH_ROWS)
    check_columns(table.schema_arrow.names, name, text_field)
    number = 0
    while True:
        with reading(f"{name}:{number + 1}"):
            batch = next(batches, None)
            rows = [] if batch is None else batch.to_pylist()
        if not rows:
            return
        for fields in rows:
            number += 1
            yield Row(number, fields)
