"""Fields of JSON objects from outside, checked and converted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import plain_values
from ..documents.text import shortened
from ..errors import GraphFileError


def object_of(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a field that is an object. Raises GraphFileError."""
    value = document.get(name)
    if not isinstance(value, Mapping):
        raise GraphFileError(f"its {name} is no object, but {shortened(value)}")
    return value


def list_of(document: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list. Raises GraphFileError."""
    value = document.get(name)
    if not isinstance(value, list):
        raise GraphFileError(f"its {name} is no list, but {shortened(value)}")
    return value


def text(value: Any, what: str) -> str:
    """Return a text. Raises GraphFileError."""
    if not isinstance(value, str):
        raise GraphFileError(f"{what} is no text, but {shortened(value)}")
    return value


def whole(value: Any, what: str) -> int:
    """Return a whole number. Raises GraphFileError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise GraphFileError(f"{what} is no whole number, but {shortened(value)}")
    return value


def number(value: Any, what: str) -> float:
    """Return a number; null, which stands for a number that is not finite or not known, becomes NaN."""
    return math.nan if value is None else plain_values.finite(value, what, GraphFileError)


def single(value: Any, what: str) -> float:
    """Return a number that fits float32; null becomes NaN."""
    found = number(value, what)
    if abs(found) > _LARGEST_SINGLE:
        raise GraphFileError(f"{what} is {found}, which does not fit float32")
    return found


_LARGEST_SINGLE = float(np.finfo(np.float32).max)
