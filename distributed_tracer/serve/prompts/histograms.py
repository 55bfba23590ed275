"""histogram: how many prompts have each value, or a value in each bin, of a column; for several choices of prompts.

Axes: I prompt in the order of the catalogue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...store.read.conditions import kind_of
from .column import MISSING, NUMBER, Bools, PromptColumn, canonical

NUM_BINS = 32
"""Largest number of bins, as far as edges are round numbers."""
NUM_CATEGORIES = 20
_SKEWED = 50.0
_LEAST_DISTINCT = 12


@dataclass(frozen=True, eq=False)
class Binned:
    """A column with the bin or category of each prompt, the same for all choices of prompts."""

    column: PromptColumn
    facts: Mapping[str, Any]
    """What a page draws: bounds of bins or values of categories."""
    size: int
    """Number of bins or categories. Two more numbers follow: all other values, and none."""
    place_I: npt.NDArray[np.int32]

    def counts(self, mask: Bools | None = None) -> dict[str, Any]:
        """Return the number of prompts in each bin, with other values, and without one; of those in a mask, or all."""
        found = np.bincount(self.place_I if mask is None else self.place_I[mask], minlength=self.size + 2).tolist()
        return {"counts": found[: self.size], "rest": found[self.size], "missing": found[self.size + 1]}


def binned(column: PromptColumn) -> Binned:
    """Return the bins of a column of numbers, or the most frequent values of another one.

    A bin has the bounds `low` and `high`, both of which belong to it. Where the largest number is far above the median,
    bins grow by a factor. Of few distinct values in a column of numbers, each is a bin.
    """
    is_numeric = column.numbers_I is not None and (column.codes_I is None or column.kind == "number")
    return _bins(column) if is_numeric else _categories(column)


def _bins(column: PromptColumn) -> Binned:
    assert column.numbers_I is not None
    numbers_I = np.asarray(column.numbers_I, dtype=np.float64)
    known = numbers_I[np.isfinite(numbers_I)]
    if not len(known):
        return Binned(column, {"low": [], "high": [], "scale": "linear"}, 0, _places(numbers_I, np.zeros(0)))
    edges, scale = _edges(known, column.is_integer)
    low, high = edges[:-1].copy(), np.nextafter(edges[1:], -np.inf)
    low[0], high[-1] = known.min(), known.max()
    if column.is_integer:
        low, high = np.ceil(low), np.floor(high)
    facts = {"low": low.tolist(), "high": high.tolist(), "scale": scale}
    place_I = _places(numbers_I, edges)
    if column.codes_I is not None:
        place_I[column.codes_I >= 0] = len(low)  # integers that no float64 holds
    return Binned(column, facts, len(low), place_I)


def _edges(known: npt.NDArray[np.float64], is_integer: bool) -> tuple[npt.NDArray[np.float64], str]:
    """Return ascending edges of bins that begin at round numbers, and their scale. The last one is above all values."""
    least, most = float(known.min()), float(known.max())
    if least > 0 and most > _SKEWED * float(np.median(known)):
        first, last = math.log10(least), math.log10(most)
        edges = np.power(10.0, np.linspace(first, last, NUM_BINS + 1))
        edges = np.unique(np.floor(edges)) if is_integer else edges
        edges[0], edges[-1] = min(edges[0], least), max(edges[-1], most)
        return np.append(edges[:-1], np.nextafter(edges[-1], np.inf)), "log"
    step = _round_step((most - least) / NUM_BINS, is_integer)
    if not math.isfinite(step) or step <= 0 or least + step == least:
        return np.array([least, np.nextafter(most, np.inf)]), "linear"
    first = math.floor(least / step)
    count = int(math.floor(most / step) - first) + 1
    edges = np.round((first + np.arange(count + 1)) * step, min(300, 1 - math.floor(math.log10(step))))
    edges[0], edges[-1] = min(edges[0], least), max(edges[-1], np.nextafter(most, np.inf))
    return edges, "linear"


def _round_step(step: float, is_integer: bool) -> float:
    """Return the smallest of 1, 2, 5, 10, ... times a power of ten that is not below `step`; at least 1 of integers."""
    if step <= 0 or not math.isfinite(step):
        return 1.0 if is_integer else 0.0
    power = 10.0 ** math.floor(math.log10(step))
    found = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= step * (1 - 1e-9))
    return max(1.0, found) if is_integer else found


def _places(numbers_I: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    size = max(0, len(edges) - 1)
    place_I = (np.searchsorted(edges, numbers_I, side="right") - 1).astype(np.int32)
    place_I[(place_I < 0) | (place_I >= size)] = size
    place_I[np.isinf(numbers_I)] = size
    place_I[np.isnan(numbers_I)] = size + 1
    return place_I


def _categories(column: PromptColumn) -> Binned:
    codes_I = column.codes_I
    if codes_I is None:
        return Binned(column, {"values": []}, 0, np.zeros(0, np.int32))
    counts = np.bincount(codes_I[codes_I >= 0], minlength=len(column.values))
    there = np.flatnonzero(counts)
    order = there[np.lexsort((there, -counts[there]))]
    chosen = order[:NUM_CATEGORIES].tolist()
    values = [column.values[code] for code in chosen]
    place_of = np.full(len(column.values) + 3, len(chosen), np.int32)
    place_of[chosen] = np.arange(len(chosen))
    place_of[MISSING], place_of[NUMBER] = len(chosen) + 1, len(chosen)
    place_of[-3] = len(chosen) + 1
    shown = [canonical(value) if kind_of(value) == "lists or objects" else value for value in values]
    facts = {"values": shown, "num_distinct": len(there)}
    return Binned(column, facts, len(chosen), place_of[codes_I])
