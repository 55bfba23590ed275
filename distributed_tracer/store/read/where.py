"""Conditions on the table of prompts as they are written on a command line: `topic=capitals`, `replacement>=0.8`.

KEY is a column of the table. If metadata has a key with the name of another column, such as `num_tokens`, KEY means
that other column, and `metadata.KEY` means the metadata. Values are compared in the same way whatever file format the
prompts came from. `KEY=VALUE` is true

- for a text that is exactly VALUE;
- for the same number, if VALUE is a number: 2 equals 2.0, and the text "2", as CSV files have it, equals the number 2;
- for the same boolean, and the text that stands for it, if VALUE is true, True, TRUE, false, False or FALSE;
- for a missing value or null, if VALUE is null, NULL or None;
- for the same list or object, if VALUE is a list or object in JSON.

`KEY>=VALUE` and `KEY<=VALUE` compare numbers with a number, and text with anything else, in the order of Unicode's code
points: dates such as 2024-05-31 are thus in chronological order. No boolean is a number. If there is a space before the
sign, spaces after the sign do not belong to VALUE. A VALUE of a kind that the column does not hold is an error, not an
empty result.

`split(KEY)<=SHARE` and `split(KEY)>=SHARE` divide prompts by a hash of the metadata KEY: see `split.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ...documents.json_text import parse_json
from ...errors import ConfigError
from ...names import unknown
from ...table import Table
from ...text import short
from .conditions import kind_of
from .prompt_table import METADATA
from .select import metadata_columns
from .split import in_split, is_split

_CONDITION = re.compile(r"(?P<key>.+?)(?P<space>\s*)(?P<sign>>=|<=|==?)(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d{0,99})(\.\d{0,99})?|\.\d{1,99})([eE][+-]?\d{1,3})?", re.ASCII)
_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "NULL", "None"), None),
}
_LONGEST = 200
_EXACT = 2**53
_MISSING = ("missing", None)

Reading = tuple[str, Any]
"""A kind (see `kind_of`) and a value of that kind; two values are equal if they have equal readings."""


def rows_meeting(prompts: Table, where: str | Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows of the table of prompts that meet all conditions.

    Raises ConfigError for a malformed condition, an unknown column, or a value of a kind that the column does not hold.
    """
    mask = np.ones(len(prompts), dtype=bool)
    for text in [where] if isinstance(where, str) else where:
        if is_split(text):
            mask &= in_split(prompts, text)
            continue
        condition = Condition.of(text, prompts)
        mask &= condition.holds(prompts[condition.column])
    return mask


def values_of(prompts: Table, condition: str) -> list[str]:
    """Return the distinct texts in the column that a condition names."""
    held = prompts[Condition.of(condition, prompts).column].tolist()
    return list(dict.fromkeys(value for value in held if isinstance(value, str)))


@dataclass(frozen=True)
class Condition:
    """One condition, and the column that it is about."""

    text: str
    column: str
    sign: str
    """`=`, `>` for at least, or `<` for at most."""
    value: str

    @classmethod
    def of(cls, text: str, prompts: Table) -> Condition:
        """Return the condition that a text states about a table with these columns, whatever rows it has.

        Raises ConfigError for a malformed condition and for an unknown column.
        """
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise ConfigError(
                f"a condition is KEY=VALUE, KEY>=VALUE or KEY<=VALUE, as in topic=capitals, not {short(text, _LONGEST)}"
            )
        key, own = found["key"], metadata_columns(prompts)
        value = found["value"].strip() if found["space"] else found["value"]
        column = key if key in prompts else own.get(key.removeprefix(METADATA), "") if key.startswith(METADATA) else ""
        if not column:
            first = [*own.values(), *(name for name in prompts.columns if name not in own.values())]
            raise ConfigError(unknown("metadata, score or size", key, first))
        return cls(text, column, found["sign"].rstrip("=") or "=", value)

    def holds(self, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return for each value of the column whether it meets the condition.

        Raises ConfigError if no value of the column is of a kind that could meet it.
        """
        if values.dtype.kind in "if":
            self.check({"numbers"} if len(values) else set(), {"numbers"})
            return self.met_by_numbers(values)
        held = values.tolist()
        self.check(kinds_compared(held), {kind_of(value) for value in held})
        return self.met_by(held)

    def check(self, kinds_held: Set[str], kinds_there: Set[str]) -> None:
        """Raise ConfigError if nothing of the kinds that the column's values can be compared as could meet this.

        `kinds_there` are the kinds of the values themselves, for the message.
        """
        kinds = {kind for kind, _ in self._wanted}
        if kinds_held - {"missing"} and "missing" not in kinds and not kinds & kinds_held:
            raise ConfigError(
                f"{short(self.text, _LONGEST)} compares with {' or '.join(sorted(kinds))}, but {self.column!r} holds "
                f"{' and '.join(sorted(kinds_there - {'missing'}))}"
            )

    def met_by(self, values: Sequence[Any]) -> npt.NDArray[np.bool_]:
        """Return for each of some values whether it meets the condition: bool [values]."""
        meets = self._is_within if self.sign != "=" else self._wanted.__contains__
        found = (any(map(meets, _readings_held(value))) for value in values)
        return np.fromiter(found, dtype=bool, count=len(values))

    def met_by_numbers(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return the same for an array of numbers, quickly; a NaN meets no condition."""
        bound = _number(self.value)
        if bound is None:
            return np.zeros(len(numbers), dtype=bool)
        if isinstance(bound, int) and abs(bound) > _EXACT:  # NumPy would round it to a float64
            return self.met_by(numbers.tolist())
        compare = {"=": np.equal, ">": np.greater_equal, "<": np.less_equal}[self.sign]
        meets: npt.NDArray[np.bool_] = compare(numbers, bound)
        return meets

    @cached_property
    def _wanted(self) -> set[Reading]:
        return {self._bound} if self.sign != "=" else set(_readings(self.value))

    @property
    def _bound(self) -> Reading:
        number = _number(self.value)
        return ("text", self.value) if number is None else ("numbers", number)

    def _is_within(self, reading: Reading) -> bool:
        (kind, value), (bound_kind, bound) = reading, self._bound
        return bool(kind == bound_kind and (value >= bound if self.sign == ">" else value <= bound))


def kinds_compared(values: Iterable[Any]) -> set[str]:
    """Return the kinds that values of a column may be compared as."""
    return {kind for value in values for kind, _ in _readings_held(value)}


def _readings(value: str) -> list[Reading]:
    """Return all values that VALUE may stand for."""
    found: list[Reading] = [("text", value)]
    if (number := _number(value)) is not None:
        found.append(("numbers", number))
    if value in _WORDS:
        found.append(_MISSING if _WORDS[value] is None else ("booleans", _WORDS[value]))
    if value[:1] in ("[", "{"):
        with suppress(ValueError):
            found.append(("lists or objects", _canonical(parse_json(value, ValueError))))
    return found


def _readings_held(value: Any) -> list[Reading]:
    """Return what a value of the table may be compared as: a text may also stand for a number or a boolean."""
    kind = kind_of(value)
    if kind == "lists or objects":
        return [(kind, _canonical(value))]
    found = [(kind, value)]
    if kind == "text":
        if (number := _number(value)) is not None:
            found.append(("numbers", number))
        if _WORDS.get(value) is not None:
            found.append(("booleans", _WORDS[value]))
    return found


def _number(text: str) -> float | int | None:
    if not _NUMBER.fullmatch(text):
        return None
    return float(text) if set(text) & set(".eE") else int(text)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
