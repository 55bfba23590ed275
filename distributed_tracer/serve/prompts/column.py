"""PromptColumn: a column of the table of prompts, in at most 12 bytes for each prompt, and once for each distinct text.

Axes: I prompt in the order of the catalogue.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...store.read.conditions import kind_of
from ...store.read.where import Condition, kinds_compared

Kind = Literal["number", "text", "boolean", "other"]
Source = Literal["prompt", "answer", "score", "size", "metadata", "check"]
Bools = npt.NDArray[np.bool_]
MISSING, NUMBER, UNKNOWN = -1, -2, -3
"""Codes of values that no dictionary holds: a missing one, a number, and one that is not known (yet)."""
_EXACT = 2**53
_ENTRY_BYTES = 120
_KINDS: dict[str, Kind] = {"numbers": "number", "text": "text", "booleans": "boolean"}


class Dictionary:
    """The distinct values of a column that are no ordinary numbers. One thread adds values, others may read."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.num_bytes = 0
        self._codes: dict[tuple[str, Any], int] = {}

    def code(self, kind: str, value: Any) -> int:
        """Return the code of a value of a kind (see `kind_of`), which is added if it is new."""
        key = (kind, value if kind != "lists or objects" else canonical(value))
        if key not in self._codes:
            self.num_bytes += _ENTRY_BYTES + len(str(key[1]))
            self._codes[key] = len(self.values)
            self.values.append(value)
        return self._codes[key]

    def encode(self, values: Sequence[Any]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64] | None]:
        """Return the codes of values, and those that are numbers: int32 and float64 [values].

        The second array is None if there are no numbers. Integers beyond 2^53 are kept exactly, with codes.
        """
        codes, numbers = np.full(len(values), MISSING, np.int32), np.full(len(values), np.nan)
        for row, value in enumerate(values):
            kind = kind_of(value)
            if kind == "numbers" and (isinstance(value, float) or -_EXACT <= value <= _EXACT):
                codes[row], numbers[row] = NUMBER, value
            elif kind != "missing":
                codes[row] = self.code(kind, value)
        return codes, numbers if (codes == NUMBER).any() else None


@dataclass(frozen=True, eq=False)
class PromptColumn:
    """A column of all prompts. Without codes it has numbers alone, and NaN where there is none."""

    name: str
    source: Source
    numbers_I: npt.NDArray[Any] | None = None
    codes_I: npt.NDArray[np.int32] | None = None
    values: Sequence[Any] = ()
    """The values that codes stand for; there may be some that no prompt has any more."""

    @cached_property
    def kinds(self) -> set[str]:
        """The kinds of the values that are there, as `kind_of` has them."""
        if self.codes_I is None:
            return {"numbers"} if self.numbers_I is not None and len(self.numbers_I) else set()
        found = {"numbers"} if (self.codes_I == NUMBER).any() else set()
        found |= {"missing"} if (self.codes_I == MISSING).any() else set()
        return found | {kind_of(self.values[code]) for code in self._used}

    @cached_property
    def _used(self) -> list[int]:
        """The codes that occur, ascending."""
        counts = np.bincount(self._coded, minlength=len(self.values)) if self.codes_I is not None else np.zeros(0)
        return [int(code) for code in np.flatnonzero(counts)]

    @property
    def _coded(self) -> npt.NDArray[np.int32]:
        assert self.codes_I is not None
        return self.codes_I[self.codes_I >= 0]

    @property
    def kind(self) -> Kind:
        """The kind of all values that are not missing; `other` if there are several kinds, lists or objects."""
        kinds = self.kinds - {"missing"}
        return _KINDS.get(next(iter(kinds)), "other") if len(kinds) == 1 else "other" if kinds else "text"

    @cached_property
    def is_integer(self) -> bool:
        """Whether all numbers are whole."""
        numbers = self.numbers_I
        if numbers is None:
            return False
        known = numbers[np.isfinite(numbers)]
        return bool((known == np.floor(known)).all())

    def mask(self, condition: Condition) -> Bools:
        """Return which prompts meet a condition: bool [prompts]. Raises ConfigError as `rows_meeting` does."""
        if self.codes_I is None:
            assert self.numbers_I is not None
            return condition.holds(self.numbers_I)
        used = [self.values[code] for code in self._used]
        plain = {kind for kind in self.kinds if kind in ("numbers", "missing")}
        condition.check(kinds_compared(used) | plain, self.kinds)
        meets = np.zeros(len(self.values) + 3, dtype=bool)  # the last three are those of the negative codes
        meets[self._used] = condition.met_by(used)
        meets[MISSING] = condition.met_by([None])[0]
        found: Bools = meets[self.codes_I]
        if self.numbers_I is not None:
            found |= (self.codes_I == NUMBER) & condition.met_by_numbers(self.numbers_I)
        return found

    def order(self, rank_I: npt.NDArray[np.int64], descending: bool) -> npt.NDArray[np.int64]:
        """Return the numbers of all prompts in the order of this column: int64 [prompts].

        Numbers come before booleans, texts and others; what is missing or not a number comes last in both directions,
        and equal values are in the order of ids, of which `rank_I` has the ranks.
        """
        group_I, key_I = self._sort_keys()
        if descending:
            key_I, group_I = -key_I, np.where(group_I < 2, 1 - group_I, group_I)
        return np.lexsort((rank_I, key_I, group_I))

    def _sort_keys(self) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
        if self.codes_I is None:
            assert self.numbers_I is not None
            key_I = np.asarray(self.numbers_I, dtype=np.float64)
            return np.where(np.isnan(key_I), 2, 0).astype(np.int8), key_I
        rank = np.full(len(self.values) + 3, np.nan)
        ordered = sorted(self._used, key=lambda code: _sort_key(self.values[code]))
        rank[ordered] = np.arange(len(ordered))
        key_I = rank[self.codes_I]
        group_I = np.where(self.codes_I >= 0, 1, 2).astype(np.int8)
        if self.numbers_I is not None:
            is_number_I = (self.codes_I == NUMBER) & ~np.isnan(self.numbers_I)
            key_I, group_I = np.where(is_number_I, self.numbers_I, key_I), np.where(is_number_I, 0, group_I)
        return group_I.astype(np.int8), key_I

    def cell(self, number: int) -> Any:
        """Return the value of a prompt; None where it is missing or not known."""
        code = NUMBER if self.codes_I is None else int(self.codes_I[number])
        if code == NUMBER:
            assert self.numbers_I is not None
            value = self.numbers_I[number].item()
            return int(value) if isinstance(value, float) and value.is_integer() and self.codes_I is not None else value
        return self.values[code] if code >= 0 else None


def canonical(value: Any) -> str:
    """Return a list or an object as text that is equal for equal values."""
    return json.dumps(value, sort_keys=True, default=str)


def _sort_key(value: Any) -> tuple[int, Any]:
    kind = kind_of(value)
    order = ("numbers", "booleans", "text", "lists or objects").index(kind)
    return order, canonical(value) if kind == "lists or objects" else value
