"""ShownTable: which columns of a table of a result readers see, in which order its rows are, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..mine.result import Result
from ..names import unknown
from .columns import ends_of
from .drawn import Drawn
from .effect_pictures import P_VALUES
from .kinds import TableView, view_of
from .pictures import pictures
from .row_filter import RowFilter
from .strongest_rows import Order, StrongestRows, strongest_rows
from .value_pictures import histogram
from .values import Names, words

_COLUMNS = 24
"""Largest number of columns of a table of which no view says what readers want first."""


class ShownTable:
    """A table of a result as readers see it; rows are read when they are asked for."""

    def __init__(self, result: Result, name: str) -> None:
        """Look up what is known of the table. Raises ConfigError for an unknown one, ResultError for damage."""
        if name not in result.tables:
            raise ConfigError(unknown("table", name, result.tables))
        view = view_of(str(result.info["what"])).tables.get(name, TableView())
        self.result, self.name, self._view = result, name, view
        self.title = view.title or words(name).capitalize()
        self.about: Mapping[str, Mapping[str, Any]] = {row["column"]: row for row in result.describe(name).rows()}
        """Name, unit and meaning of each column."""
        self.kinds = result.stream(name).kinds
        self.texts = [column for column, kind in self.kinds.items() if not kind]
        """Columns of text."""
        self.columns = self._columns()
        """Columns that are shown, in their order."""
        self.order = view.order.known(list(self.kinds))

    def _columns(self) -> list[str]:
        kinds = self.kinds
        found = [column for column in self._view.columns if column in kinds] or list(kinds)[:_COLUMNS]
        found += [end.text for end in ends_of(list(kinds), self.texts) if end.text and end.layer in found]
        return list(dict.fromkeys(found))

    def rows(self, most: int, order: Order | None = None, row_filter: RowFilter | None = None) -> StrongestRows:
        """Return the first `most` rows, with all columns that are shown or drawn; the whole table is read.

        `order` is another order than the table's own, and `row_filter` leaves rows out.
        """
        also = [column for column in ("p", "q", "half_1", "half_2", *self._view.histograms) if column in self.kinds]
        of_p = [column for column in P_VALUES if column in self.kinds]
        columns = [*self.columns, *also, *(row_filter.columns() if row_filter else ())]
        keep = row_filter.mask if row_filter else None
        return strongest_rows(self.result, self.name, columns, order or self.order, most, of_p, keep)

    def pictures(self, rows: StrongestRows, names: Names) -> list[str]:
        """Return what can be drawn of some rows of the table; the columns with histograms are read whole."""
        units = {column: str(row["unit"]) for column, row in self.about.items()}
        drawn = Drawn(rows, self.texts, units, names, self.result.facts)
        images = pictures(drawn)
        for column in (one for one in self._view.histograms if one in self.kinds):
            images += histogram(self.result.table(self.name, column)[column].astype(np.float64), drawn, column)
        return images
