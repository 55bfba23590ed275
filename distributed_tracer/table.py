"""Table: named columns of equal length. Every question about a store is answered with one."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from .names import unknown
from .text import html_table
from .text import printable as printable

_WIDEST = 40
_SHOWN = 20
_LINE = 120


class Table:
    """NumPy arrays of one length, by name. Text, missing values (None) and mixed kinds are arrays of dtype object."""

    def __init__(self, columns: Mapping[str, npt.NDArray[Any] | Sequence[Any]]) -> None:
        self._columns = {
            name: values if isinstance(values, np.ndarray) else _objects(values) for name, values in columns.items()
        }
        lengths = {name: len(values) for name, values in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of different lengths: {lengths}")

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        try:
            return self._columns[name]
        except KeyError:
            raise KeyError(unknown("column", name, self._columns)) from None

    def __repr__(self) -> str:
        """Return the first rows, of the first columns that fit into a line, and the names of all other columns."""
        cells = self._cells(min(_SHOWN, len(self)))
        ends = np.cumsum([width + 2 for width in _widths(cells)])
        number = max(1, int(np.count_nonzero(ends - 2 <= _LINE)))
        others = [printable(name) for name in self.columns[number:]]
        text = _aligned([line[:number] for line in cells], len(self) - _SHOWN)
        return f"{text}\n{len(self)} rows" + (f"; columns not shown: {', '.join(others)}" if others else "")

    def _repr_html_(self) -> str:
        """Return the first 20 rows as HTML for notebooks; all text is escaped."""
        rows = ([_cell(value) for value in row.values()] for row in self.take(np.arange(min(len(self), 20))).rows())
        return html_table(map(printable, self._columns), rows, f"{len(self):,} rows, {len(self._columns)} columns")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row as a dict of plain Python values."""
        for row in zip(*(values.tolist() for values in self._columns.values()), strict=True):
            yield dict(zip(self._columns, row, strict=True))

    def where(self, mask: Sequence[bool] | npt.NDArray[np.bool_]) -> Table:
        """Return the rows for which `mask` is true, as in `table.where(table["topic"] == "capitals")`."""
        if len(mask) != len(self):
            raise ValueError(f"a mask of {len(mask)} for {len(self)} rows")
        is_kept = np.asarray(mask)
        if is_kept.dtype != np.bool_ and len(is_kept):
            raise ValueError(f"a mask is of booleans, not {is_kept.dtype}: take has rows by number")
        return self.take(np.flatnonzero(is_kept))

    def take(self, index: Sequence[int] | npt.NDArray[np.intp]) -> Table:
        """Return the rows with these numbers, in this order."""
        chosen = np.asarray(index)
        if chosen.dtype == np.bool_:
            raise ValueError("rows are taken by number, not by a mask: where has those for which a mask is true")
        chosen = chosen.astype(np.intp, casting="same_kind" if len(chosen) else "unsafe")
        return Table({name: values[chosen] for name, values in self._columns.items()})

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame, in which half surrogates become `?`. Raises ImportError if pandas is not
        installed."""
        return import_module("pandas").DataFrame({name: _encodable(values) for name, values in self._columns.items()})

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table. Raises ImportError if pyarrow is not installed.

        A column with values of several kinds becomes a column of text, with values that are not text as JSON. Half
        surrogates become `?`.
        """
        arrow = import_module("pyarrow")
        return arrow.table({name: _arrow(arrow, values) for name, values in self._columns.items()})

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Return an Arrow stream of the table, converted as by `to_arrow` (Arrow PyCapsule interface).

        DuckDB and other programs that read Arrow streams thus take the table under the name of its variable. Raises
        ImportError if pyarrow is not installed.
        """
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_polars(self) -> Any:
        """Return a polars.DataFrame, converted as by `to_arrow`. Raises ImportError if polars or pyarrow is not
        installed."""
        return import_module("polars").from_arrow(self.to_arrow())

    def write_csv(self, path: str | PathLike[str]) -> None:
        """Write a CSV file: a line of names, then one line per row; a missing value is an empty cell.

        Texts are written as they are. Spreadsheet programs take a text that begins with =, +, - or @ for a formula: if
        prompts or metadata come from strangers, import the columns as text.
        """
        with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.writer(file)
            writer.writerow(self._columns)
            writer.writerows(row.values() for row in self.rows())

    def format(self, max_rows: int = 20) -> str:
        """Return plain text for a terminal: at most `max_rows` rows, with long values cut and control characters
        escaped."""
        return _aligned(self._cells(min(max_rows, len(self))), len(self) - max_rows)

    def _cells(self, num_rows: int) -> list[list[str]]:
        """Return the names of the columns and the first rows as text."""
        shown = self.take(np.arange(num_rows)).rows()
        return [[printable(name) for name in self._columns], *([_cell(v) for v in row.values()] for row in shown)]


def _aligned(cells: Sequence[Sequence[str]], num_more: int) -> str:
    """Return lines of cells as text with aligned columns, and how many more rows there are, if any."""
    widths = _widths(cells)
    text = [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([*text, *([f"... {num_more} more"] if num_more > 0 else [])])


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    """Return the largest number of terminal columns of each column of cells."""
    return [max(map(_width, column)) for column in zip(*cells, strict=True)]


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    # np.array(values) would turn tuples of equal length into a second axis
    return np.fromiter(values, dtype=object, count=len(values))


def _arrow(arrow: Any, values: npt.NDArray[Any]) -> Any:
    if values.dtype != object:
        return arrow.array(values)
    try:
        return arrow.array(values.tolist())
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, UnicodeEncodeError):
        return arrow.array([None if value is None else _as_text(value) for value in values.tolist()], arrow.string())


def _encodable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the values with text that UTF-8 can encode, because pandas and Arrow store text as UTF-8."""
    if values.dtype != object:
        return values
    return _objects([_as_text(value) if isinstance(value, str) else value for value in values.tolist()])


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode("utf-8")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else printable(str(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _width(text: str) -> int:
    """Return the number of terminal columns of a text: wide East Asian characters and emoji take two, combining ones
    none."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)
