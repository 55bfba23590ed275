"""Tasks of a consensus graph, and their phases.

sites ─▶ shares of edges, divided by target ─▶ inclusion of the edges into each range of targets
      ─▶ which edges each few subsamples choose

Axes: I edge, X edge in a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from ..text import counted
from .consensus_rule import ConsensusRule, count_chosen, samples_at_once
from .edge_records import DividedFile
from .edge_shares import read_edge_shares
from .inclusion import Inclusion, Record, Unknown, most_records, num_passes
from .prompt_tasks import keep_prompts, read_prompts
from .prompts import ChosenPrompts, PromptPiece
from .scan import find_sites_of_one_model
from .sites import Sites
from .task_arrays import load_arrays, save_arrays
from .task_cache import kept_for_next

EDGE_BYTES = 80
"""Bytes that an edge takes in the files, at most: 28 in a prompt, and 52 in a cluster."""
_READ_ROWS = 1_000_000
_PIECE_ROWS = 5_000_000
"""Nodes and edges whose shares a task reads, unless a single graph has more."""
_RANGE_EDGES = 4_000_000
"""Edges of a task that finds their inclusion, unless a single target has more."""
_SHARES = "shares"
_RECORD = np.dtype([("key", "<i8"), ("share", "<f8"), ("signed", "<f8"), ("rank", "<i4")])
"""What is recorded of an edge in a prompt: the columns of EdgeShares."""
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

    def edges(
        self,
        pieces: Iterable[Mapping[str, Any]],
        starts: Sequence[int],
        within: Fraction,
        listed: npt.NDArray[np.bool_] | None,
    ) -> EdgesOfClusters:
        """Return the edges that clusters have.

        `pieces` are those of the prompts, and `starts` the first sites of ranges of targets, followed by the number of
        sites. `listed` says by the number of clusters that include it whether an edge is returned; None for all.
        """
        common: dict[str, Any] = {"prompts": self.prompts, "sites": self.sites, "starts": list(starts)}
        tasks = [Task(write_shares, {**common, "piece": piece}) for piece in pieces]
        shares = self.phases.run("shares", tasks)
        unknown = Unknown(*(sum(one.value[place] for one in shares) for place in range(2)))
        common = {"prompts": self.prompts, "shares": [one.folder for one in shares], "num_ranges": len(starts) - 1}
        common |= {"within": str(within), "listed": None if listed is None else listed.tolist()}
        done = self.phases.run(
            "edges", [Task(include_edges, {**common, "number": number}) for number in range(len(starts) - 1)]
        )
        self.phases.release("shares")
        folders = [one.folder for one in done]
        found = _joined([str(self.phases.work / folder) for folder in folders])
        return EdgesOfClusters(found, sum(one.value for one in done), unknown, folders)

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


def pieces(prompts: ChosenPrompts) -> Iterator[dict[str, Any]]:
    """Yield the pieces of the prompts for tasks."""
    return prompts.pieces(_PIECE_ROWS)


def num_ranges(num_edges: int, memory_gb: float) -> int:
    """Return the number of ranges into which edges are divided by target, so that those of one fit into the memory."""
    return max(num_passes(num_edges, memory_gb), -(-num_edges // _RANGE_EDGES))


def describe_consensus(prompts: ChosenPrompts, memory_gb: float) -> str:
    """Return lines for people: what the edges of prompts take."""
    return (
        f"{counted(len(prompts), 'prompt')}, {counted(prompts.num_edges, 'edge')}\n"
        f"the edges are divided into {counted(num_ranges(prompts.num_edges, memory_gb), 'range')}; at most "
        f"{prompts.num_edges * EDGE_BYTES / 1e9:.3f} GB of temporary files"
    )


def write_sites(place: Place, prompts: str) -> None:
    """Write the sites of all nodes."""
    find_sites_of_one_model(read_prompts(place, prompts), _READ_ROWS).save(place.out)


def write_shares(place: Place, prompts: str, sites: str, starts: list[int], piece: dict[str, Any]) -> list[int]:
    """Write the shares of the edges of some prompts, divided by target; return the number of prompts without influence,
    and of edges whose weight is not finite. The folder of the prompts tells graphs apart."""
    all_sites, own = _sites(place.work, sites), PromptPiece.open(place.given["store"], piece)
    at_once = min(_READ_ROWS, most_records(place.given["memory_gb"]))
    file, unknown = DividedFile(place.out / _SHARES, _RECORD, len(starts) - 1), [0, 0]
    range_I = np.repeat(np.arange(len(starts) - 1, dtype=np.uint16), np.diff(starts))
    for shares in read_edge_shares(own, all_sites, at_once, "all"):
        records = np.empty(len(shares.key_X), dtype=_RECORD)
        for name in _RECORD.names or ():
            records[name] = getattr(shares, f"{name}_X")
        file.append(records, range_I[shares.key_X // len(all_sites)])
        unknown[0] += int(np.count_nonzero(~shares.known_I))
        unknown[1] += shares.num_unknown
    file.close()
    return unknown


def include_edges(
    place: Place, prompts: str, shares: list[str], num_ranges: int, within: str, listed: list[bool] | None, number: int
) -> int:
    """Write the inclusion of the edges into a range of targets, and return the number of these edges."""
    cluster_of = clusters_of(read_prompts(place, prompts))

    def records() -> Iterator[Record]:
        for folder in shares:
            for block in DividedFile.opened(place.work / folder / _SHARES, _RECORD, num_ranges).blocks(number):
                yield block["key"], block["rank"], block["share"], block["signed"]

    found = Inclusion.of(records(), cluster_of, Fraction(within))
    num_edges = len(found.key_I)
    if listed is not None:
        found = found.where(np.array(listed, dtype=bool)[found.clusters_I])
    save_arrays(place.out, {entry.name: getattr(found, entry.name) for entry in fields(found)})
    return num_edges


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
def _sites(work: Path, folder: str) -> Sites:
    """Return the sites, which are kept for the next task."""
    return Sites.load(work / folder)


@kept_for_next
def _joined_once(folders: tuple[str, ...]) -> Inclusion:
    """Return the inclusion of all edges, which is kept for the next task."""
    return _joined(folders)
