"""mine_atlas: statistics of every edge between sites and of every feature, over all graphs of a store.

phases of tasks (atlas_tasks.py) ─▶ tables ─▶ provenance.json

Axes: I site.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, ResultError
from ..profile.layout import layer_file
from ..store.reader import Store
from ..table_folder import import_parquet
from ..tasks.phases import Execute, Phases, perform_here
from ..tasks.task import Done, Task, TaskFunction
from ..text import counted
from . import atlas_tasks as tasks
from .findings import describe_graphs, provenance
from .pairs import PAIR_BYTES
from .prompts import ChosenPrompts, choose_prompts
from .result import TABLES, Result, check_folder, open_result, place_file, work_phases, write_document
from .scan import check_one_model
from .sites import Sites
from .spill import EDGE_RECORD, MOST_PARTITIONS, NODE_RECORD, partition_starts

LEAST_MEMORY_GB = 0.05
_SITE_BYTES = 200
_READ_BYTES = 160
"""Bytes that an edge takes while a part range is divided into partitions."""
_SHARE = 0.6
"""Share of the memory that is planned for; the rest is for the allocator's gaps and for files that are written."""
_MOST_READ = 1_500_000
_PIECE_ROWS = 1 << 23
"""Nodes or edges of the prompts of a task, unless a single graph has more."""
_EDGES_PER_SECOND = 5e5
"""Edges that one core mines in a second: a cautious figure for graphs such as those of benchmarks/synthetic_graphs.py,
of whose edges most are of a pair that no other prompt has."""


@dataclass(frozen=True)
class AtlasPlan:
    """How the work is divided. The result does not depend on it."""

    read_rows: int
    """Nodes or edges that are read at once, unless a single graph has more."""
    most_edges: int
    """Edges that are sorted at once, unless a single pair of sites has more."""
    num_partitions: int

    @classmethod
    def of(cls, memory_gb: float, num_records: int, num_sites: int = 0) -> AtlasPlan:
        """Return the plan for an amount of memory in 10^9 bytes.

        Raises ConfigError if it is too small.
        """
        if not memory_gb >= LEAST_MEMORY_GB:
            raise ConfigError(f"the memory must be at least {LEAST_MEMORY_GB} GB, not {memory_gb}")
        left = _SHARE * memory_gb * 1e9 - _SITE_BYTES * num_sites
        if left < _SHARE * LEAST_MEMORY_GB * 1e9 / 2:
            least = (_SITE_BYTES * num_sites / _SHARE + LEAST_MEMORY_GB * 1e9) / 1e9
            raise ConfigError(f"{num_sites:,} different nodes need at least --memory-gb {least:.2f}, not {memory_gb}")
        most_edges = max(1, int(left / (2 * PAIR_BYTES)))
        partitions = min(MOST_PARTITIONS, 1 + int(1.25 * num_records) // most_edges)
        return cls(min(_MOST_READ, max(1, int(left / _READ_BYTES))), most_edges, partitions)


@dataclass(frozen=True)
class AtlasEstimate:
    """What an atlas would take."""

    num_prompts: int
    num_nodes: int
    num_edges: int
    plan: AtlasPlan

    @property
    def temporary_bytes(self) -> int:
        """Bytes of the temporary files."""
        return EDGE_RECORD.itemsize * self.num_edges + NODE_RECORD.itemsize * self.num_nodes

    def describe(self) -> str:
        """Return lines for people."""
        rows = counted(self.num_edges, "edge")
        return (
            f"{counted(self.num_prompts, 'prompt')}, {counted(self.num_nodes, 'node')}, {rows}\n"
            f"at most {rows.replace('edge', 'row')} in the table of edges\n"
            f"{self.temporary_bytes / 1e9:.3f} GB of temporary files in "
            f"{counted(self.plan.num_partitions, 'partition')}, and room for the tables\n"
            f"about {max(1.0, self.num_edges / _EDGES_PER_SECOND):.0f} s on one core"
        )


def plan_atlas(
    store: Store, memory_gb: float = 2.0, where: str | Sequence[str] = (), cluster: str | None = None
) -> AtlasEstimate:
    """Return what `mine_atlas` would take, and refuse what it would refuse of these arguments. Reads no graphs."""
    prompts = choose_prompts(store, where, cluster)
    plan = AtlasPlan.of(memory_gb, prompts.num_edges + prompts.num_nodes)
    return AtlasEstimate(len(prompts), prompts.num_nodes, prompts.num_edges, plan)


def mine_atlas(
    store: Store,
    out: str | Path,
    memory_gb: float = 2.0,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    run: Execute = perform_here,
) -> Result:
    """Write the atlas of a store, or of the prompts that meet `where`, into the folder `out`, and return it.

    `memory_gb` bounds the memory that is used, in 10^9 bytes, beside that of the program itself. `where` holds
    conditions as `query` takes them, and `cluster` names the metadata whose values are the clusters of prompts. `run`
    does the work: `task_runner` gives one for several processes or a cluster, each of whose workers uses that memory.
    The tables do not depend on memory and workers, nor on how the store is divided into parts. A folder that has the
    finished atlas of the same graphs is left as it is, and what a killed run has finished there is not done again.
    Raises ConfigError for arguments that do not fit, StoreError if the store cannot be read, ResultError if the disk is
    full, and WorkerLost.
    """
    import_parquet("a result of mining")
    folder = Path(out).expanduser()
    prompts = choose_prompts(store, where, cluster)
    estimate = plan_atlas(store, memory_gb, where, cluster)
    settings = {
        "what": "atlas",
        "prompts": prompts.digest(),
        "where": [where] if isinstance(where, str) else list(where),
        "cluster": cluster,
    }
    if not check_folder(folder, settings):
        given = {"store": store.url}
        with _room(folder, estimate), work_phases(folder, settings, run, given) as phases:
            counts = write_atlas(folder, phases, prompts, memory_gb, estimate.plan)
            write_document(folder, {"what": "atlas", "settings": settings, **provenance(prompts), **counts})
    return open_result(folder)


def write_atlas(
    folder: Path, phases: Phases, prompts: ChosenPrompts, memory_gb: float, plan: AtlasPlan
) -> dict[str, int]:
    """Write the tables of an atlas by phases of tasks; return the numbers of rows."""
    of_graphs, pieces = describe_graphs(prompts.store), list(prompts.pieces(_PIECE_ROWS))

    def run(phase: str, function: TaskFunction, *arguments: dict[str, Any], **common: Any) -> list[Done]:
        return phases.run(phase, [Task(function, {**one, **common}) for one in arguments])

    of_pieces: list[dict[str, Any]] = [{"piece": piece} for piece in pieces]
    found = run("piece_sites", tasks.find_sites_of_piece, *of_pieces, read_rows=plan.read_rows)
    check_one_model({int(number): id_ for one in reversed(found) for number, id_ in one.value.items()})
    clusters = None if prompts.clusters is None else prompts.clusters.tolist()
    (joined,) = run("sites", tasks.join_sites, {"folders": [one.folder for one in found], "clusters": clusters})
    sites = Sites.load(phases.work / joined.folder)
    plan = AtlasPlan.of(memory_gb, prompts.num_edges + prompts.num_nodes, len(sites))
    starts = partition_starts(sites, plan.num_partitions)
    of_sites = {"sites": joined.folder, "starts": starts.tolist()}
    spilled = run("spill", tasks.spill_piece, *of_pieces, **of_sites, read_rows=plan.read_rows)
    of_spill = {**of_sites, "spills": [one.folder for one in spilled]}
    numbers = [{"number": number} for number in range(len(starts) - 1)]
    of_nodes = run("nodes", tasks.reduce_nodes, *numbers, **of_spill)
    (incidences,) = run("incidences", tasks.join_incidences, {"folders": [one.folder for one in of_nodes]})
    phases.release("nodes")
    about = {"incidences": incidences.folder, "of_graphs": of_graphs}
    (features,) = run("features", tasks.write_features, {"sites": joined.folder, **about})
    layer_of = sites.layer_I[starts[:-1]].tolist()
    layers = {layer: [number for number, its in enumerate(layer_of) if its == layer] for layer in sorted(set(layer_of))}
    common = {**of_spill, **about, "num_prompts": len(prompts), "most_edges": plan.most_edges}
    edges = run("edges", tasks.write_edges, *({"partitions": own} for own in layers.values()), **common)
    phases.release("spill")
    if not (num_rows := sum(one.value for one in edges)):
        raise ConfigError(f"the chosen graphs of {prompts.store.url} have no edges to mine")
    files = {layer_file("edges", layer): one for layer, one in zip(layers, edges, strict=True) if one.value}
    for name, done in {"features.parquet": features, **files}.items():
        place_file(phases.work / done.folder / tasks.TABLE, folder / TABLES / name)
    return {"num_edge_rows": num_rows, "num_feature_rows": features.value}


@contextmanager
def _room(folder: Path, estimate: AtlasEstimate) -> Iterator[None]:
    """Raise ResultError, which says what is needed, if the disk becomes full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ResultError(
            f"the disk of {folder} is full: {estimate.temporary_bytes:,} bytes of temporary files and the tables must "
            f"fit there, and {shutil.disk_usage(folder).free:,} bytes are free; make room, and run the same command "
            "again, which goes on from there"
        ) from error
