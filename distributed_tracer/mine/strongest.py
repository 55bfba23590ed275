"""The strongest rows of a table that is read in batches: memory holds a batch and the rows that are kept."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..table import Table

By = Literal["largest", "largest absolute", "smallest"]


class Strongest:
    """Keeps the first rows of all batches in the order of a column; without a column, those that are added first.

    Equal rows keep the order in which they are added, and rows whose value is not known come last.
    """

    def __init__(self, most: int, column: str = "", by: By = "largest") -> None:
        self._most, self._column, self._by = most, column, by
        self._kept: Table | None = None

    def add(self, batch: Table) -> None:
        """Add the rows of a batch; all batches have the same columns."""
        kept = self._kept
        if kept is not None and not self._column and len(kept) == self._most:
            return
        rows = batch if kept is None else Table({c: np.concatenate([kept[c], batch[c]]) for c in kept.columns})
        order = _order(rows[self._column], self._by) if self._column else np.arange(len(rows))
        self._kept = rows.take(order[: self._most])

    @property
    def table(self) -> Table | None:
        """The rows that are kept, strongest first; None if nothing was added."""
        return self._kept


def _order(values: npt.NDArray[Any], by: By) -> npt.NDArray[np.intp]:
    numbers = values.astype(np.float64)
    key = {"largest": -numbers, "largest absolute": -np.abs(numbers), "smallest": numbers}[by]
    return np.argsort(key, kind="stable")  # NaN is last
