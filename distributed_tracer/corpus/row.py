"""Row: the result of reading one row in any format, its fields or what is wrong with it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import CorpusError
from ..text import and_more

_LISTED = 20


@dataclass(frozen=True)
class Row:
    """One row of a prompt file. `line` is the number, from 1, of the line that it begins on (in Parquet, of the row).

    `fields` holds the fields that could be read, even if `problem` says why the row is not a prompt.
    """

    line: int
    fields: Mapping[str, object] = field(default_factory=dict)
    problem: str | None = None


def decode(raw: bytes) -> str:
    """Decode UTF-8. Raises ValueError that says which byte is invalid, and where."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line"
        raise ValueError(f"not UTF-8: found {found}, expected UTF-8 text") from error


def show(value: object) -> str:
    """Return a short form of `value` for messages, without control characters."""
    return reprlib.repr(value)


def prompt_columns(text_field: str) -> tuple[str, ...]:
    """Return the columns that can hold a prompt, of which a row must fill exactly one.

    They are `text`, `tokens` and `messages` or, if `text_field` is not `text`, `text_field` and `tokens`.
    """
    return ("text", "tokens", "messages") if text_field == "text" else (text_field, "tokens")


def check_columns(columns: Sequence[str], where: str, text_field: str = "text") -> None:
    """Raise CorpusError if no column can hold prompts, or if a column has no name or a duplicate name."""
    more = and_more(len(columns) - _LISTED)
    found = f"found columns {', '.join(map(show, columns[:_LISTED])) or '(none)'}{more}"
    wanted = prompt_columns(text_field)
    if not set(wanted) & set(columns):
        raise CorpusError(
            f"{where}: missing column: {found}, expected {' or '.join(wanted)} among them; "
            "--text-field names the one that holds the text"
        )
    before: set[str] = set()
    for number, column in enumerate(columns, start=1):
        if not column:
            raise CorpusError(f"{where}: column {number} has no name: {found}, expected a name for each")
        if column in before:
            raise CorpusError(f"{where}: duplicate column {show(column)}: {found}, expected each once")
        before.add(column)
