"""InvertedIndex: sparse vectors of prompts, indexed by column, which gives the overlaps of one prompt with all others.

Axes: I prompt, X value that is not zero of any prompt, Y value that is compared with another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
BYTES_PER_VALUE = 96
"""Memory that a value takes at most while an index is made."""
_ORDER, _FIRST = "order", "first"
"""Names of the arrays of the order by prompts."""


@dataclass(frozen=True, eq=False)
class InvertedIndex:
    """Vectors without negative values. Values are sorted by column, then by prompt."""

    num_prompts: int
    starts: Ints
    """The first value of each column, followed by the number of values: [columns + 1]."""
    column_X: npt.NDArray[np.int32]
    prompt_X: npt.NDArray[np.int32]
    value_X: Floats
    half_X: npt.NDArray[np.bool_]
    """Whether the value is in the second of two halves of the columns."""
    sum_I: Floats
    """The sum of each prompt's values, also of those in columns that no other prompt has."""
    square_I: Floats
    """The sum of their squares."""

    @classmethod
    def of(
        cls,
        num_prompts: int,
        key_X: Ints,
        prompt_X: npt.NDArray[np.int32],
        value_X: Floats,
        half_X: npt.NDArray[np.bool_],
    ) -> InvertedIndex:
        """Return the index of values, each with its prompt and the key of its column, in any order.

        A prompt has at most one value for each key.
        """
        order = np.lexsort((prompt_X, key_X))
        key_X, prompt_X, value_X, half_X = key_X[order], prompt_X[order], value_X[order], half_X[order]
        sum_I: Floats = np.bincount(prompt_X, value_X, num_prompts).astype(np.float64)
        square_I: Floats = np.bincount(prompt_X, value_X * value_X, num_prompts).astype(np.float64)
        is_same = np.diff(key_X) == 0
        shared = np.concatenate([is_same, [False]]) | np.concatenate([[False], is_same])
        shared = shared[: len(key_X)]  # a column of one prompt overlaps with nothing
        is_first = np.concatenate([[True], ~is_same])[: len(key_X)][shared]
        starts = np.concatenate([np.flatnonzero(is_first), [len(is_first)]]).astype(np.int64)
        column_X = (np.cumsum(is_first) - 1).astype(np.int32)
        parts = (column_X, prompt_X[shared].astype(np.int32), value_X[shared], half_X[shared])
        return cls(num_prompts, starts, *parts, sum_I, square_I)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what `of_arrays` takes, which includes the order by prompts."""
        order, first = self._by_prompt
        own = {entry.name: np.asarray(getattr(self, entry.name)) for entry in fields(self)}
        return {**own, _ORDER: order, _FIRST: first}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> InvertedIndex:
        """Return the index with these arrays."""
        own: dict[str, Any] = {entry.name: arrays[entry.name] for entry in fields(cls)}
        own["num_prompts"] = int(own["num_prompts"])
        found = cls(**own)
        found.__dict__["_by_prompt"] = (arrays[_ORDER], arrays[_FIRST])  # the place of the cached property
        return found

    @cached_property
    def _by_prompt(self) -> tuple[Ints, Ints]:
        """The values of each prompt in the order of columns, and where each prompt begins among them."""
        order = np.argsort(self.prompt_X, kind="stable")
        return order, np.concatenate([[0], np.cumsum(np.bincount(self.prompt_X, minlength=self.num_prompts))])

    def overlaps(self, prompt: int) -> tuple[Floats, Floats]:
        """Return the sums of the smaller values, in each half of the columns [2, prompts], and the products [prompts].

        Sums are added in the order of the columns' keys, so that they are the same for both prompts of a pair.
        """
        order, first = self._by_prompt
        own = order[first[prompt] : first[prompt + 1]]
        column = self.column_X[own]
        begins, lengths = self.starts[column], self.starts[column + 1] - self.starts[column]
        other_Y = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
        value_Y, prompt_Y = np.repeat(self.value_X[own], lengths), self.prompt_X[other_Y]
        others = self.value_X[other_Y]
        cell_Y = prompt_Y + np.repeat(self.half_X[own] * np.int32(self.num_prompts), lengths)
        smaller: Floats = np.bincount(cell_Y, np.minimum(value_Y, others), 2 * self.num_prompts).astype(np.float64)
        product_I: Floats = np.bincount(prompt_Y, value_Y * others, self.num_prompts).astype(np.float64)
        return smaller.reshape(2, -1), product_I

    def ruzicka(self, prompt: int, smaller_I: Floats) -> Floats:
        """Return the Ruzicka similarity Σ min / Σ max of one prompt with each, given Σ min; 0 without values."""
        larger_I = self.sum_I + self.sum_I[prompt] - smaller_I
        return _divided(smaller_I, larger_I)

    def cosine(self, prompt: int, product_I: Floats) -> Floats:
        """Return the cosine similarity of one prompt with each, given the products; 0 without values."""
        lengths_I = np.sqrt(self.square_I * self.square_I[prompt])
        return _divided(product_I, lengths_I)


def _divided(values: Floats, by: Floats) -> Floats:
    quotients: Floats = np.divide(values, by, out=np.zeros(len(values)), where=by > 0)
    return quotients
