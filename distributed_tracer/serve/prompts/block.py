"""PromptBlock: what the server keeps of the prompts of one part.

Axes: I prompt of the part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from ...store.format.schema import COLUMNS
from ...store.part import Part
from ...store.read.prompt_table import prompt_columns
from .column import UNKNOWN, Dictionary

NUMBERS = ("num_layers", "constant_share", "closing_error", "error_share")
"""Columns of numbers that only parts have; sizes and two of the scores are in the catalogue."""
WEIGHT, LABEL = "answer.weight", "answer.label"
"""Columns of the strongest target: its weight, and its label."""
_FIELD, _END = b"\xff", b"\xfe"
"""What ends a field and a prompt in the bytes of texts: UTF-8 has neither of these bytes."""
_REST = rb"[^\xfe]*"


class Texts:
    """Id, text and answer of the prompts of a part, as bytes that are searched whole."""

    def __init__(self, fields: Iterable[tuple[str, str | None, str | None]]) -> None:
        """Keep the fields. A text that is None was not given."""
        rows = list(fields)
        self._is_given = np.array([text is not None for _, text, _ in rows], dtype=bool)
        encoded = [_row(row) for row in rows]
        self._data = b"".join(encoded)
        self._ends_I = np.fromiter(accumulate(map(len, encoded)), dtype=np.int64, count=len(encoded))
        self._folded: bytes | None = None
        self._folded_ends_I = self._ends_I
        if not all(field.isascii() for row in rows for field in _given(row)):  # ASCII is folded while it is searched
            folded = [_row(tuple(field.casefold() for field in _given(row))) for row in rows]
            self._folded = b"".join(folded)
            self._folded_ends_I = np.fromiter(accumulate(map(len, folded)), dtype=np.int64, count=len(folded))

    @property
    def num_bytes(self) -> int:
        """Bytes in memory."""
        return len(self._data) + len(self._folded or b"") + 17 * len(self._ends_I)

    def text(self, row: int) -> str | None:
        """Return the text of a prompt; None if the prompt was given as tokens."""
        if not self._is_given[row]:
            return None
        begin = int(self._ends_I[row - 1]) if row else 0
        return self._data[begin : int(self._ends_I[row])].split(_FIELD)[1].decode("utf-8", "surrogatepass")

    def holds(self, wanted: str) -> npt.NDArray[np.bool_]:
        """Return which prompts have a text in their id, text or answer, in any case: bool [prompts]."""
        pattern = re.compile(re.escape(wanted.casefold().encode("utf-8", "surrogatepass")) + _REST)
        data = self._data.lower() if self._folded is None else self._folded
        starts = np.fromiter((found.start() for found in pattern.finditer(data)), dtype=np.int64)
        mask = np.zeros(len(self._ends_I), dtype=bool)
        mask[np.searchsorted(self._folded_ends_I, starts, side="right")] = True
        return mask


def _given(row: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(field or "" for field in row)


def _row(row: tuple[str | None, ...]) -> bytes:
    return _FIELD.join(field.encode("utf-8", "surrogatepass") for field in _given(row)) + _END


@dataclass(frozen=True, eq=False)
class PromptBlock:
    """What was read of the prompts of a part, in the order of the catalogue."""

    size: int
    texts: Texts | None = None
    """None if it is not kept, or could not be read."""
    numbers: Mapping[str, npt.NDArray[np.float64]] | None = None
    codes: Mapping[str, npt.NDArray[np.int32]] | None = None
    """Codes of metadata keys, and of LABEL; a key that no prompt of this part has is absent."""
    problem: str = ""
    """Why nothing could be read of this part; empty if it was read."""
    is_temporary: bool = False
    """Whether trying again later may help."""

    @cached_property
    def num_bytes(self) -> int:
        """Bytes in memory."""
        own: list[npt.NDArray[Any]] = [*(self.numbers or {}).values(), *(self.codes or {}).values()]
        return sum(values.nbytes for values in own) + (self.texts.num_bytes if self.texts else 0)


def read_block(part: Part, rows: Sequence[int], dictionaries: Dictionaries, keeps_texts: bool) -> PromptBlock:
    """Return what is kept of some prompts of a part. Raises StoreCorrupt, StoreUnavailable."""
    found = prompt_columns(part, rows)
    labels, weights_I = _strongest(part, rows, found["targets"])
    numbers = {name: np.array(found[name], dtype=np.float64) for name in NUMBERS} | {WEIGHT: weights_I}
    codes: dict[str, npt.NDArray[np.int32]] = {}
    for name, values in [(LABEL, labels), *_by_key(found["metadata"], dictionaries)]:
        key = name if name == LABEL else f"metadata.{name}"
        encoded = dictionaries.encode(key, values)
        codes[key] = encoded[0]
        if encoded[1] is not None:
            numbers[key] = encoded[1]
    texts = Texts(zip(found["id"], found["text"], labels, strict=True)) if keeps_texts else None
    return PromptBlock(len(rows), texts, numbers, codes)


def _by_key(metadata: Sequence[Mapping[str, Any]], dictionaries: Dictionaries) -> Iterator[tuple[str, list[Any]]]:
    for key in dict.fromkeys(key for own in metadata for key in own):
        if dictionaries.takes(key):
            yield key, [own.get(key) for own in metadata]


def _strongest(
    part: Part, rows: Sequence[int], labels: Sequence[Sequence[str]]
) -> tuple[list[str | None], npt.NDArray[np.float64]]:
    """Return label and weight of each prompt's target with the largest weight, the first of equal ones."""
    pointers, weights = part.pointers(COLUMNS["targets/weight"]), part.head["targets/weight"]
    if not len(weights):
        return [None] * len(rows), np.full(len(rows), np.nan)
    prompt_of_target = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    order = np.lexsort((-weights, prompt_of_target))  # the largest of each prompt first; NaN comes last, ties stay
    has_any_I = np.diff(pointers)[rows] > 0
    best_I = order[np.minimum(pointers[:-1][rows], len(order) - 1)]
    places = (best_I - pointers[:-1][rows]).tolist()
    chosen = [own[place] if own else None for own, place in zip(labels, places, strict=True)]
    return chosen, np.where(has_any_I, weights[best_I], np.nan)


class Dictionaries:
    """The dictionaries of all columns with texts, with a limit to their number and to their bytes."""

    def __init__(self, most_columns: int, most_bytes: int) -> None:
        self.of: dict[str, Dictionary] = {}
        self.dropped: set[str] = set()
        """Columns whose values are not kept, since their texts would take too much memory."""
        self.num_left_out = 0
        """Metadata keys beyond the largest number of columns, or more."""
        self._most_columns, self._most_bytes = most_columns, most_bytes

    def takes(self, key: str) -> bool:
        """Whether a metadata key has a column, or may get one."""
        name = f"metadata.{key}"
        if name not in self.of and len(self.of) > self._most_columns:
            self.num_left_out += 1
            return False
        return name not in self.dropped

    def encode(self, name: str, values: Sequence[Any]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64] | None]:
        """Return the values as codes and numbers, as `Dictionary.encode` does."""
        own = self.of.setdefault(name, Dictionary())
        found = own.encode(values)
        if sum(one.num_bytes for one in self.of.values()) > self._most_bytes:
            largest = max(self.of, key=lambda one: self.of[one].num_bytes)
            self.dropped.add(largest)
            self.of[largest] = Dictionary()
        return found


def unknown_codes(size: int) -> npt.NDArray[np.int32]:
    """Return the codes of prompts of which a column is not known: int32 [prompts]."""
    return np.full(size, UNKNOWN, np.int32)
