"""JSON lines: reads one object per line; lines that contain only white space are skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..documents.json_text import parse_json
from .row import Row, decode, show


def jsonl_rows(lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
    """Yield one row for each line that is not blank."""
    for number, raw in lines:
        if not raw.strip():
            continue
        try:
            yield Row(number, _parse_object(decode(raw).strip()))
        except ValueError as error:
            yield Row(number, problem=str(error))


def _parse_object(line: str) -> dict[str, object]:
    value = parse_json(line, ValueError)
    if not isinstance(value, dict):
        raise ValueError(f"not an object: found {show(value)}, expected one JSON object per line")
    return value
