"""JSON lines: one object per line; lines of white space are skipped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from .row import Row, decode, show


def jsonl_rows(lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
    """One row per line that is not blank."""
    for number, raw in lines:
        if not raw.strip():
            continue
        try:
            yield Row(number, _parse_object(decode(raw).strip()))
        except ValueError as error:
            yield Row(number, problem=str(error))


def _parse_object(line: str) -> dict[str, object]:
    value = parse_json(line)
    if not isinstance(value, dict):
        raise ValueError(f"not an object: found {show(value)}, expected one JSON object per line")
    return value


def parse_json(text: str) -> Any:
    """Strict JSON: no duplicate keys, NaN or infinities. Raises ValueError saying what was found."""
    try:
        return json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise ValueError(
            f"bad JSON at column {error.colno}: {error.msg}; found {show(text)}, expected valid JSON"
        ) from error
    except RecursionError as error:
        raise ValueError("bad JSON: nested too deeply, expected at most some hundred levels") from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"duplicate key {show(twice)}: found it {keys.count(twice)} times, expected once")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: found {name}, expected a finite number or null")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"number out of range: found {show(digits)}, expected a float64")
    return value
