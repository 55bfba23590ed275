"""Conditions on columns: a value, several values of which one must be there, or a function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError

Conditions = Mapping[str, Any]
"""By column: a value; a list, tuple, set, range or array of values; or a function from the column to a mask."""

_SEVERAL = (list, tuple, set, frozenset, range, np.ndarray)


def meets(values: npt.NDArray[Any], condition: Any) -> npt.NDArray[np.bool_]:
    """Which of a column's values meet a condition. Raises ConfigError for a function that does not give a mask."""
    if callable(condition):
        mask = np.asarray(condition(values))
        if mask.dtype != np.bool_ or mask.shape != values.shape:
            raise ConfigError(
                f"a condition gave {mask.dtype} {mask.shape} for {len(values)} values: it must give a mask"
            )
        return mask
    several = list(condition) if isinstance(condition, _SEVERAL) else [condition]
    if values.dtype != object:
        return np.isin(values, several)
    return np.fromiter((value in several for value in values.tolist()), dtype=bool, count=len(values))


def check_names(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises ConfigError for a name that is not known, listing those that are."""
    known = list(known)
    for name in names:
        if name not in known:
            raise ConfigError(f"no {what} {name!r}; there are {', '.join(known)}")
