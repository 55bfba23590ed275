"""What pictures are made of: some rows of a table, and what their columns mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..table import Table
from .columns import row_names
from .strongest_rows import StrongestRows
from .values import Names, words

Floats = npt.NDArray[np.float64]
MOST_DOTS = 2_000
"""Largest number of rows that a picture has a mark for."""
_LONGEST_UNIT = 40


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows of a table, which of its columns are text, their units, what features are called, and the result's facts."""

    rows: StrongestRows
    texts: Sequence[str]
    units: Mapping[str, str]
    names: Names
    facts: Mapping[str, Any]

    @property
    def table(self) -> Table:
        """The rows that were read."""
        return self.rows.table

    @property
    def numbers(self) -> list[str]:
        """Columns of numbers."""
        return [name for name in self.table.columns if name not in self.texts]

    @cached_property
    def row_names(self) -> list[tuple[str, str]]:
        """What each row is called, and what is known about it."""
        return row_names(self.table, self.texts, self.names)

    def values(self, column: str) -> Floats:
        """Return a column of numbers as float64."""
        return self.table[column].astype(np.float64)

    def axis(self, column: str) -> str:
        """Return the name of an axis with its unit."""
        unit = self.units.get(column, "")
        return f"{words(column)} ({unit})" if unit not in ("", "1") and len(unit) < _LONGEST_UNIT else words(column)

    def sides(self) -> str:
        """Return what the two colours stand for, where two sets are compared."""
        is_of_sets = {"mean_a", "mean_b"} <= {*self.table.columns}
        return "; blue: larger in set a, orange: in set b" if is_of_sets else ""


def range_of(values: Floats, with_zero: bool = False) -> tuple[float, float]:
    """Return the ends of an axis for finite values, with some room, or for values and zero without room at zero."""
    low, high = float(values.min()), float(values.max())
    if with_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.05 * (high - low)
    return (low - room if low < 0 or not with_zero else low), (high + room if high > 0 or not with_zero else high)
