"""build_tables: the stored tables of an atlas, or of prompts that are added to one.

phases of tasks (atlas_tasks.py) ─▶ tables of each block of partitions ─▶ tables of all sites

Axes: I site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..table_folder import write_parquet
from ..tasks.phases import Phases
from ..tasks.task import Done, Task, TaskFunction
from . import atlas_tasks as tasks
from .active import ActiveCounts
from .block_files import division
from .columns import ACTIVE_COLUMNS, FEATURE_COLUMNS, PROMPT_COLUMNS, SITE_COLUMNS, Column, arrow_table, encodings
from .findings import describe_graphs
from .incidences import SiteSums
from .partition import EDGE_BYTES
from .prompts import ChosenPrompts
from .reduce_block import ReducedBlock, block_size, num_blocks
from .result import place_file
from .scan import check_one_model
from .site_tables import active_rows, feature_rows, site_rows
from .sites import Sites
from .spill import MOST_SITES

LEAST_MEMORY_GB = 0.05
_SITE_BYTES = 200
_READ_BYTES = 160
"""Bytes that an edge takes while a part range is divided into partitions."""
_SHARE = 0.6
"""Share of the memory that is planned for; the rest is for the allocator's gaps and for files that are written."""
_MOST_READ = 1_500_000
PIECE_ROWS = 1 << 23
"""Nodes or edges of the prompts of a task, unless a single graph has more."""


@dataclass(frozen=True)
class AtlasPlan:
    """How the work is divided. The result does not depend on it."""

    read_rows: int
    """Nodes or edges that are read at once, unless a single graph has more."""
    most_edges: int
    """Edges that are ordered at once, unless a single pair of sites has more."""

    @classmethod
    def of(cls, memory_gb: float, num_sites: int = 0) -> AtlasPlan:
        """Return the plan for an amount of memory in 10^9 bytes.

        Raises ConfigError if it is too small.
        """
        if not memory_gb >= LEAST_MEMORY_GB:
            raise ConfigError(f"the memory must be at least {LEAST_MEMORY_GB} GB, not {memory_gb}")
        if num_sites > MOST_SITES:
            raise ConfigError(
                f"{num_sites:,} different nodes: at most {MOST_SITES:,} can be mined; choose with --where"
            )
        left = _SHARE * memory_gb * 1e9 - _SITE_BYTES * num_sites
        if left < _SHARE * LEAST_MEMORY_GB * 1e9 / 2:
            least = (_SITE_BYTES * num_sites / _SHARE + LEAST_MEMORY_GB * 1e9) / 1e9
            raise ConfigError(f"{num_sites:,} different nodes need at least --memory-gb {least:.2f}, not {memory_gb}")
        return cls(min(_MOST_READ, max(1, int(left / _READ_BYTES))), max(1, int(left / EDGE_BYTES)))


@dataclass(frozen=True, eq=False)
class BuiltTables:
    """The stored tables of some prompts."""

    description: dict[str, Any]
    """How they are divided, as JSON."""
    num_pairs: int
    """Pairs of sites with an edge."""
    sites: Sites
    files: Mapping[str, tuple[int, str]]
    """Size and SHA-256 of the files that tasks have written, relative to the folder of the tables."""


def build_tables(
    tables: Path, phases: Phases, prompts: ChosenPrompts, memory_gb: float, cuts: Sequence[int] | None = None
) -> BuiltTables:
    """Write the stored tables of prompts to the folder `tables`, by phases of tasks.

    `cuts` has the code of the first site of each partition of the atlas that the prompts are added to; then only the
    tables are written that its reader needs. Raises ConfigError if an atlas would have no edges, and if the models of
    the graphs have different numbers of layers.
    """
    if cuts is None and not prompts.num_edges:
        raise ConfigError(f"the chosen graphs of {prompts.store.url} have no edges to mine")
    is_added = cuts is not None
    of_graphs, pieces = describe_graphs(prompts.store), list(prompts.pieces(PIECE_ROWS))

    def of_pieces(phase: str, function: TaskFunction, **common: Any) -> list[Done]:
        return phases.run(phase, [Task(function, {"piece": piece, **common}) for piece in pieces])

    read_rows = AtlasPlan.of(memory_gb).read_rows
    found = of_pieces("piece_sites", tasks.find_sites_of_piece, read_rows=read_rows)
    check_one_model({int(number): id_ for one in reversed(found) for number, id_ in one.value.items()})
    clusters = None if prompts.clusters is None else prompts.clusters.tolist()
    join = {
        "folders": [one.folder for one in found],
        "clusters": clusters,
        "cuts": None if cuts is None else list(cuts),
    }
    (joined,) = phases.run("sites", [Task(tasks.join_sites, join)])
    phases.release("piece_sites")
    sites, starts = Sites.load(phases.work / joined.folder), tasks.load_starts(phases.work / joined.folder)
    plan = AtlasPlan.of(memory_gb, len(sites))
    counted = of_pieces("active", tasks.count_active_of_piece, read_rows=plan.read_rows)
    spilled = of_pieces("spill", tasks.spill_piece, sites=joined.folder, read_rows=plan.read_rows)
    size = block_size(sites, starts, is_added)
    common = {
        "sites": joined.folder,
        "size": size,
        "spills": [one.folder for one in spilled],
        "most_edges": plan.most_edges,
        "of_graphs": of_graphs,
        "is_added": is_added,
    }
    numbers = range(num_blocks(starts, size))
    made = phases.run("blocks", [Task(tasks.write_block, {"block": number, **common}) for number in numbers])
    phases.release("spill")
    files = {}
    for done in made:
        for name, expected in done.files.items():
            if name != tasks.BLOCK:
                place_file(phases.work / done.folder / name, tables / name)
                files[name] = expected
    blocks = [ReducedBlock.load(phases.work / done.folder / tasks.BLOCK) for done in made]
    sums = SiteSums.joined([one.sums for one in blocks])
    active = ActiveCounts.joined(ActiveCounts.load(phases.work / one.folder, *one.value) for one in counted)
    _write(tables / "active.parquet", ACTIVE_COLUMNS, active_rows(active), of_graphs)
    _write(tables / "sites.parquet", SITE_COLUMNS, site_rows(sites, sums), of_graphs)
    _write(tables / "prompts.parquet", PROMPT_COLUMNS, _prompt_rows(prompts), of_graphs)
    if cuts is None:
        _write(tables / "features.parquet", FEATURE_COLUMNS, feature_rows(sites, sums, active), of_graphs)
        cuts = sites.code_I[starts[:-1]].tolist()
    rows = {table: [number for one in blocks for number in one.num_rows[table]] for table in blocks[0].num_rows}
    description = {
        "cuts": list(cuts),
        "num_edges": prompts.num_edges,
        "num_active_known": active.num_active_known,
        "num_computed_known": active.num_computed_known,
        **division(rows, size, is_spanning=is_added),
    }
    return BuiltTables(description, sum(one.num_pairs for one in blocks), sites, files)


def _prompt_rows(prompts: ChosenPrompts) -> dict[str, Any]:
    return {
        "prompt": np.arange(len(prompts), dtype=np.int32),
        "id": list(prompts.ids),
        "cluster": prompts.cluster_texts,
        "graph": prompts.graph_digests,
    }


def _write(path: Path, columns: Mapping[str, Column], rows: Mapping[str, Any], of_graphs: str) -> None:
    write_parquet(path, iter([arrow_table(columns, rows, of_graphs)]), compression="lz4", **encodings(columns))
