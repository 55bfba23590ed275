"""PromptSnapshot: the table of prompts as it was at one time, of which questions are answered.

Axes: I prompt in the order of the catalogue, L layer.
"""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from ...names import unknown
from ...store.catalogue import Catalogue
from ...store.format.schema import SIZES
from ...store.read.prompt_table import METADATA
from ...store.read.where import Condition
from ...store.reader import Store
from ...table import Table
from ...text import counted
from .block import LABEL, NUMBERS, WEIGHT, PromptBlock
from .column import MISSING, UNKNOWN, Bools, PromptColumn, Source
from .histograms import Binned, binned
from .region import RegionOfMap

T = TypeVar("T", bound=np.generic)
Numbers = npt.NDArray[np.int64]
Asked = Condition | RegionOfMap
_OF_CATALOGUE = (*SIZES, "replacement", "completeness")
_SOURCES: dict[str, Source] = {
    LABEL: "answer",
    WEIGHT: "answer",
    "replacement": "score",
    "completeness": "score",
    "constant_share": "score",
    "closing_error": "score",
    "error_share": "score",
    **dict.fromkeys((*SIZES, "num_layers"), "size"),
}
"""Columns that every store has, beside id, text and part, in the order of the page's list."""
_OTHER_NAMES = ("id", "text", "targets", "error_share_L", "path_length_H", "tokens", "token_strings", "part")
_KEPT_BYTES = 96 << 20
_FIRST_ROWS = 1000
"""Rows that are chosen without all ids in order; and prompts, at least, of the parts that are read first."""


class NotYet(Exception):
    """What was asked needs columns that are still being read."""

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(", ".join(columns))
        self.columns = list(columns)


def num_first_parts(catalogue: Catalogue) -> int:
    """Return how many parts are read first, those with the first thousand prompts."""
    commit_I = catalogue.columns["commit"]
    return int(commit_I[min(_FIRST_ROWS, len(commit_I)) - 1]) + 1 if len(commit_I) else 0


class PromptSnapshot:
    """All prompts of a store. Until all parts are read (`is_complete`), only what commits say is known of all."""

    def __init__(
        self,
        store: Store,
        blocks: Sequence[PromptBlock | None],
        values: Mapping[str, Sequence[Any]],
        checks: Mapping[str, Mapping[str, float]],
        is_complete: bool,
        problems: Sequence[str] = (),
    ) -> None:
        """Make the table of a store.

        `blocks` are by commit, and None where a part was not read; `values` are those that codes of a column stand for;
        `checks` has results by column and prompt id.
        """
        self.store, self.catalogue, self.blocks = store, store.catalogue, blocks
        self.is_complete, self.problems = is_complete, list(problems)
        self._values, self._checks = values, checks
        self.num_dictionaries = len(values)
        self._lock = threading.RLock()
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._kept_bytes = 0
        self._columns: dict[str, PromptColumn] = {}
        self._binned: dict[str, Binned] = {}
        keys = [name.removeprefix(METADATA) for name in values if name.startswith(METADATA)]
        taken = {*_SOURCES, *_OTHER_NAMES, *checks}
        self._metadata = {f"{METADATA}{key}" if key in taken or key.startswith(METADATA) else key: key for key in keys}
        self.sources: dict[str, Source] = {
            **_SOURCES,
            **dict.fromkeys(checks, "check"),
            "part": "prompt",
            **dict.fromkeys(self._metadata, "metadata"),
        }
        """Names of all columns that are sorted and counted, with where they come from."""
        self._names_only = Table({name: [] for name in ("id", "text", *self.sources)})

    def __len__(self) -> int:
        return len(self.catalogue)

    @property
    def num_read(self) -> int:
        """The number of prompts of the parts that were read."""
        return len(self) if self.is_complete else sum(block.size for block in self.blocks if block is not None)

    @property
    def loading(self) -> float:
        """The share of the parts that was read, from 0 to 1."""
        if self.is_complete or not self.blocks:
            return 1.0
        return sum(block is not None for block in self.blocks) / (len(self.blocks) + 1)

    def condition(self, text: str) -> Condition:
        """Return a condition as it is written on the command line.

        Raises ConfigError for a malformed one and for an unknown column; NotYet if the column may be one not yet read.
        """
        try:
            return Condition.of(text, self._names_only)
        except ConfigError:
            if self.is_complete:
                raise
            raise NotYet(["metadata"]) from None

    def column(self, name: str) -> PromptColumn:
        """Return a column. Raises ConfigError for an unknown one, NotYet while it is being read."""
        if name not in self.sources:
            if not self.is_complete:
                raise NotYet([name])
            raise ConfigError(unknown("column that is sorted and counted", name, self.sources))
        if not self.is_complete and name not in _OF_CATALOGUE and name != "part":
            raise NotYet([name])
        with self._lock:
            if name not in self._columns:
                self._columns[name] = self._made(name)
            return self._columns[name]

    def _made(self, name: str) -> PromptColumn:
        source = self.sources[name]
        if name in _OF_CATALOGUE:
            return PromptColumn(name, source, self.catalogue.columns[name])
        if name == "part":
            commits = self.catalogue.columns["commit"].astype(np.int32)
            return PromptColumn(name, source, None, commits, [commit.part for commit in self.catalogue.commits])
        if source == "check":
            return PromptColumn(name, source, self._by_id(self._checks[name]))
        if name in (*NUMBERS, WEIGHT):
            return PromptColumn(name, source, self._numbers(name))
        key = name if name == LABEL else f"{METADATA}{self._metadata[name]}"
        has_numbers = any(block and key in (block.numbers or {}) for block in self.blocks)
        numbers_I = self._numbers(key) if has_numbers else None
        return PromptColumn(name, source, numbers_I, self._codes(key), self._values.get(key, ()))

    def _by_id(self, results: Mapping[str, float]) -> npt.NDArray[np.float64]:
        values_I = np.full(len(self), np.nan)
        for prompt, value in results.items():
            if prompt in self.catalogue.number_of:
                values_I[self.catalogue.number_of[prompt]] = value
        return values_I

    def _numbers(self, key: str) -> npt.NDArray[np.float64]:
        def own(block: PromptBlock) -> npt.NDArray[np.float64]:
            found = (block.numbers or {}).get(key)
            return np.full(block.size, np.nan) if found is None else found

        return np.concatenate([np.zeros(0), *(own(block) for block in self.blocks if block)])

    def _codes(self, key: str) -> npt.NDArray[np.int32]:
        def own(block: PromptBlock) -> npt.NDArray[np.int32]:
            found = (block.codes or {}).get(key)
            return np.full(block.size, UNKNOWN if block.problem else MISSING, np.int32) if found is None else found

        return np.concatenate([np.zeros(0, np.int32), *(own(block) for block in self.blocks if block)])

    def place(self, number: int) -> tuple[int, int]:
        """Return the number of a prompt's commit, and the prompt's place in the block of this commit."""
        commit = int(self.catalogue.columns["commit"][number])
        return commit, number - self.catalogue.numbers(commit).start

    def text(self, number: int) -> str | None:
        """Return the text of a prompt; None if it has none, or if it is not known."""
        commit, row = self.place(number)
        block = self.blocks[commit]
        return block.texts.text(row) if block and block.texts else None

    def mask(self, condition: Asked) -> Bools:
        """Return which prompts meet a condition: bool [prompts]. Raises ConfigError, NotYet."""
        return self._keep(("mask", condition.text), lambda: self._mask(condition))

    def _mask(self, condition: Asked) -> Bools:
        if isinstance(condition, RegionOfMap):
            return condition.met_by(self.catalogue)
        if condition.column == "id":
            return condition.met_by(self.catalogue.ids)
        if condition.column != "text":
            return self.column(condition.column).mask(condition)
        if not self.is_complete:
            raise NotYet(["text"])
        return condition.met_by([self.text(number) for number in range(len(self))])

    def found(self, wanted: str) -> Bools:
        """Return which prompts have a text in their id, text or answer, in any case: bool [prompts]. Raises NotYet."""
        if not self.is_complete:
            raise NotYet(["text"])

        def own(block: PromptBlock) -> Bools:
            return block.texts.holds(wanted) if block.texts else np.zeros(block.size, dtype=bool)

        return self._keep(
            ("found", wanted),
            lambda: np.concatenate([np.zeros(0, dtype=bool), *(own(block) for block in self.blocks if block)]),
        )

    def meeting(self, conditions: Sequence[Asked], search: str, but: str | None = None) -> Bools:
        """Return which prompts meet all conditions, except those about the column `but`, and hold the search text."""
        mask = np.ones(len(self), dtype=bool)
        for condition in conditions:
            if condition.column != but:
                mask &= self.mask(condition)
        return mask & self.found(search) if search else mask

    def order(self, sort: str, descending: bool) -> Numbers:
        """Return the numbers of all prompts in the order of a column, or of ids: int64 [prompts]."""
        return self._keep(("order", sort, descending), lambda: self._order(sort, descending))

    def _order(self, sort: str, descending: bool) -> Numbers:
        if sort == "id":
            order = np.argsort(self.catalogue.rank_I)
            return order[::-1] if descending else order
        return self.column(sort).order(self.catalogue.rank_I, descending)

    def page(self, mask: Bools, sort: str, descending: bool, first: int, count: int) -> list[int]:
        """Return the numbers of the matching prompts from place `first` on, in the order of a column or of ids."""
        is_sorted = "rank_I" in self.catalogue.__dict__  # which the background does at last
        if sort == "id" and not (descending or is_sorted) and first + count <= _FIRST_ROWS:
            ids, numbers = self.catalogue.ids, np.flatnonzero(mask).tolist()
            return heapq.nsmallest(first + count, numbers, key=ids.__getitem__)[first:]
        order = self.order(sort, descending)
        matching = order if mask.all() else order[mask[order]]
        chosen: list[int] = matching[first : first + count].tolist()
        return chosen

    @cached_property
    def first_read(self) -> range:
        """The numbers of the prompts of those parts that are read first."""
        count = num_first_parts(self.catalogue)
        return range(self.catalogue.numbers(count - 1).stop if count else 0)

    def early_page(self, mask: Bools, first: int, count: int) -> list[int]:
        """Return the numbers of those matching prompts that are read first, from place `first` on, in the order of ids.

        They stand for the first rows of all until the table is complete: the first rows of all prompts come from nearly
        every part. Returns an empty list for places beyond them.
        """
        ids, own = self.catalogue.ids, np.flatnonzero(mask[: self.first_read.stop]).tolist()
        return sorted(own, key=ids.__getitem__)[first : first + count] if first + count <= len(own) else []

    def binned(self, name: str) -> Binned:
        """Return a column with its bins or categories. Raises ConfigError, NotYet."""
        column = self.column(name)
        with self._lock:
            if name not in self._binned:
                self._binned[name] = binned(column)
            return self._binned[name]

    def cell(self, name: str, number: int) -> Any:
        """Return the value of a prompt in a column; None where it is missing, not known, or not read yet."""
        if self.is_complete or name in _OF_CATALOGUE or name == "part":
            return self.column(name).cell(number)
        commit, row = self.place(number)
        block, key = self.blocks[commit], f"{METADATA}{self._metadata[name]}" if name in self._metadata else name
        if not block or name in self._checks:
            return None
        codes, numbers = (block.codes or {}).get(key), (block.numbers or {}).get(key)
        if (codes is None and numbers is None) or (codes is not None and key not in self._values):
            return None  # a part that was read a moment ago may have a column that this table does not
        return PromptColumn(name, self.sources[name], numbers, codes, self._values.get(key, ())).cell(row)

    def _keep(self, key: Any, make: Callable[[], npt.NDArray[T]]) -> npt.NDArray[T]:
        """Return an array that is kept with those that were used last."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                kept: npt.NDArray[T] = self._kept[key]
                return kept
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._kept_bytes += made.nbytes
                while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
                    self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return made

    def said(self) -> list[str]:
        """Return descriptions of problems: parts that cannot be read, texts that are not kept."""
        damaged = [block for block in self.blocks if block and block.problem]
        without = sum(block.size for block in self.blocks if block and not block.texts and not block.problem)
        words = []
        if damaged:
            count = counted(sum(block.size for block in damaged), "prompt")
            words.append(f"of {count} only sizes and scores are known: {damaged[0].problem}")
        if without:
            words.append(f"the texts of {counted(without, 'prompt')} are not kept in memory, nor found by a search")
        return [*words, *self.problems]
