"""The partitions of levels, and what runs say of them, as arrays in files.

Axes: F feature, I level, Y community.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .community_runs import KINDS_OF_RUNS, Level, Outcome, Run
from .task_arrays import load_arrays, save_arrays

_OUTCOMES = "outcomes"
_VALUES = ("quality", "rand_index", "information")
_LISTS = ("overlap_Y", "kept_F", "seen_F", "size_class", "cohesion")
"""Columns whose values for all outcomes follow each other, with the number of values of each outcome beside them."""


def save_levels(folder: Path, levels: Sequence[Level], of_seeds: Sequence[Sequence[Outcome]]) -> None:
    """Write levels without runs into a folder, and what the runs of other seeds say of them."""
    arrays = {name: np.stack([getattr(level, name) for level in levels]) for name in ("label_F", "quality", "fit_F")}
    save_arrays(folder, {**arrays, "cohesion_Y": np.concatenate([level.cohesion_Y for level in levels])})
    save_outcomes(folder, of_seeds)


def load_levels(folder: Path, resolutions: Sequence[float]) -> list[Level]:
    """Return the levels that `save_levels` wrote, without runs."""
    arrays = load_arrays(folder)
    label_IF = arrays["label_F"]
    cohesion_Y = _split(arrays["cohesion_Y"], label_IF.max(axis=1, initial=-1) + 1)
    values = zip(resolutions, label_IF, arrays["quality"].tolist(), cohesion_Y, arrays["fit_F"], strict=True)
    return [Level(*own) for own in values]


def save_outcomes(folder: Path, outcomes: Sequence[Sequence[Outcome]]) -> None:
    """Write what runs say, one after another, of each level."""
    flat = [outcome for of_levels in outcomes for outcome in of_levels]
    if not flat:
        return
    runs = [outcome.run for outcome in flat]
    counts = [(KINDS_OF_RUNS.index(run.kind), run.number, run.communities, run.largest) for run in runs]
    values = [tuple(getattr(run, name) for name in _VALUES) for run in runs]
    arrays = {
        "counts": np.array(counts, dtype=np.int64),
        "values": np.array(values, dtype=np.float64),
    }
    lists = [_lists(outcome) for outcome in flat]
    for name, column in zip(_LISTS, zip(*lists, strict=True), strict=True):
        arrays[name] = np.concatenate(column)
        arrays[f"{name}_sizes"] = np.array([len(one) for one in column], dtype=np.int64)
    save_arrays(folder / _OUTCOMES, arrays)


def load_outcomes(folder: Path, num_levels: int) -> list[list[Outcome]]:
    """Return what `save_outcomes` or `save_levels` wrote: for each run, what it says of each level."""
    arrays = load_arrays(folder / _OUTCOMES)
    if not arrays:
        return []
    lists = [_split(arrays[name], arrays[f"{name}_sizes"]) for name in _LISTS]
    found = []
    for counts, values, *own in zip(arrays["counts"].tolist(), arrays["values"].tolist(), *lists, strict=True):
        kind, number, communities, largest = counts
        run = Run(KINDS_OF_RUNS[kind], number, communities, largest, *values)
        overlap_Y, kept_F, seen_F, size_class, cohesion = own
        pairs = list(zip(size_class.tolist(), cohesion.tolist(), strict=True))
        found.append(Outcome(run, overlap_Y, kept_F, seen_F, pairs))
    return [found[first : first + num_levels] for first in range(0, len(found), num_levels)]


def _lists(outcome: Outcome) -> tuple[npt.NDArray[Any], ...]:
    size_class = np.array([one for one, _ in outcome.communities], dtype=np.int64)
    cohesion = np.array([one for _, one in outcome.communities], dtype=np.float64)
    return outcome.overlap_Y, outcome.kept_F, outcome.seen_F, size_class, cohesion


def _split(values: npt.NDArray[Any], sizes: npt.NDArray[np.int64]) -> list[npt.NDArray[Any]]:
    return np.split(values, np.cumsum(sizes)[:-1])
