"""Tasks of a consensus graph, and their phases.

sites ─▶ inclusion of the edges into each range of targets ─▶ which edges each few subsamples choose

Axes: I edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from .consensus_rule import ConsensusRule, count_chosen, samples_at_once
from .inclusion import Inclusion, Unknown, edge_inclusion
from .prompt_tasks import keep_prompts, read_prompts
from .prompts import ChosenPrompts
from .scan import find_sites_of_one_model
from .sites import Sites
from .task_arrays import load_arrays, save_arrays
from .task_cache import kept_for_next

EDGE_BYTES = 52
"""Bytes that an edge of a cluster takes in the files, at most."""
_READ_ROWS = 1_000_000
_LEAST_SAMPLES = 20
"""Subsamples of a task, at least: reading the edges should not take longer than drawing from them."""


@dataclass(frozen=True, eq=False)
class EdgesOfClusters:
    """The edges that clusters of prompts have."""

    inclusion: Inclusion
    """Those that are listed."""
    number: int
    """Number of all edges."""
    unknown: Unknown
    folders: list[str]
    """Folders of the tasks that found them."""


@dataclass(frozen=True, eq=False)
class ConsensusPhases:
    """The phases of a consensus graph, in their order."""

    phases: Phases
    prompts: str
    """Folder of the prompts."""
    sites: str
    """Folder of the sites."""

    @classmethod
    def begin(cls, phases: Phases, prompts: ChosenPrompts) -> ConsensusPhases:
        """Keep the prompts and their sites."""
        kept = keep_prompts(phases, prompts)
        (done,) = phases.run("sites", [Task(write_sites, {"prompts": kept})])
        return cls(phases, kept, done.folder)

    def edges(self, starts: Sequence[int], within: Fraction, listed: npt.NDArray[np.bool_] | None) -> EdgesOfClusters:
        """Return the edges that clusters have.

        `starts` are the first sites of ranges of targets, followed by the number of sites. `listed` says by the number
        of clusters that include it whether an edge is returned; None for all.
        """
        common: dict[str, Any] = {"prompts": self.prompts, "sites": self.sites, "within": str(within)}
        common["listed"] = None if listed is None else listed.tolist()
        tasks = [Task(include_edges, {**common, "first": first, "end": end}) for first, end in pairwise(starts)]
        done = self.phases.run("edges", tasks)
        _, num_prompts, num_edges = done[0].value if done else (0, 0, 0)  # unknown of all edges, whatever the range
        folders = [one.folder for one in done]
        found = _joined([str(self.phases.work / folder) for folder in folders])
        return EdgesOfClusters(found, sum(one.value[0] for one in done), Unknown(num_prompts, num_edges), folders)

    def count_chosen(
        self, edges: EdgesOfClusters, num_clusters: int, size: int, rule: ConsensusRule
    ) -> npt.NDArray[np.int64]:
        """Return how many subsamples of clusters choose each edge."""
        num_edges = len(edges.inclusion.key_I)
        step = max(_LEAST_SAMPLES, samples_at_once(num_edges))
        common = {"edges": edges.folders, "num_clusters": num_clusters, "size": size, "rule": asdict(rule)}
        ranges = [(first, min(step, rule.samples - first)) for first in range(0, rule.samples, step)]
        tasks = [Task(choose_edges, {**common, "before": first, "draws": draws}) for first, draws in ranges]
        count_I = np.zeros(num_edges, dtype=np.int64)
        for one in self.phases.run("samples", tasks):
            count_I += load_arrays(self.phases.work / one.folder)["count"]
        return count_I


def write_sites(place: Place, prompts: str) -> None:
    """Write the sites of all nodes."""
    find_sites_of_one_model(read_prompts(place, prompts), _READ_ROWS).save(place.out)


def include_edges(
    place: Place, prompts: str, sites: str, within: str, listed: list[bool] | None, first: int, end: int
) -> list[int]:
    """Write the inclusion of the edges into the sites from `first` to `end` - 1; return the number of these edges, of
    the prompts without influence, and of all edges whose weight is not finite."""
    chosen = read_prompts(place, prompts)
    cluster_of = clusters_of(chosen)
    own = Sites.load(place.work / sites)
    memory_gb = place.given["memory_gb"]
    found, unknown = edge_inclusion(chosen, own, cluster_of, Fraction(within), memory_gb, (first, end))
    number = len(found.key_I)
    if listed is not None:
        found = found.where(np.array(listed, dtype=bool)[found.clusters_I])
    save_arrays(place.out, {entry.name: getattr(found, entry.name) for entry in fields(found)})
    return [number, unknown.prompts, unknown.edges]


def choose_edges(
    place: Place, edges: list[str], num_clusters: int, size: int, rule: dict[str, Any], before: int, draws: int
) -> None:
    """Write how many of some subsamples of clusters choose each edge."""
    found = _joined_once(tuple(str(place.work / folder) for folder in edges))
    counts = count_chosen(found, num_clusters, size, ConsensusRule(**rule), before, draws)
    save_arrays(place.out, {"count": counts})


def clusters_of(prompts: ChosenPrompts) -> npt.NDArray[np.int32]:
    """Return the cluster of each prompt by rank, -1 for none; without a field each prompt is one."""
    return np.arange(len(prompts), dtype=np.int32) if prompts.clusters is None else prompts.clusters


def _joined(folders: Sequence[str]) -> Inclusion:
    def parts() -> Iterator[Inclusion]:
        for folder in folders:
            yield Inclusion(**load_arrays(Path(folder)))

    return Inclusion.joined(list(parts()))


@kept_for_next
def _joined_once(folders: tuple[str, ...]) -> Inclusion:
    """Return the inclusion of all edges, which is kept for the next task."""
    return _joined(folders)
