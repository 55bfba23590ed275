"""Tasks of contrasts, and their phases.

features: those of each cluster, by some prompts ─▶ kept features ─▶ active positions ─▶ values ─▶ tests of each block
edges:    all edges, divided by target ─▶ tests of each few ranges of targets
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..store.reader import Store, open_store
from ..tasks.phases import Phases
from ..tasks.task import Done, Place, Task
from .edge_values import EdgeReader
from .feature_values import FeatureValues, active_sites, features_of_clusters, seen_features
from .prompt_sets import PromptSets, prompts_of
from .set_tests import ContrastSettings, SetTests
from .statistics import Floats
from .task_arrays import load_arrays, save_arrays
from .task_cache import kept_for_next

_SETS, _TESTS, _KEYS = "sets.json", "tests", "keys"
_PROMPTS = 250
"""Prompts of a task that reads features."""
_PARTITIONS = 4
"""Ranges of targets of a task that tests edges."""


@dataclass(frozen=True, eq=False)
class ComparedEdges:
    """The edges that were tested, in the order of their tests."""

    key: npt.NDArray[np.int64]
    """Number of the target's site * number of sites + number of the source's site."""
    differing_tokens: Floats
    num_rare: int
    """The number of edges that too few clusters have."""


@dataclass(frozen=True, eq=False)
class ContrastPhases:
    """The phases of a contrast, in their order."""

    phases: Phases
    sets: PromptSets
    settings: ContrastSettings
    folder: str
    """Folder of the sets."""

    @classmethod
    def begin(
        cls, phases: Phases, store: Store, sets: PromptSets, settings: ContrastSettings, differing: Collection[str]
    ) -> ContrastPhases:
        """Keep the sets; `differing` are the tokens of one set only."""
        own = {"ids": sets.ids, "is_a": sets.is_a.tolist(), "clusters": sets.clusters, "pairs": sets.pairs}
        arguments = {"sets": own, "settings": asdict(settings), "differing": sorted(differing)}
        arguments["graphs"] = prompts_of(store, sets).digest()
        (done,) = phases.run("sets", [Task(write_sets, arguments)])
        return cls(phases, sets, settings, done.folder)

    def features(self, measure: str) -> tuple[FeatureValues, int, SetTests]:
        """Return the values of the features that enough clusters have, the number of other features, and the tests."""
        number = len(self.sets.ids)
        ranges = [{"first": first, "end": min(first + _PROMPTS, number)} for first in range(0, number, _PROMPTS)]
        seen = self._run("seen", [Task(see_features, {**own, "measure": measure}) for own in ranges])
        folders = [one.folder for one in seen]
        (kept,) = self._run("features", [Task(keep_features, {"seen": folders})])
        sites = self._run("sites", [Task(see_sites, {**own, "features": kept.folder}) for own in ranges])
        arguments = {"seen": folders, "sites": [one.folder for one in sites], "features": kept.folder}
        (joined,) = self._run("values", [Task(join_values, {**arguments, "measure": measure})])
        for phase in ("seen", "sites"):
            self.phases.release(phase)
        values, tests = _values(self.phases.work / joined.folder), SetTests(self.sets, self.settings)
        count = len(values.keys)
        cuts = np.linspace(0, count, max(1, -(-count // tests.columns_at_once)) + 1).astype(int).tolist()
        blocks = [{"first": first, "end": end} for first, end in pairwise(cuts)]
        done = self._run("tests", [Task(compare_features, {"values": joined.folder, **own}) for own in blocks])
        for one in done:
            tests.add_saved(self.phases.work / one.folder / _TESTS)
        return values, int(kept.value), tests

    def edges(self) -> tuple[EdgeReader, ComparedEdges, SetTests]:
        """Return what has names of edges' ends, the edges that enough clusters have, and their tests."""
        (written,) = self._run("edges", [Task(write_edges)])
        place = Place(self.phases.work, self.phases.work, self.phases.given)
        reader = _reader(place, self.folder, written.folder)
        firsts = range(0, reader.num_partitions, _PARTITIONS)
        ranges = [{"first": first, "end": min(first + _PARTITIONS, reader.num_partitions)} for first in firsts]
        at_once = SetTests(self.sets, self.settings, presence_alone=True).columns_at_once
        tasks = [Task(compare_edges, {"edges": written.folder, "at_once": at_once, **own}) for own in ranges]
        tests = SetTests(self.sets, self.settings, presence_alone=True)
        keys, shares, num_rare = [np.zeros(0, np.int64)], [np.zeros(0)], 0
        for one in self._run("tests", tasks):
            own = self.phases.work / one.folder
            num_rare += one.value
            arrays = load_arrays(own)
            keys.append(arrays[_KEYS])
            shares.append(arrays["differing_tokens"])
            if len(arrays[_KEYS]):
                tests.add_saved(own / _TESTS)
        found = ComparedEdges(np.concatenate(keys), np.concatenate(shares), num_rare)
        if not len(found.key):
            _add_edges(tests, *(np.zeros((len(self.sets.ids), 0)),) * 3)
        return reader, found, tests

    def _run(self, phase: str, tasks: Sequence[Task]) -> list[Done]:
        return self.phases.run(phase, [Task(one.function, {"sets": self.folder, **one.arguments}) for one in tasks])


def write_sets(place: Place, sets: dict[str, Any], settings: dict[str, Any], differing: list[str], graphs: str) -> None:
    """Write what later tasks must know of the sets; `graphs` tells their graphs apart."""
    document = {"sets": sets, "settings": settings, "differing": differing}
    (place.out / _SETS).write_text(json.dumps(document), encoding="ascii")


def see_features(place: Place, sets: str, first: int, end: int, measure: str) -> None:
    """Write the features that the clusters of some prompts have."""
    own, _, _ = _read_sets(place, sets)
    number_of = {prompt: number for number, prompt in enumerate(own.ids)}
    clusters = np.unique(np.array(own.clusters, dtype=object), return_inverse=True)[1].astype(np.int64)
    store = open_store(place.given["store"])
    save_arrays(place.out, seen_features(store, own.ids[first:end], number_of, clusters, measure))


def keep_features(place: Place, sets: str, seen: list[str]) -> int:
    """Write the features that enough clusters have; return the number of others."""
    _, settings, _ = _read_sets(place, sets)
    kept, num_rare = features_of_clusters([load_arrays(place.work / one) for one in seen], settings.min_clusters)
    save_arrays(place.out, {_KEYS: kept})
    return num_rare


def see_sites(place: Place, sets: str, first: int, end: int, features: str) -> None:
    """Write the positions at which the kept features are active in some prompts."""
    own, _, differing = _read_sets(place, sets)
    number_of = {prompt: number for number, prompt in enumerate(own.ids)}
    kept, store = load_arrays(place.work / features)[_KEYS], open_store(place.given["store"])
    save_arrays(place.out, active_sites(store, own.ids[first:end], number_of, kept, differing))


def join_values(place: Place, sets: str, seen: list[str], sites: list[str], features: str, measure: str) -> None:
    """Write the values of the kept features in all prompts."""
    own, _, _ = _read_sets(place, sets)
    of_sites, of_nodes = ([load_arrays(place.work / one) for one in folders] for folders in (sites, seen))
    keys = load_arrays(place.work / features)[_KEYS]
    found = FeatureValues.joined(keys, of_sites, of_nodes, len(own.ids), measure == "influence")
    save_arrays(place.out, {entry.name: getattr(found, entry.name) for entry in fields(found)})


def compare_features(place: Place, sets: str, values: str, first: int, end: int) -> None:
    """Write the tests of some features."""
    own, settings, _ = _read_sets(place, sets)
    tests = SetTests(own, settings)
    tests.add(*_values(place.work / values).matrices(len(own.ids), first, end))
    tests.save(place.out / _TESTS)


def write_edges(place: Place, sets: str) -> None:
    """Write all edges of both sets, divided by target."""
    own, _, differing = _read_sets(place, sets)
    prompts = prompts_of(open_store(place.given["store"]), own)
    EdgeReader.write(place.out, prompts, differing, place.given["memory_gb"])


def compare_edges(place: Place, sets: str, edges: str, at_once: int, first: int, end: int) -> int:
    """Write the tests of the edges into some ranges of targets; return the number of those that are too rare."""
    own, settings, _ = _read_sets(place, sets)
    tests, reader = SetTests(own, settings, presence_alone=True), _reader(place, sets, edges)
    keys, shares = [np.zeros(0, np.int64)], [np.zeros(0)]
    rare_before = reader.num_rare
    for block in reader.blocks(range(first, end), settings.min_clusters, at_once):
        _add_edges(tests, block.value, block.present, block.missing)
        keys.append(block.key)
        shares.append(block.differing_tokens)
    save_arrays(place.out, {_KEYS: np.concatenate(keys), "differing_tokens": np.concatenate(shares)})
    if len(keys) > 1:
        tests.save(place.out / _TESTS)
    return reader.num_rare - rare_before


def _add_edges(tests: SetTests, value: Floats, present: Floats, missing: Floats) -> None:
    tests.add(value, present, {"row_share": np.where(np.isnan(value), 0.0, 1.0), "missing": missing})


def _values(folder: Path) -> FeatureValues:
    return FeatureValues(**load_arrays(folder, is_mapped=True))


def _read_sets(place: Place, folder: str) -> tuple[PromptSets, ContrastSettings, frozenset[str]]:
    return _sets_in(place.work / folder)


@kept_for_next
def _sets_in(folder: Path) -> tuple[PromptSets, ContrastSettings, frozenset[str]]:
    """Return the sets, the settings, and the tokens of one set only."""
    document = json.loads((folder / _SETS).read_text(encoding="ascii"))
    own = document["sets"]
    is_a = np.array(own.pop("is_a"), dtype=bool)
    sets = PromptSets(is_a=is_a, warnings=(), **own)
    return sets, ContrastSettings(**document["settings"]), frozenset(document["differing"])


def _reader(place: Place, sets: str, edges: str) -> EdgeReader:
    return _reader_of(str(place.work), sets, edges, place.given["store"], place.given["memory_gb"])


@kept_for_next
def _reader_of(work: str, sets: str, edges: str, url: str, memory_gb: float) -> EdgeReader:
    """Return what reads the divided edges, which is kept for the next task."""
    own, _, _ = _sets_in(Path(work) / sets)
    return EdgeReader(Path(work) / edges, prompts_of(open_store(url), own), memory_gb)
