"""mine_atlas: statistics of every edge between sites and of every feature, over all graphs of a store.

find sites ─▶ spill records into partitions ─▶ nodes of each site ─▶ edges of each partition ─▶ provenance.json

Axes: I site.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, ResultError
from ..graph.nodes import NodeKind
from ..profile.layout import layer_file
from ..store.reader import Store
from ..table_folder import import_parquet, write_parquet
from ..text import counted
from .columns import EDGE_COLUMNS, FEATURE_COLUMNS, Column, arrow_table, ratio_columns, rebatched, with_means
from .findings import describe_graphs, provenance
from .incidences import Incidences
from .pairs import PAIR_BYTES, PairReduction, Rows, key_ranges
from .prompts import ChosenPrompts, choose_prompts
from .result import TABLES, Result, check_folder, open_result, work_folder, write_document
from .scan import find_sites, scan_ranges
from .sites import Sites
from .spill import EDGE_RECORD, MOST_PARTITIONS, NODE_RECORD, Spill, partition_starts

ROWS_OF_GROUP = 1 << 16
"""Number of rows of each row group, so that files do not depend on how the work was divided."""
LEAST_MEMORY_GB = 0.05
_SITE_BYTES = 200
_READ_BYTES = 160
"""Bytes that an edge takes while a part range is divided into partitions."""
_SHARE = 0.6
"""Share of the memory that is planned for; the rest is for the allocator's gaps and for files that are written."""
_MOST_READ = 1_500_000
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
) -> Result:
    """Write the atlas of a store, or of the prompts that meet `where`, into the folder `out`, and return it.

    `memory_gb` bounds the memory that is used, in 10^9 bytes, beside that of the program itself. `where` holds
    conditions as `query` takes them, and `cluster` names the metadata whose values are the clusters of prompts. The
    tables do not depend on memory, nor on how the store is divided into parts. A folder that has the finished atlas of
    the same graphs is left as it is; what a killed run has left is removed, and the work begins anew. Raises
    ConfigError for arguments that do not fit, StoreError if the store cannot be read, ResultError if the disk is full.
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
        with room(folder, estimate), work_folder(folder, settings) as work:
            sites = find_sites(prompts, estimate.plan.read_rows)
            plan = AtlasPlan.of(memory_gb, prompts.num_edges + prompts.num_nodes, len(sites))
            counts = write_atlas(folder, work, prompts, sites, plan)
            write_document(folder, {"what": "atlas", "settings": settings, **provenance(prompts), **counts})
    return open_result(folder)


def write_atlas(folder: Path, work: Path, prompts: ChosenPrompts, sites: Sites, plan: AtlasPlan) -> dict[str, int]:
    """Write the tables of an atlas with temporary files in `work`; return the numbers of rows."""
    of_graphs = describe_graphs(prompts.store)
    spill = Spill(work, sites, partition_starts(sites, plan.num_partitions))
    spill.write(scan_ranges(prompts, plan.read_rows))
    incidences = Incidences(work, spill, len(prompts))
    features = _feature_rows(sites, incidences)
    _write(folder / TABLES / "features.parquet", [arrow_table(FEATURE_COLUMNS, features, of_graphs)], FEATURE_COLUMNS)
    num_rows = 0

    def counting(batches: Iterator[Rows]) -> Iterator[Any]:
        nonlocal num_rows
        for rows in batches:
            num_rows += len(rows["prompts"])
            yield arrow_table(EDGE_COLUMNS, with_means(rows, len(prompts)), of_graphs)

    batches = _edge_rows(spill, PairReduction(sites, incidences, prompts), plan)
    for layer, own in groupby(batches, key=lambda rows: int(rows["target_layer"][0])):
        _write(folder / TABLES / layer_file("edges", layer), counting(own), EDGE_COLUMNS)
    if not num_rows:
        raise ConfigError(f"the chosen graphs of {prompts.store.url} have no edges to mine")
    return {"num_edge_rows": num_rows, "num_feature_rows": len(features["layer"])}


def _write(path: Path, tables: Iterable[Any], columns: Mapping[str, Column]) -> None:
    """Write pyarrow.Tables as one file, which does not depend on how the rows are divided into these tables."""
    repeated = [name for name, column in columns.items() if column.kind != "f8"]  # a dictionary of sums saves nothing
    write_parquet(path, iter(rebatched(tables, ROWS_OF_GROUP)), ROWS_OF_GROUP, repeated)


def _edge_rows(spill: Spill, reduction: PairReduction, plan: AtlasPlan) -> Iterator[Rows]:
    """Yield the rows of all pairs, by target site, then by source site."""
    for number in range(len(spill.starts) - 1):
        for first, end in key_ranges(spill, number, plan.most_edges):
            yield from reduction.rows(spill.edges(number, first, end))
        spill.remove("edges", number)


def _feature_rows(sites: Sites, incidences: Incidences) -> dict[str, npt.NDArray[Any]]:
    sums, own = incidences.sums, np.flatnonzero(sites.is_kind(NodeKind.FEATURE))
    columns: Rows = {
        "layer": sites.layer_I,
        "feature": sites.feature_I,
        "prompts": sums.num_prompts_I,
        "prompts_row": sums.num_row_I,
        "nodes": sums.num_nodes_I,
        "nodes_unknown": sums.num_activation_unknown_I,
        "sum_activation": sums.activation_I,
        "sum_activation_squared": sums.activation_squared_I,
        "prompts_influence_unknown": sums.num_influence_unknown_I,
        "sum_influence": sums.influence_I,
        "prompts_error_share": sums.num_error_share_I,
        "sum_error_share": sums.error_share_I,
    }
    return ratio_columns({name: values[own] for name, values in columns.items()})


@contextmanager
def room(folder: Path, estimate: AtlasEstimate) -> Iterator[None]:
    """Raise ResultError, which says what is needed, if the disk becomes full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ResultError(
            f"the disk of {folder} is full: {estimate.temporary_bytes / 1e9:.3f} GB of temporary files and the tables "
            "must fit there; make room or name another folder, and run the same command again"
        ) from error
