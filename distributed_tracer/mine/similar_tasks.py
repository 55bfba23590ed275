"""Tasks of similar prompts, and their phases.

vectors of graphs and texts ─▶ some prompts of a sample with all others ─▶ some of all prompts with all others

Axes: I prompt, Y stratum of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from .beyond_texts import TextStrata
from .pair_list import MOST_LISTED, PAIR, PairList
from .prompt_similarity import GraphVectors, PromptComparison, Similarities, TextVectors
from .prompt_tasks import keep_prompts, read_prompts
from .prompts import ChosenPrompts
from .task_arrays import load_arrays, save_arrays
from .task_cache import kept_for_next

VALUE_BYTES = 25
"""Bytes that a value of a graph's vector takes in the files, at most."""
_GRAPHS, _TEXTS, _NEAREST, _UNLIKE, _COUNTS = "graphs", "texts", "nearest", "unlike", "counts"
_LEAST = "least"
_RANKS = 250
"""Prompts of a task that compares them with all others."""
Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class SimilarPhases:
    """The phases of similar prompts, in their order."""

    phases: Phases
    folder: str
    """Folder of the vectors."""
    comparison: PromptComparison
    num_prompts: int

    @classmethod
    def begin(cls, phases: Phases, prompts: ChosenPrompts, edges: str, samples: int | None, seed: int) -> SimilarPhases:
        """Do the first phase, which reads all graphs and texts."""
        arguments = {"prompts": keep_prompts(phases, prompts), "edges": edges, "samples": samples, "seed": seed}
        (done,) = phases.run("vectors", [Task(write_vectors, arguments)])
        return cls(phases, done.folder, _comparison(str(phases.work), done.folder), len(prompts))

    @property
    def known(self) -> npt.NDArray[np.intp]:
        """Ranks of the prompts whose influence is known."""
        unknown = self.comparison.graphs.unknown
        return np.array([rank for rank in range(self.num_prompts) if rank not in unknown], dtype=np.intp)

    def compare_sample(self, sample: npt.NDArray[np.intp]) -> Columns:
        """Return all pairs of a sample of prompts, whose ranks ascend."""
        common = {"vectors": self.folder, "sample": sample.tolist()}
        ranges = [{"first": first, "end": first + _RANKS} for first in range(0, len(sample), _RANKS)]
        done = self.phases.run("sample", [Task(compare_some, {**common, **own}) for own in ranges])
        parts = [load_arrays(self.phases.work / one.folder) for one in done]
        return {name: np.concatenate([part[name] for part in parts]) for name in PAIR}

    def compare(
        self, ranks: Sequence[int], top: int, max_text: float, strata: TextStrata | None, least: float
    ) -> tuple[list[Columns], PairList]:
        """Return the most similar graphs of each prompt, and the pairs of unlike texts that are listed.

        `strata` and `least` say which; without strata, none are.
        """
        common: dict[str, Any] = {"vectors": self.folder, "top": top, "max_text": max_text, "unlike": None}
        if strata is not None and math.isfinite(least):
            arrays = {"cuts": strata.cuts, "median_2Y": strata.median_2Y, "ruzicka_Y": strata.ruzicka_Y}
            common["unlike"] = {_LEAST: least, **{name: values.tolist() for name, values in arrays.items()}}
        blocks = [list(ranks[first : first + _RANKS]) for first in range(0, len(ranks), _RANKS)]
        nearest: list[Columns] = []
        unlike = PairList()
        for one in self.phases.run("compare", [Task(compare_with_all, {**common, "ranks": own}) for own in blocks]):
            folder = self.phases.work / one.folder
            found = load_arrays(folder / _NEAREST)
            ends = np.cumsum(found[_COUNTS]).tolist()
            for begin, end in zip([0, *ends[:-1]], ends, strict=True):
                nearest.append({name: found[name][begin:end] for name in PAIR})
            unlike.add_columns(load_arrays(folder / _UNLIKE), one.value)
        return nearest, unlike


def write_vectors(
    place: Place, prompts: str, edges: Literal["features", "all"], samples: int | None, seed: int
) -> None:
    """Write the vectors of graphs and texts."""
    chosen = read_prompts(place, prompts)
    GraphVectors.read(chosen, edges, samples, place.given["memory_gb"], seed).save(place.out / _GRAPHS)
    TextVectors.read(chosen).save(place.out / _TEXTS)


def compare_some(place: Place, vectors: str, sample: list[int], first: int, end: int) -> None:
    """Write the pairs of some prompts of a sample with those that come after them."""
    comparison = _comparison(str(place.work), vectors)
    ranks, pairs = np.array(sample, dtype=np.intp), PairList()
    for rank in sample[first:end]:
        pairs.add(rank, ranks[ranks > rank], comparison.with_all(rank))
    save_arrays(place.out, pairs.columns())


def compare_with_all(
    place: Place, vectors: str, top: int, max_text: float, unlike: dict[str, Any] | None, ranks: list[int]
) -> int:
    """Write the most similar graphs of some prompts, and their pairs of unlike texts; return the number of the latter.

    Of these pairs the strongest are written.
    """
    comparison = _comparison(str(place.work), vectors)
    graphs = comparison.graphs
    known = np.array([rank for rank in range(graphs.index.num_prompts) if rank not in graphs.unknown], dtype=np.intp)
    strata, least = None, math.inf
    if unlike is not None:
        own = {name: np.array(values, dtype=np.float64) for name, values in unlike.items() if name != _LEAST}
        strata, least = TextStrata(**own), unlike[_LEAST]
    nearest, counts, pairs = PairList(), list[int](), PairList()
    for rank in ranks:
        found = comparison.with_all(rank)
        order = _nearest(rank, found, known, top)
        nearest.add(rank, order, found)
        counts.append(len(order))
        if strata is not None:
            others = known[(known > rank) & (found.text_I[known] <= max_text)]
            excess = strata.excess(found.text_I[others], found.common_2I[:, others])
            pairs.add(rank, others[excess.min(axis=0) >= least], found)
            pairs.keep(MOST_LISTED, strata)
    if strata is not None:
        pairs.keep(MOST_LISTED, strata, at_end=True)
    save_arrays(place.out / _NEAREST, {**nearest.columns(), _COUNTS: np.array(counts, dtype=np.int64)})
    save_arrays(place.out / _UNLIKE, pairs.columns())
    return pairs.total


def _nearest(rank: int, found: Similarities, known: npt.NDArray[np.intp], top: int) -> npt.NDArray[np.intp]:
    others = known[(known != rank) & (found.ruzicka_I[known] > 0)]
    order = np.argsort(-found.ruzicka_I[others], kind="stable")
    nearest: npt.NDArray[np.intp] = others[order[:top]]
    return nearest


@kept_for_next
def _comparison(work: str, folder: str) -> PromptComparison:
    """Return what compares prompts, which is kept for the next task."""
    own = Path(work) / folder
    return PromptComparison(GraphVectors.load(own / _GRAPHS), TextVectors.load(own / _TEXTS))
