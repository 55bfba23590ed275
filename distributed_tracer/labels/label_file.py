"""Files of labels: JSON lines, CSV, TSV or Parquet, with a row per label, also the explanations that Neuronpedia
exports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from ..corpus.csv_tsv import check_utf8, csv_records
from ..corpus.jsonl import jsonl_rows
from ..corpus.open_input import STDIN, format_of, name_of, open_source, read_lines
from ..corpus.parquet import parquet_rows
from ..corpus.row import Row, show
from ..errors import ConfigError, CorpusError
from ..graph.labels import Label
from ..names import unknown
from ..text import and_more, counted, short

FORMATS = ("jsonl", "csv", "tsv", "parquet")
LONGEST_TEXT = 4_000
"""Largest number of characters of a label."""
LONGEST_SOURCE = 200
MOST_LABELS = 5_000_000
"""Largest number of labels in a file: they are in memory all at once."""
_INDEX = ("index", "feature")
_TEXT = ("text", "label", "description", "explanation")
_LISTED = 20
_NUMBER = re.compile("[0-9]{1,9}")
_SOURCE_SET = re.compile("([0-9]{1,9})-.+", re.DOTALL)
"""A source set of Neuronpedia, such as `5-transcoder-hp`: it begins with the number of the layer."""

Check = Callable[[int, int], None]
"""Raises ConfigError for a layer and an index that a label must not have."""


class BadRow(NamedTuple):
    """A row that is no label: the line on which it begins (in Parquet, the number of the row), and the reason."""

    line: int
    reason: str


@dataclass(frozen=True, repr=False)
class LabelFile:
    """The labels of a file, and what is wrong with its other rows."""

    name: str
    rows: list[tuple[int, int, Label]] = field(default_factory=list)
    """Layer, index and label."""
    bad: list[BadRow] = field(default_factory=list)
    source_sets: dict[int, str] = field(default_factory=dict)
    """Name of the source set of each layer, where the file names one."""
    models: dict[str, None] = field(default_factory=dict)
    """Models whose features the labels describe, where the file names them."""

    def __repr__(self) -> str:
        bad = f", {counted(len(self.bad), 'bad row')}" if self.bad else ""
        return f"<LabelFile {short(self.name, 200)}: {counted(len(self.rows), 'label')}{bad}>"


def read_label_file(
    path: str, source: str | None = None, format: str | None = None, check: Check | None = None
) -> LabelFile:
    """Read the labels of a file at any address, or of standard input (`-`), compressed or not.

    A row has the columns `layer`, `index` or `feature`, and `text`, `label`, `description` or `explanation`; names of
    columns may have capitals. A layer is a number, or a source set of Neuronpedia, which begins with one. The source of
    all labels is `source` or, without it, that of the row: its column `source`, the model that made the explanation
    and its method, or else the name of the file. Rows that are no labels, or that `check` refuses, are kept in `bad`.
    Raises CorpusError for a file that cannot be read or has no such columns, and for source sets or models of which
    one file must not have two: their features are different ones under the same numbers.
    """
    name = name_of(path)
    if source is not None:
        _check_source(source)
    found, chosen = LabelFile(name), _format(path, format)
    with open_source(path, "label") as file:
        for row in _rows(file, name, chosen):
            if len(found.rows) + len(found.bad) >= MOST_LABELS:
                raise CorpusError(f"{name}:{row.line}: found more than {MOST_LABELS:,} labels: split the file")
            try:
                if row.problem is not None:
                    raise ValueError(row.problem)
                found.rows.append(_label(row.fields, source, found, check))
            except CorpusError as error:
                raise CorpusError(f"{name}:{row.line}: {error}") from error
            except ValueError as error:
                found.bad.append(BadRow(row.line, str(error)))
    return found


def _format(path: str, format: str | None) -> str:
    if format is not None and format not in FORMATS:
        raise ConfigError(unknown("format of labels", format, FORMATS))
    if format is None and path == STDIN:
        raise ConfigError(f"standard input has no name: --format says what it is, one of {', '.join(FORMATS)}")
    by_ending = format_of(path, "the format") if format is None else format
    if by_ending not in FORMATS:
        raise CorpusError(f"{name_of(path)}: plain text has no columns; labels are {', '.join(FORMATS)}")
    return by_ending


def _rows(file: BinaryIO, name: str, format: str) -> Iterator[Row]:
    """Yield rows whose fields have names in lower case."""
    if format == "parquet":
        rows = parquet_rows(file, name, _check_columns, "label")
    elif format == "jsonl":
        rows = jsonl_rows(read_lines(file, name, "label"))
    else:
        rows = _table_rows(file, name, "\t" if format == "tsv" else ",")
    for row in rows:
        yield Row(row.line, {key.strip().lower(): value for key, value in row.fields.items()}, row.problem)


def _table_rows(file: BinaryIO, name: str, delimiter: str) -> Iterator[Row]:
    records = csv_records(read_lines(file, name, "label"), name, delimiter, "label")
    line, header = next(records, (1, []))
    if isinstance(header, str):
        raise CorpusError(f"{name}:{line}: {header}")
    _check_columns(header, f"{name}:{line}")
    for line, cells in records:
        if isinstance(cells, str):
            yield Row(line, problem=cells)
        elif len(cells) != len(header):
            yield Row(line, problem=f"wrong number of cells: found {len(cells)}, expected {len(header)} as in header")
        else:
            try:
                check_utf8(cells)
            except ValueError as error:
                yield Row(line, problem=str(error))
            else:
                yield Row(line, dict(zip(header, cells, strict=True)))


def _check_columns(columns: Sequence[str], where: str) -> None:
    """Raise CorpusError unless there are a layer, an index and a text, each once."""
    names = [column.strip().lower() for column in columns]
    found = f"found columns {', '.join(map(show, columns[:_LISTED])) or '(none)'}{and_more(len(columns) - _LISTED)}"
    for wanted in (("layer",), _INDEX, _TEXT):
        if not set(wanted) & set(names):
            raise CorpusError(f"{where}: missing column: {found}, expected {' or '.join(wanted)} among them")
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise CorpusError(f"{where}: duplicate column {show(twice[0])}: {found}, expected each once")


def _label(
    fields: Mapping[str, object], source: str | None, found: LabelFile, check: Check | None
) -> tuple[int, int, Label]:
    """Return the label in a row.

    Raises ValueError if it has none, CorpusError if it does not belong to the rows before.
    """
    layer, source_set = _layer(fields.get("layer"))
    feature = _number(_first(fields, _INDEX), "an index")
    text = _first(fields, _TEXT)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"no text: found {show(text)} for {' or '.join(_TEXT)}")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(text):,} characters; at most {LONGEST_TEXT:,} are kept")
    own = source if source is not None else _source(fields, found.name)
    if check:
        check(layer, feature)
    if source_set and (other := found.source_sets.setdefault(layer, source_set)) != source_set:
        raise CorpusError(
            f"layer {layer} is of source set {show(source_set)}, and of {show(other)} before: their features are "
            "different ones. Split the file, and add the one that describes the transcoders of the store"
        )
    model = fields.get("modelid")
    if isinstance(model, str) and model:
        found.models[model] = None
        if len(found.models) > 1:
            raise CorpusError(f"labels of the models {' and '.join(map(show, found.models))}: split the file")
    return layer, feature, Label(text, own)


def _layer(value: object) -> tuple[int, str]:
    """Return a layer's number, and the source set that it was given as; empty if it was given as a number."""
    if isinstance(value, str) and len(value) <= LONGEST_SOURCE and (match := _SOURCE_SET.fullmatch(value.strip())):
        return int(match[1]), value.strip()
    return _number(value, "a layer"), ""


def _number(value: object, what: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = int(value)
    if type(value) is not int or not 0 <= value < 10**9:
        raise ValueError(f"no whole number from 0: found {show(value)} as {what}")
    return value


def _first(fields: Mapping[str, object], names: Sequence[str]) -> object:
    return next((fields[name] for name in names if fields.get(name) not in (None, "")), None)


def _source(fields: Mapping[str, object], name: str) -> str:
    source = fields.get("source")
    if source in (None, ""):
        said = [fields.get("explanationmodelname"), fields.get("typename")]
        source = " ".join(text for text in said if isinstance(text, str)) or name[-LONGEST_SOURCE:]
    if not isinstance(source, str):
        raise ValueError(f"no text: found {show(source)} as source")
    return _check_source(source)


def _check_source(source: str) -> str:
    if not source.strip() or len(source) > LONGEST_SOURCE:
        raise ConfigError(f"a source is a text of at most {LONGEST_SOURCE} characters, not {show(source)}")
    return source
