"""The strongest rows of a table of a result, found while the table is read a row group at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..mine.result import Result
from ..mine.strongest import By, Strongest
from ..table import Table


@dataclass(frozen=True)
class Order:
    """Which rows of a table come first; without a column, rows keep the order of the table."""

    column: str = ""
    by: By = "largest"
    least: Mapping[str, float] = field(default_factory=dict)
    """Smallest value of some columns; rows with less are left out."""

    otherwise: str = ""
    """Column of the order for tables without the other one."""

    def known(self, columns: Sequence[str]) -> Order:
        """Return the order without what names columns that a table does not have."""
        least = {name: value for name, value in self.least.items() if name in columns}
        own = [name for name in (self.column, self.otherwise) if name in columns]
        return Order(own[0] if own else "", self.by, least)

    def describe(self) -> str:
        """Return the order in words; empty without a column."""
        return f"{self.by} {self.column} first" if self.column else ""


@dataclass(frozen=True, eq=False)
class StrongestRows:
    """Some rows of a table, the strongest first, and how many there are."""

    table: Table
    num_rows: int
    """Rows of the whole table."""
    num_left_out: int
    """Rows of it that are below a least value of the order, or not wanted."""
    counts: Mapping[str, npt.NDArray[np.int64]]
    """Of some columns with values from 0 to 1: the number of values in each twentieth, over the whole table."""


BINS = 20


def strongest_rows(
    result: Result,
    table: str,
    columns: Sequence[str],
    order: Order,
    most: int,
    counted: Sequence[str] = (),
    keep: Callable[[Table], Any] | None = None,
) -> StrongestRows:
    """Return the first `most` rows of a table in an order, with some columns, and histograms of the columns `counted`.

    `keep` returns a mask of the rows of a batch that are wanted; without it all are. Equal rows keep the order of the
    table, and rows whose value is not known come last. Memory holds a row group and the rows that are returned.
    """
    names = list(dict.fromkeys([*columns, *order.least, *counted, *([order.column] if order.column else [])]))
    kept = Strongest(most, order.column, order.by)
    num_rows, num_left_out = 0, 0
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in counted}
    for batch in result.stream(table, names):
        num_rows += len(batch)
        for name in counted:
            values = batch[name]
            counts[name] += np.histogram(values[(values >= 0) & (values <= 1)], BINS, (0, 1))[0]
        meets = np.ones(len(batch), dtype=bool)
        for name, least in order.least.items():
            meets &= batch[name] >= least
        if keep is not None:
            meets &= keep(batch)
        num_left_out += int(np.count_nonzero(~meets))
        kept.add(batch.where(meets))
    rows = result.table(table, names) if kept.table is None else kept.table
    return StrongestRows(rows, num_rows, num_left_out, counts)
