"""FindingTables: the tables of the results that a server shows, with what was read of them kept for the next page.

A table may have 10^8 rows. It is read a row group at a time, and of every question the first rows are kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, StoreError
from ..mine.result import Result
from ..mine.token_names import token_names
from ..names import unknown
from ..result_page.row_filter import RowFilter
from ..result_page.shown_table import ShownTable
from ..result_page.strongest_rows import Order, StrongestRows
from ..result_page.values import Names, place_text
from ..store.reader import Store
from ..text import short
from .served_store import ServedStore

MOST_ROWS = 10_000
"""Largest number of rows that can be looked through; beyond them, conditions make a table smaller."""
_MOST_KEPT = 12
"""Number of questions whose rows are kept."""


@dataclass(frozen=True)
class Question:
    """Which rows of a table are wanted, and in which order."""

    result: int
    table: str
    sort: str | None = None
    """Column; None for the order that suits the table, and empty for its own."""
    by: str = "largest"
    where: tuple[str, ...] = ()
    find: str = ""


class FindingTables:
    """The tables of all results of a server; safe to use from several threads."""

    def __init__(self, served: ServedStore) -> None:
        self._served = served
        self._lock = threading.Lock()
        self._shown: dict[tuple[int, str], ShownTable] = {}
        self._kept: OrderedDict[Question, StrongestRows] = OrderedDict()
        self._pictures: OrderedDict[tuple[int, str], list[str]] = OrderedDict()
        self._tokens: tuple[Store | None, dict[int, str]] = (None, {})

    def result(self, number: int) -> Result:
        """Return a result by its number. Raises ConfigError."""
        results = self._served.results
        if not results:
            raise ConfigError("this server shows no results of mining: start it with --mined FOLDER")
        if number >= len(results):
            raise ConfigError(unknown("result", str(number), [str(one) for one in range(len(results))]))
        return results[number]

    def shown(self, number: int, table: str) -> ShownTable:
        """Return how a table is shown. Raises ConfigError for an unknown one, ResultError for damage."""
        with self._lock:
            if found := self._shown.get((number, table)):
                return found
        made = ShownTable(self.result(number), table)
        with self._lock:
            return self._shown.setdefault((number, table), made)

    def rows(self, question: Question) -> StrongestRows:
        """Return the first MOST_ROWS rows that a question asks for, and how many there are."""
        with self._lock:
            if question in self._kept:
                self._kept.move_to_end(question)
                return self._kept[question]
        table = self.shown(question.result, question.table)
        row_filter = None
        if question.where or question.find:
            row_filter = RowFilter.of(question.where, question.find, table.kinds, self.names())
        found = table.rows(MOST_ROWS, order_of(question, table), row_filter)
        with self._lock:
            self._kept[question] = found
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return found

    def pictures(self, number: int, table: str) -> list[str]:
        """Return the pictures of the first rows of a table, as the page that is mailed has them."""
        with self._lock:
            if (number, table) in self._pictures:
                return self._pictures[number, table]
        made = self.shown(number, table).pictures(self.rows(Question(number, table)), self.names())
        with self._lock:
            self._pictures[number, table] = made
            while len(self._pictures) > _MOST_KEPT:
                self._pictures.popitem(last=False)
        return made

    def names(self) -> Names:
        """Return what features and tokens are called in the store; without names where the store cannot be read."""
        store = self._served.refresh()
        with self._lock:
            known, tokens = self._tokens
        if known is not store:
            try:
                tokens = token_names(store)
            except StoreError:
                return Names()
            with self._lock:
                self._tokens = store, tokens
        try:
            return Names(store.labels, tokens)
        except StoreError:
            return Names(tokens=tokens)

    def misfits(self, number: int) -> list[str]:
        """Return, as sentences, what speaks against a result being of the store that is shown."""
        result, store = self.result(number), self._served.refresh()
        found = []
        own, other = self._served.identity, result.info.get("identity")
        for name in ("model", "transcoders"):
            here, there = _named(own, name), _named(other, name)
            if here != there:
                found.append(
                    f"This result says that it was made with the {name} {short(there)}, and this store with "
                    f"{short(here)}: its features may not be those that the links lead to."
                )
        num_prompts = int(result.info["num_prompts"])
        ids = getattr(result, "prompt_ids", None)
        num_unknown = sum(one not in store for one in ids) if ids is not None else max(0, num_prompts - len(store))
        if num_unknown:
            found.append(
                f"{num_unknown:,} of the {num_prompts:,} prompts of this result are not in this store: it is of "
                "another store, or prompts were taken out. Links to them are left out."
            )
        return found


def order_of(question: Question, table: ShownTable) -> Order:
    """Return the order of the rows that a question asks for. Raises ConfigError for a column that has no order."""
    if question.sort is None:
        return table.order
    if not question.sort:
        return Order()
    if question.sort not in table.kinds:
        raise ConfigError(unknown("column", question.sort, list(table.kinds)))
    if question.sort in table.texts and question.by == "largest absolute":
        raise ConfigError(f"{question.sort} is text, which has no sign: its order is largest or smallest")
    return Order(question.sort, question.by)  # type: ignore[arg-type]


def _named(identity: Any, name: str) -> str:
    """Return what a result or a store calls its model or transcoders, without the folders before the name."""
    value = identity.get(name) if isinstance(identity, Mapping) else None
    return place_text(str(value)) if value else "unknown"
