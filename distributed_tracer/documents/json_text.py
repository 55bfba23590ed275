"""JSON: a strict parser with bounded depth, whose time depends only on the length of the text; values as JSON types."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from .text import Refuse, shortened

MAX_DEPTH = 64
"""Largest number of nested levels of lists and objects. Every value passes through recursive encoders, such as Ray's,
and some of them end the process at 900 levels."""
MAX_DIGITS = 309
"""Largest number of digits of an integer: a longer one does not fit a float64, and the time to convert digits grows
with the square of their number."""


def parse_json(text: str | bytes, refuse: Refuse, strict: bool = True) -> Any:
    """Return the value of a JSON text.

    Raises `refuse` for malformed JSON, duplicate keys, numbers beyond a float64, and more than MAX_DEPTH levels. If
    `strict` is false, NaN and infinities are accepted, which Python's own encoder writes into configurations.
    """
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant if strict else None,
            parse_float=_finite,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        found = shortened(text)
        raise refuse(f"bad JSON at column {error.colno}: {error.msg}; found {found}, expected valid JSON") from error
    except RecursionError as error:
        raise refuse(f"bad JSON: nested too deeply, expected at most {MAX_DEPTH} levels") from error
    except ValueError as error:  # not UTF-8, or raised by the functions below
        raise refuse(str(error)) from error
    if is_deep(value):
        raise refuse(f"bad JSON: nested too deeply, expected at most {MAX_DEPTH} levels")
    return value


def is_deep(value: object) -> bool:
    """Whether lists and objects are nested more than MAX_DEPTH levels deep."""
    containers = _containers([value])
    for _ in range(MAX_DEPTH):
        if not containers:
            return False
        containers = _containers(item for container in containers for item in _items(container))
    return bool(containers)


def _containers(values: Iterable[object]) -> list[Any]:
    return [value for value in values if isinstance(value, list | tuple | dict)]


def _items(container: Any) -> Iterator[Any]:
    return iter(container.values() if isinstance(container, dict) else container)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        ((twice, count),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {shortened(twice)}: found it {count} times, expected once")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: found {name}, expected a finite number or null")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"number out of range: found {shortened(digits)}, expected a float64")
    return value


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"number out of range: found an integer of {len(digits):,} digits, expected a float64")
    return int(digits)


def to_json_types(value: Any) -> Any:
    """Return the value in the types of JSON: tuples become lists, and numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): to_json_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_types(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
