"""Reader: `read_prompts` turns a prompt file of any supported format into `Prompt`s, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import BinaryIO

from ..config import CorpusConfig
from ..errors import CorpusError
from ..prompt import Prompt
from .csv_tsv import table_rows
from .jsonl import jsonl_rows
from .open_input import STDIN, format_of, name_of, open_source, read_lines
from .parquet import parquet_rows
from .parse_prompt import id_of, parse_prompt
from .row import Row, check_columns
from .text import plain_rows


@dataclass(frozen=True)
class BadPrompt:
    """A row that is not a valid prompt: its id (`file:line` if the id cannot be read), its location, and the reason."""

    id: str
    where: str
    reason: str


def read_prompts(config: CorpusConfig) -> Iterator[Prompt | BadPrompt]:
    """Yield the prompts in the order of the file. They are read lazily, so memory does not grow with the file.

    For the first malformed row, raises CorpusError with the message `file:line: what, what was found, what is
    expected`; if `on_bad_prompt` is "record", yields a BadPrompt for each such row instead. A problem of the whole
    file (it is absent, or has an unknown ending, no header or damaged compression) always raises CorpusError.
    """
    name = name_of(config.prompts)
    with open_source(config.prompts) as file:
        for row in _rows(file, config):
            where = f"{name}:{row.line}"
            try:
                prompt = replace(_prompt_of(row, config.text_field), where=where)
            except CorpusError as error:
                if config.on_bad_prompt == "stop":
                    raise CorpusError(f"{where}: {error}") from error
                yield BadPrompt(_readable_id(row) or where, where, str(error))
            else:
                yield prompt


def _rows(file: BinaryIO, config: CorpusConfig) -> Iterator[Row]:
    name = name_of(config.prompts)
    chosen: str = config.prompt_format
    if chosen == "auto" and config.prompts != STDIN:
        chosen = format_of(config.prompts)
    if chosen == "parquet":
        return parquet_rows(file, name, partial(check_columns, text_field=config.text_field))
    lines = read_lines(file, name)
    if chosen == "auto":
        first = next(lines, (1, b""))
        chosen = "jsonl" if first[1].startswith(b"{") else "text"
        lines = chain([first], lines)
    if chosen == "text":
        if config.text_field != "text":
            raise CorpusError(f"{name}: plain text has no columns, so none can be {config.text_field!r}")
        return plain_rows(lines)
    if chosen == "jsonl":
        return jsonl_rows(lines)
    return table_rows(lines, name, "\t" if chosen == "tsv" else ",", config.text_field)


def _prompt_of(row: Row, text_field: str) -> Prompt:
    if row.problem is not None:
        raise CorpusError(row.problem)
    return parse_prompt(row.fields, text_field)


def _readable_id(row: Row) -> str | None:
    try:
        return id_of(row.fields)
    except CorpusError:
        return None
