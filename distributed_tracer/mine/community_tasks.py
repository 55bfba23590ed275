"""Tasks of communities, and their phases.

edges of clusters ─▶ partitions of the data; where features act; names shuffled once ─▶ bootstraps and shuffled edges

Later tasks map the edges into their memory, so that all processes of a machine share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from .cluster_edges import ClusterEdges, FeatureActs, read_cluster_edges
from .community_graph import Ints, MakeGraph
from .community_outcomes import load_levels, load_outcomes, save_levels, save_outcomes
from .community_runs import Level, add_runs, do_run, observed_levels, planned_runs
from .community_settings import CommunitySettings
from .consensus_tasks import clusters_of
from .feature_contexts import FeatureContexts, read_contexts
from .inclusion import Unknown
from .pathway_graph import pathway_graph
from .prompt_tasks import keep_prompts, read_prompts
from .prompts import ChosenPrompts
from .role_graph import role_graph
from .shuffled_edges import renamed_share
from .sites import Sites
from .task_arrays import load_arrays, save_arrays
from .task_cache import kept_for_next

EDGE_BYTES = 20
"""Bytes that an edge of a cluster takes in the files."""
NODE_BYTES = 80
"""Bytes that a node takes in the files, at most."""
_EDGES, _ACTS, _SITES, _NUMBERS = "edges", "acts", "sites", "numbers"
_TASK_EDGES = 2_000_000
"""Edges in clusters that the runs of a task read at least: of small stores a task has several runs."""


@dataclass(frozen=True, eq=False)
class MinedEdges:
    """The edges of clusters, mapped from files, and what was found with them."""

    edges: ClusterEdges
    acts: FeatureActs
    sites: Sites
    unknown: Unknown

    @property
    def site_F(self) -> Ints:
        """Number of each feature's site [F]."""
        return self.edges.site_N[: self.edges.num_features]


@dataclass(frozen=True, eq=False)
class CommunityPhases:
    """The phases of communities, in their order."""

    phases: Phases
    kind: str
    settings: CommunitySettings
    prompts: str
    """Folder of the prompts."""
    folder: str
    """Folder of the edges."""
    mined: MinedEdges

    @classmethod
    def begin(cls, phases: Phases, kind: str, prompts: ChosenPrompts, settings: CommunitySettings) -> CommunityPhases:
        """Do the first phases, which keep the prompts and read all graphs."""
        kept = keep_prompts(phases, prompts)
        arguments = {"prompts": kept, "min_clusters": settings.min_clusters}
        (done,) = phases.run("edges", [Task(write_edges, arguments)])
        mined = mined_edges(str(phases.work), done.folder)
        return cls(phases, kind, settings, kept, done.folder, mined)

    def find(self) -> tuple[list[Level], FeatureContexts, float]:
        """Return the levels with their runs, where features act, and the share of names that shuffles change."""
        observed = [
            Task(partition_edges, self._of_runs()),
            Task(write_contexts, {"prompts": self.prompts, "edges": self.folder}),
            Task(count_renamed, {"edges": self.folder, "seed": self.settings.seed}),
        ]
        partition, contexts, renamed = self.phases.run("observed", observed)
        levels = load_levels(self.phases.work / partition.folder, self.settings.resolutions)
        every = planned_runs(self.settings)
        step = max(1, _TASK_EDGES // max(1, len(self.mined.edges.share_E)))
        common = {**self._of_runs(), "levels": partition.folder}
        blocks = [every[first : first + step] for first in range(0, len(every), step)]
        tasks = [Task(do_runs, {**common, "runs": [list(run) for run in block]}) for block in blocks]
        add_runs(levels, load_outcomes(self.phases.work / partition.folder, len(levels)))
        for done in self.phases.run("runs", tasks):
            add_runs(levels, load_outcomes(self.phases.work / done.folder, len(levels)))
        found = FeatureContexts(**load_arrays(self.phases.work / contexts.folder))
        return levels, found, float(load_arrays(self.phases.work / renamed.folder)["renamed"][0])

    def _of_runs(self) -> dict[str, Any]:
        """Return the arguments of tasks that make graphs of features."""
        return {"edges": self.folder, "kind": self.kind, "settings": asdict(self.settings)}


def graph_maker(kind: str, settings: CommunitySettings) -> MakeGraph:
    """Return what makes the graph of roles or of pathways."""
    return partial(role_graph, neighbours=settings.neighbours) if kind == "roles" else pathway_graph


def write_edges(place: Place, prompts: str, min_clusters: int) -> None:
    """Write the edges of clusters and their sites."""
    chosen = read_prompts(place, prompts)
    memory_gb = place.given["memory_gb"]
    edges, acts, sites, unknown = read_cluster_edges(chosen, clusters_of(chosen), min_clusters, memory_gb)
    for name, found in ((_EDGES, edges), (_ACTS, acts)):
        own = {entry.name: getattr(found, entry.name) for entry in fields(found)}
        save_arrays(place.out / name, {key: own[key] for key in own if isinstance(own[key], np.ndarray)})
    numbers = (edges.num_features, edges.num_clusters, unknown.prompts, unknown.edges)
    save_arrays(place.out, {_NUMBERS: np.array(numbers, dtype=np.int64)})
    (place.out / _SITES).mkdir()
    sites.save(place.out / _SITES)


def partition_edges(place: Place, edges: str, kind: str, settings: dict[str, Any]) -> None:
    """Write the partition of each level, and what other seeds say of it."""
    own = _settings(settings)
    save_levels(place.out, *observed_levels(mined_edges(str(place.work), edges).edges, graph_maker(kind, own), own))


def write_contexts(place: Place, prompts: str, edges: str) -> None:
    """Write where features act."""
    chosen, mined = read_prompts(place, prompts), mined_edges(str(place.work), edges)
    found = read_contexts(chosen, clusters_of(chosen), mined.sites.codes(mined.site_F))
    save_arrays(place.out, {entry.name: getattr(found, entry.name) for entry in fields(found)})


def count_renamed(place: Place, edges: str, seed: int) -> None:
    """Write which share of names the shuffles change."""
    save_arrays(place.out, {"renamed": np.array([renamed_share(mined_edges(str(place.work), edges).edges, seed)])})


def do_runs(
    place: Place, edges: str, levels: str, kind: str, settings: dict[str, Any], runs: Sequence[tuple[str, int]]
) -> None:
    """Write what some runs on other edges say of the levels."""
    own = _settings(settings)
    labels = [level.label_F for level in load_levels(place.work / levels, own.resolutions)]
    of_clusters = mined_edges(str(place.work), edges).edges
    make = graph_maker(kind, own)
    save_outcomes(place.out, [do_run(of_clusters, make, own, labels, *run) for run in runs])


def _settings(given: Mapping[str, Any]) -> CommunitySettings:
    return CommunitySettings(**{**given, "resolutions": tuple(given["resolutions"])})


@kept_for_next
def mined_edges(work: str, folder: str) -> MinedEdges:
    """Return what `write_edges` wrote, which is kept for the next task."""
    own = Path(work) / folder
    arrays: dict[str, Any] = load_arrays(own / _EDGES, is_mapped=True)
    acts = FeatureActs(**load_arrays(own / _ACTS, is_mapped=True))
    num_features, num_clusters, *unknown = load_arrays(own)[_NUMBERS].tolist()
    edges = ClusterEdges(**arrays, num_features=num_features, num_clusters=num_clusters)
    return MinedEdges(edges, acts, Sites.load(own / _SITES), Unknown(*unknown))
