"""Tasks of a comparison of two stores, and their phases.

activations of each store ─▶ each with itself: nearest features, then shuffles ─▶ both: nearest features, then shuffles

Axes: F feature of store a, Y feature of store b, X prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from ..store.reader import open_store
from ..tasks.phases import Phases
from ..tasks.task import Done, Place, Task
from .feature_matches import HELD_OUT, Columns, FeatureMatches, count_as_large, find_cases
from .nearest_features import Nearest, Similarities
from .paired_activity import SideActivity, read_activity
from .paired_prompts import PairedPrompts, pair_prompts
from .prompt_shuffles import PromptShuffles
from .task_arrays import load_arrays, save_arrays
from .task_cache import kept_for_next
from .universality_settings import UniversalitySettings

_FEATURES, _MATRIX, _ORDERS = ("layer_F", "feature_F", "clusters_F", "varying_F"), "matrix", "orders"
_CASES, _COLUMNS = "cases", "columns"
_NEAREST = tuple(entry.name for entry in fields(Nearest))
_ROW_BYTES = 40
"""Bytes that an active feature takes in the files, at most."""
_TASK_PRODUCTS = 100_000_000
"""Products of two activations of a task's shuffles, at least."""


def temporary_bytes(pairs: PairedPrompts) -> int:
    """Return a bound of the bytes of temporary files, beside those of single features."""
    return _ROW_BYTES * sum(
        side.store.entry(prompt_id).num_active for side in (pairs.a, pairs.b) for prompt_id in side.ids
    )


@dataclass(frozen=True, eq=False)
class UniversalityPhases:
    """The phases of a comparison, in their order."""

    phases: Phases
    settings: UniversalitySettings
    folders: tuple[str, str]
    """Folders of the activations of both stores."""

    @classmethod
    def begin(cls, phases: Phases, pairs: PairedPrompts, settings: UniversalitySettings) -> UniversalityPhases:
        """Do the first phase, which reads the activations of both stores."""
        common = {"asked": dict(pairs.asked), "graphs": pairs.digests()}
        tasks = [Task(write_activity, {**common, "side": side}) for side in "ab"]
        a, b = (done.folder for done in phases.run("activity", tasks))
        return cls(phases, settings, (a, b))

    @property
    def sides(self) -> tuple[SideActivity, SideActivity]:
        """The features of both stores."""
        a, b = (_side(str(self.phases.work / folder)) for folder in self.folders)
        return a, b

    def with_itself(self) -> list[FeatureMatches]:
        """Return each store matched with itself: all features that are active in enough clusters, and vary."""
        known = [np.flatnonzero(side.is_known(self.settings.min_clusters)) for side in self.sides]
        comparisons = [(folder, folder, own, own, 0) for folder, own in zip(self.folders, known, strict=True)]
        return self._match("itself", comparisons)

    def with_each_other(self, columns: tuple[Columns, Columns]) -> FeatureMatches:
        """Return some features of store a, given by column, matched with some of store b.

        If there are none in one store, there is nothing to compare those of the other one with: none is returned.
        """
        if not len(columns[0]) or not len(columns[1]):
            columns = (np.zeros(0, dtype=np.intp),) * 2
        (found,) = self._match("both", [(*self.folders, *columns, HELD_OUT)])
        return found

    def _match(self, name: str, comparisons: Sequence[tuple[str, str, Columns, Columns, int]]) -> list[FeatureMatches]:
        common = {"orders": self.folders[0], "measure": self.settings.measure, "seed": self.settings.seed}
        tasks = [
            Task(
                write_cases, {**common, "a": a, "b": b, "columns": [own.tolist(), other.tolist()], "held_out": held_out}
            )
            for a, b, own, other, held_out in comparisons
        ]
        cases = self.phases.run(name, tasks)
        of_comparisons = [self._shuffles(common, *one) for one in zip(comparisons, cases, strict=True)]
        done = self.phases.run(f"{name}-shuffles", [task for own in of_comparisons for task in own])
        found: list[FeatureMatches] = []
        begin = 0
        for (_, _, *columns, _), of_data, tasks in zip(comparisons, cases, of_comparisons, strict=True):
            parts = [load_arrays(self.phases.work / one.folder) for one in done[begin : begin + len(tasks)]]
            begin += len(tasks)
            of_F, of_Y = (np.sum([part[side] for part in parts], axis=0) for side in ("of_F", "of_Y"))
            nearest, how = _read_cases(self.phases.work / of_data.folder), self.settings
            found.append(FeatureMatches.of((columns[0], columns[1]), nearest, (of_F, of_Y), how.shuffles, how.q))
        return found

    def _shuffles(
        self, common: dict[str, Any], comparison: tuple[str, str, Columns, Columns, int], cases: Done
    ) -> list[Task]:
        """Return the tasks of the shuffles of a comparison."""
        a, b, _, _, held_out = comparison
        step = max(1, _TASK_PRODUCTS // max(1, int(cases.value)))
        end = held_out + self.settings.shuffles
        arguments = {**common, "a": a, "b": b, "cases": cases.folder}
        return [
            Task(count_shuffles, {**arguments, "first": first, "end": min(first + step, end)})
            for first in range(held_out, end, step)
        ]


def write_activity(place: Place, asked: dict[str, Any], graphs: list[str], side: str) -> None:
    """Write the features of one store over common sites, and what shuffles need of the prompts; `graphs` tells the
    graphs apart."""
    pairs = pair_prompts(open_store(place.given["store"]), open_store(place.given["other"]), **asked)
    found = read_activity(pairs, side, place.given["memory_gb"])
    save_arrays(place.out, {name: getattr(found, name) for name in _FEATURES})
    matrix = found.activation
    save_arrays(place.out / _MATRIX, {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr})
    save_arrays(place.out / _ORDERS, {"template_X": pairs.template_X, "num_sites_X": pairs.num_sites_X})


def write_cases(
    place: Place, orders: str, measure: Any, seed: int, a: str, b: str, columns: list[list[int]], held_out: int
) -> int:
    """Write what is nearest to some features of two stores in the data and in shuffles that are held out; return the
    number of products of two activations that a shuffle takes."""
    own, other = (np.array(one, dtype=np.intp) for one in columns)
    save_arrays(place.out / _COLUMNS, {"own": own, "other": other})
    similarities = _similarities(str(place.work), a, b, str(place.out / _COLUMNS), measure, place.given["memory_gb"])
    for number, found in enumerate(find_cases(similarities, _shuffles(place, orders, seed), held_out)):
        save_arrays(place.out / f"{_CASES}-{number:02d}", {name: getattr(found, name) for name in _NEAREST})
    return similarities.num_multiplications


def count_shuffles(
    place: Place, orders: str, measure: Any, seed: int, a: str, b: str, cases: str, first: int, end: int
) -> None:
    """Write in how many of some shuffles the largest similarity of each feature reaches that of each case."""
    folder = place.work / cases
    similarities = _similarities(str(place.work), a, b, str(folder / _COLUMNS), measure, place.given["memory_gb"])
    largest = [(case.similarity_F, case.similarity_Y) for case in _read_cases(folder)]
    of_F, of_Y = count_as_large(similarities, largest, _shuffles(place, orders, seed), range(first, end))
    save_arrays(place.out, {"of_F": of_F, "of_Y": of_Y})


def _read_cases(folder: Path) -> list[Nearest]:
    return [Nearest(**load_arrays(own)) for own in sorted(folder.glob(f"{_CASES}-*"))]


def _shuffles(place: Place, orders: str, seed: int) -> PromptShuffles:
    return PromptShuffles(**load_arrays(place.work / orders / _ORDERS), seed=seed)


def _side(folder: str) -> SideActivity:
    own, matrix = load_arrays(Path(folder)), load_arrays(Path(folder) / _MATRIX)
    shape = (len(matrix["indptr"]) - 1, len(own["layer_F"]))
    activation = csr_array((matrix["data"], matrix["indices"], matrix["indptr"]), shape=shape)
    return SideActivity(activation=activation, **own)


@kept_for_next
def _similarities(work: str, a: str, b: str, columns: str, measure: Any, memory_gb: float) -> Similarities:
    """Return what compares the chosen features of two stores, which is kept for the next task."""
    chosen = load_arrays(Path(columns))
    own, other = _side(str(Path(work) / a)), _side(str(Path(work) / b))
    return Similarities(own.only(chosen["own"]), other.only(chosen["other"]), measure, memory_gb)
