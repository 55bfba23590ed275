"""TableStream: node and edge tables of many prompts as columns, with a bounded number of rows in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from .table import Table
from .text import printable


@dataclass(frozen=True, eq=False)
class CategoricalColumn:
    """A text column with few distinct values: the value of a row is `names[code]`."""

    codes: npt.NDArray[np.int32]
    names: Sequence[str]

    @cached_property
    def values(self) -> npt.NDArray[np.object_]:
        """The text of each row: object [rows]."""
        return np.array(self.names, dtype=object)[self.codes]

    def take(self, index: npt.NDArray[np.intp]) -> CategoricalColumn:
        """Return the rows at `index`."""
        return CategoricalColumn(self.codes[index], self.names)


Batch = Mapping[str, "npt.NDArray[Any] | CategoricalColumn"]
"""Columns of equal length, by name."""


class TableStream:
    """A table that is read while it is iterated over, as a sequence of Tables; each iteration reads the store again.

    Nothing is kept: memory holds the batch in use and the batch that is being read. DuckDB, Polars and other programs
    that read Arrow streams take it as a table under the name of the variable, and read it anew for each question.
    """

    def __init__(self, kinds: Mapping[str, str], read: Callable[[], Iterator[Batch]]) -> None:
        self._kinds = kinds
        self._read = read

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self._kinds)

    @property
    def kinds(self) -> dict[str, str]:
        """NumPy's short name of the dtype of each column, such as `f8`; empty for text."""
        return dict(self._kinds)

    def __repr__(self) -> str:
        return f"<TableStream: {printable(', '.join(self._kinds))}; iterate for Tables, or call table(), to_pandas()>"

    def __iter__(self) -> Iterator[Table]:
        for batch in self._read():
            yield Table({name: v.values if isinstance(v, CategoricalColumn) else v for name, v in batch.items()})

    def table(self) -> Table:
        """Return all rows as one Table in memory."""
        tables = list(self)
        if not tables:
            return Table({name: np.empty(0, np.dtype(kind or object)) for name, kind in self._kinds.items()})
        return Table({name: np.concatenate([table[name] for table in tables]) for name in self._kinds})

    def reader(self) -> Any:
        """Return a pyarrow.RecordBatchReader, for DuckDB, Polars and others; text columns are dictionary-encoded.

        It can be read once. Raises ImportError if pyarrow is not installed.
        """
        arrow = import_module("pyarrow")
        text = arrow.dictionary(arrow.int32(), arrow.string())
        schema = arrow.schema(
            [(name, arrow.from_numpy_dtype(np.dtype(kind)) if kind else text) for name, kind in self._kinds.items()]
        )

        def column(values: npt.NDArray[Any] | CategoricalColumn) -> Any:
            if isinstance(values, CategoricalColumn):
                names = [name.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for name in values.names]
                return arrow.DictionaryArray.from_arrays(values.codes, arrow.array(names, arrow.string()))
            return arrow.array(values)

        batches = (
            arrow.RecordBatch.from_arrays([column(values) for values in batch.values()], schema=schema)
            for batch in self._read()
        )
        return arrow.RecordBatchReader.from_batches(schema, batches)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Return a new Arrow stream of all rows each time it is asked for one (Arrow PyCapsule interface).

        So a program may read the table as often as it likes, also twice at the same time for a self-join. Nothing is
        read before the stream is. `requested_schema` asks for other types of columns. Raises ImportError if pyarrow is
        not installed.
        """
        return self.reader().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> Any:
        """Return all rows as a pyarrow.Table. Raises ImportError if pyarrow is not installed."""
        return self.reader().read_all()

    def to_pandas(self) -> Any:
        """Return all rows as a pandas.DataFrame, with text as categories.

        Raises ImportError without pandas and pyarrow.
        """
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """Return all rows as a polars.DataFrame.

        Text columns are String, so that they can be joined with the table of prompts: polars cannot join categories
        with text. Raises ImportError without polars and pyarrow.
        """
        polars = import_module("polars")
        return polars.from_arrow(self.to_arrow()).with_columns(
            polars.col(name).cast(polars.String) for name, kind in self._kinds.items() if not kind
        )
