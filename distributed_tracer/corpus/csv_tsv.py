"""CSV and TSV: reads tables with a header row. Cells are text; `tokens`, `targets` and `messages` are parsed here.

A cell of `targets` that begins with `[` is a JSON list. Any other cell is the exact name of a single target: there is
no separator, because every character may be part of a token. Two forms are refused: digits alone, which could be a name
or an id, and JSON objects and strings, which are not lists.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from ..documents.json_text import parse_json
from ..errors import CorpusError
from ..text import printable
from .open_input import MAX_LINE_BYTES
from .row import Row, check_columns, decode, prompt_columns, show

_INTEGER = re.compile(r"-?[0-9]{1,18}")


def table_rows(
    lines: Iterable[tuple[int, bytes]], name: str, delimiter: str, text_field: str = "text"
) -> Iterator[Row]:
    """Yield one row for each record after the header; quoted cells may span lines, and an empty cell has no value.

    Raises CorpusError if no column of the header can hold prompts, or if columns are unnamed or duplicate.
    """
    records = csv_records(lines, name, delimiter)
    line, header = next(records, (1, []))
    if isinstance(header, str):
        raise CorpusError(f"{name}:{line}: {header}")
    _check_header(header, f"{name}:{line}", text_field)
    for line, cells in records:
        yield Row(line, problem=cells) if isinstance(cells, str) else _row(line, header, cells, text_field)


def csv_records(
    lines: Iterable[tuple[int, bytes]], name: str, delimiter: str, unit: str = "prompt"
) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the line on which each record begins, with its cells or with what is wrong; blank lines are skipped."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))  # the default of 128 KiB is too small for prompts
    num_bytes = line = 0

    def text() -> Iterator[str]:
        nonlocal num_bytes
        for _, raw in lines:
            num_bytes += len(raw)
            if num_bytes > MAX_LINE_BYTES:  # quoted cells with line breaks have no natural end
                limit = f"{MAX_LINE_BYTES // 2**20} MiB"
                raise CorpusError(f"{name}:{line}: found a record longer than {limit}, expected a {unit} per record")
            # Bytes that are not UTF-8 become lone surrogates, so that only the row that contains them is refused.
            yield raw.decode("utf-8", errors="surrogateescape")

    reader = csv.reader(text(), delimiter=delimiter, strict=True)
    while True:
        num_bytes, line = 0, reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"bad quoting: found '{printable(str(error))}', expected cells quoted as in RFC 4180"
        else:
            if cells:
                yield line, cells


def _check_header(columns: list[str], where: str, text_field: str) -> None:
    check_columns(columns, where, text_field)
    try:
        check_utf8(columns)
    except ValueError as error:
        raise CorpusError(f"{where}: header {error}") from error


def check_utf8(cells: Sequence[str]) -> None:
    """Raise ValueError for cells of `csv_records` that are not UTF-8."""
    decode("".join(cells).encode("utf-8", errors="surrogateescape"))


def _row(line: int, header: Sequence[str], cells: Sequence[str], text_field: str) -> Row:
    known = ("id", "targets", *prompt_columns(text_field))
    fields: dict[str, object] = {
        column: cell for column, cell in zip(header, cells, strict=False) if cell or column not in known
    }
    try:
        check_utf8(cells)
        if len(cells) != len(header):
            raise ValueError(f"wrong number of cells: found {len(cells)}, expected {len(header)} as in header")
        if "tokens" in fields:
            fields["tokens"] = _parse_tokens(str(fields["tokens"]))
        if "targets" in fields:
            fields["targets"] = _parse_targets(str(fields["targets"]))
        if "messages" in fields and "messages" in known:
            fields["messages"] = parse_json(str(fields["messages"]), ValueError)
    except ValueError as error:
        return Row(line, fields, problem=str(error))
    return Row(line, fields)


def _parse_targets(cell: str) -> object:
    start = cell.lstrip()
    if start.startswith("["):
        return parse_json(cell, ValueError)
    if start.startswith(("{", '"')) or _INTEGER.fullmatch(cell.strip()):
        raise ValueError(
            f'unclear targets: found {show(cell)}, expected a JSON list, as in [1234], ["1234"] or '
            '["Austin", "Dallas"], or one target by name, as in Austin'
        )
    return [cell]


def _parse_tokens(cell: str) -> object:
    if cell.lstrip().startswith("["):
        return parse_json(cell, ValueError)
    words = cell.split()
    for word in words:
        if not _INTEGER.fullmatch(word):
            raise ValueError(f"bad token id: found {show(word)}, expected integers with spaces between")
    return [int(word) for word in words]
