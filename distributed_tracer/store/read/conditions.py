"""Conditions on columns: a value, several values of which one must match, or a function."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from ...names import hint, unknown

Conditions = Mapping[str, Any]
"""Conditions by column: a value; a list, tuple, set, range or array of values; or a function that returns a mask."""

_KINDS_HELD = {"": "text", "?": "booleans"}
_SEVERAL = (list, tuple, set, frozenset, range, np.ndarray)


def meets(values: npt.NDArray[Any], condition: Any) -> npt.NDArray[np.bool_]:
    """Return a boolean mask of the values that meet a condition.

    A boolean equals only booleans, although True == 1 in Python. Raises ConfigError for a function that does not return
    a mask.
    """
    if callable(condition):
        mask = np.asarray(condition(values))
        if mask.dtype != np.bool_ or mask.shape != values.shape:
            raise ConfigError(
                f"a condition gave {mask.dtype} {mask.shape} for {len(values)} values: it must give a mask"
            )
        return mask
    wanted = wanted_values(condition)
    if values.dtype != object:
        return np.isin(values, wanted)
    pairs = [(kind_of(value), value) for value in wanted]
    found = ((kind_of(value), value) in pairs for value in values.tolist())
    return np.fromiter(found, dtype=bool, count=len(values))


def wanted_values(condition: Any) -> list[Any]:
    """Return the values of a condition that is not a function, as Python's own types."""
    several = list(condition) if isinstance(condition, _SEVERAL) else [condition]
    return [value.item() if isinstance(value, np.generic) else value for value in several]


def kind_of(value: Any) -> str:
    """Return the kind of a value for comparisons: missing values, booleans, numbers, text, or lists and objects."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "booleans"
    if isinstance(value, int | float):
        return "numbers"
    return "text" if isinstance(value, str) else "lists or objects"


def column_names(columns: str | Iterable[str] | None, known: Iterable[str]) -> list[str]:
    """Return the names of the wanted columns, given as one name, several names, or None for all."""
    return [columns] if isinstance(columns, str) else list(known if columns is None else columns)


def check_columns(what: str, names: Iterable[str], where: Conditions, known: Mapping[str, str]) -> None:
    """Raise ConfigError for unknown column names, and for conditions on values that a column cannot hold.

    `known` has the dtype of each column, empty for text.
    """
    if not isinstance(where, Mapping):
        raise ConfigError(f"conditions are a mapping such as {{'kind': 'feature'}}, not {where!r}")
    check_names(what, [*names, *where], known)
    for name, condition in where.items():
        if not callable(condition):
            check_kinds(name, wanted_values(condition), {_KINDS_HELD.get(known[name], "numbers")})


def check_kinds(name: str, wanted: Iterable[Any], held: Collection[str]) -> None:
    """Raise ConfigError for values of a kind that the column `name` does not hold, since none of them could match."""
    for value in wanted:
        if held and kind_of(value) not in {"missing", *held}:
            raise ConfigError(f"{name!r} holds {' and '.join(sorted(held))}, not {kind_of(value)} such as {value!r}")


def check_names(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raise ConfigError for an unknown name; the message lists the known names."""
    for name in names:
        if name not in known:
            raise ConfigError(unknown(what, name, known))


def check_values(name: str, condition: Any, known: Collection[str]) -> None:
    """Raise ConfigError for a text that is not among the few values that a column has."""
    if not callable(condition):
        for value in wanted_values(condition):
            if value not in known:
                raise ConfigError(f"{name!r} is {', '.join(known)}, not {value!r}{hint(value, known)}")
