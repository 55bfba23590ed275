"""Sums by key, the operation behind most questions over many graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.columns import NODE_COLUMNS

KeyedSums = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Distinct keys [keys, columns] in ascending order, and the sums [keys, values] that belong to them."""


def sum_by_key(keys: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> KeyedSums:
    """Return the sums of `values` [n, values] over equal rows of `keys` [n, columns]."""
    if not len(keys):
        return keys, values
    order = np.lexsort(keys.T[::-1])
    keys, values = keys[order], values[order]
    first = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)]))
    return keys[first], np.add.reduceat(values, first, axis=0)


def merge_sums(one: KeyedSums | None, other: KeyedSums) -> KeyedSums:
    """Return the sums over both arguments. `one` is None where nothing has been summed yet."""
    if one is None:
        return other
    return sum_by_key(np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]]))


def as_keys(*columns: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return integer columns as keys [n, columns]."""
    return np.stack([column.astype(np.int64) for column in columns], axis=1)


def as_values(*columns: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return numeric columns as values [n, values]."""
    return np.stack([column.astype(np.float64) for column in columns], axis=1)


def site_columns(keys: npt.NDArray[np.int64], *ends: str) -> dict[str, npt.NDArray[Any]]:
    """Return keys [n, (layer, feature) for each end] as columns such as `source_layer`, typed like node columns."""
    names = [f"{end}{name}" for end in ends or ("",) for name in ("layer", "feature")]
    return {name: key.astype(NODE_COLUMNS[name.rpartition("_")[2]]) for name, key in zip(names, keys.T, strict=True)}
