"""The strongest rows of a table that is read in batches: memory holds a batch and the rows that are kept."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..table import Table

By = Literal["largest", "largest absolute", "smallest"]


class Strongest:
    """Keeps the first rows of all batches in the order of a column; without a column, those that are added first.

    Equal rows keep the order in which they are added, and rows whose value is not known come last. Texts are sorted as
    in a dictionary, without regard to case, the smallest from A to Z; an empty text counts as not known.
    """

    def __init__(self, most: int, column: str = "", by: By = "largest") -> None:
        self._most, self._column, self._by = most, column, by
        self._kept: Table | None = None

    def add(self, batch: Table) -> None:
        """Add the rows of a batch; all batches have the same columns."""
        kept = self._kept
        if kept is not None and not self._column and len(kept) == self._most:
            return
        if kept is not None and len(kept) == self._most and self._column and _is_text(batch[self._column]):
            batch = batch.where(_may_come_before(batch[self._column], kept[self._column][-1], self._by))
        rows = batch if kept is None else Table({c: np.concatenate([kept[c], batch[c]]) for c in kept.columns})
        order = _order(rows[self._column], self._by) if self._column else np.arange(len(rows))
        self._kept = rows.take(order[: self._most])

    @property
    def table(self) -> Table | None:
        """The rows that are kept, strongest first; None if nothing was added."""
        return self._kept


def _order(values: npt.NDArray[Any], by: By) -> npt.NDArray[np.intp]:
    if _is_text(values):
        keys = _text_keys(values)
        known = [row for row, key in enumerate(keys) if key]
        known.sort(key=keys.__getitem__, reverse=by == "largest")  # equal texts keep their order in both directions
        return np.array([*known, *(row for row, key in enumerate(keys) if not key)], dtype=np.intp)
    numbers = values.astype(np.float64)
    key = {"largest": -numbers, "largest absolute": -np.abs(numbers), "smallest": numbers}[by]
    return np.argsort(key, kind="stable")  # NaN is last


def _is_text(values: npt.NDArray[Any]) -> bool:
    return values.dtype.kind not in "biuf"


def _text_keys(values: npt.NDArray[Any]) -> list[str]:
    return ["" if value is None else str(value).casefold() for value in values.tolist()]


def _may_come_before(values: npt.NDArray[Any], last: Any, by: By) -> npt.NDArray[np.bool_]:
    """Return which texts come before the last one that is kept, so that few rows of a large table are sorted."""
    (bound,) = _text_keys(np.array([last], dtype=object))
    keys = _text_keys(values)
    if not bound:
        return np.array([bool(key) for key in keys], dtype=bool)
    if by == "largest":
        return np.array([key > bound for key in keys], dtype=bool)
    return np.array([bool(key) and key < bound for key in keys], dtype=bool)
