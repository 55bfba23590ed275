"""What a format hands on: the fields of one row, or what is wrong with it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import CorpusError

_LISTED = 20


@dataclass(frozen=True)
class Row:
    """One row of a prompt file, numbered from 1 by the line it begins on (by row in Parquet).

    `fields` holds what could be read, also where `problem` says why the row is not a prompt.
    """

    line: int
    fields: Mapping[str, object] = field(default_factory=dict)
    problem: str | None = None


def decode(raw: bytes) -> str:
    """UTF-8 to text; raises ValueError saying which byte is wrong, and where."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line"
        raise ValueError(f"not UTF-8: found {found}, expected UTF-8 text") from error


def show(value: object) -> str:
    """A short form of `value` for messages, without control characters."""
    return reprlib.repr(value)


def prompt_columns(text_field: str) -> tuple[str, ...]:
    """The columns of which a row fills one: `text`, `tokens` or `messages`, or the named one or `tokens`."""
    return ("text", "tokens", "messages") if text_field == "text" else (text_field, "tokens")


def check_columns(columns: Sequence[str], where: str, text_field: str = "text") -> None:
    """Raises CorpusError unless one that holds prompts is among the columns, and each has a name of its own."""
    more = f" and {len(columns) - _LISTED:,} more" if len(columns) > _LISTED else ""
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
