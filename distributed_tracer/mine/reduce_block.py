"""reduce_block: what one block of partitions has of an atlas, from the nodes and edges that tasks have spilled.

A task reads files and writes files, needs nothing from other blocks, and writes the same whatever the work is divided
into.

Axes: E edge, I site, X pair of sites or incidence of a site and a prompt, B row of a batch (an edge of some pairs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import spill as spills
from .block_files import BLOCK, BlockWriter
from .columns import INSTANCE_COLUMNS, STORED_NODE_COLUMNS
from .incidences import SiteSums
from .pairs import STORED_MOMENTS, Edges, Moments
from .partition import Partition, Piece
from .sites import Sites
from .spill import Spill

BASE = ("nodes", "edges_once", "edges_recurring", "instances")
"""Stored tables of an atlas that was made at once."""
ADDED = ("nodes", "instances")
"""Stored tables of the prompts that were added to one."""
_PAIRS_AT_ONCE = 1 << 14
"""Pairs whose statistics are made at once, so that what they need stays in the cache."""
_ADDED_PARTITIONS = 4
"""Whole partitions whose records a block of added prompts has, about."""


@dataclass(frozen=True, eq=False)
class BlockTask:
    """What all blocks of an atlas have in common."""

    tables: Path
    """Folder of the stored tables."""
    num_sites: int
    starts: npt.NDArray[np.int64]
    """First site of each partition, followed by the number of sites."""
    most_edges: int
    """Edges that are ordered at once, unless a single pair has more."""
    of_graphs: str
    clusters: npt.NDArray[np.int32] | None
    """Number of each prompt's cluster by rank; -1 for none."""
    size: int = BLOCK
    """Number of partitions of a block."""
    is_added: bool = False
    """Whether the prompts are added to an atlas: then only what its reader needs is written, and partitions are reduced
    together."""


@dataclass(frozen=True, eq=False)
class ReducedBlock:
    """What a block has found."""

    num_rows: Mapping[str, list[int]]
    """Rows of each stored table and partition."""
    sums: SiteSums
    """Sums of the block's sites."""
    num_pairs: int

    def save(self, path: Path) -> None:
        """Write it to a file."""
        sums = {field.name: getattr(self.sums, field.name) for field in fields(SiteSums)}
        rows = {f"rows/{table}": np.array(rows, dtype=np.int64) for table, rows in self.num_rows.items()}
        content = BytesIO()
        np.savez(content, **sums, **rows, num_pairs=np.array(self.num_pairs))  # type: ignore[arg-type]
        path.write_bytes(content.getvalue())  # numpy would hide that the disk is full

    @classmethod
    def load(cls, path: Path) -> ReducedBlock:
        """Read it from a file."""
        with np.load(path) as saved:
            rows = {name.removeprefix("rows/"): saved[name].tolist() for name in saved if name.startswith("rows/")}
            sums = SiteSums(**{field.name: saved[field.name] for field in fields(SiteSums)})
            return cls(rows, sums, int(saved["num_pairs"]))


def block_size(sites: Sites, starts: npt.NDArray[np.int64], is_added: bool) -> int:
    """Return the number of partitions of a block, given the first site of each partition and the number of sites.

    Those of added prompts, which are reduced together, have as many as have the records of a few whole partitions.
    """
    if not is_added:
        return BLOCK
    num_records, num_partitions = int(sites.num_edges_I.sum() + sites.num_nodes_I.sum()), len(starts) - 1
    wanted = _ADDED_PARTITIONS * spills.PARTITION_RECORDS * num_partitions // max(1, num_records)
    return min(max(1, wanted), max(1, num_partitions))


def num_blocks(starts: npt.NDArray[np.int64], size: int) -> int:
    """Return the number of blocks of `size` partitions, given the first site of each partition and the number of
    sites."""
    return -(-(len(starts) - 1) // size)


def reduce_block(task: BlockTask, spill: Spill, block: int) -> ReducedBlock:
    """Write the stored tables of a block."""
    sums, num_pairs = [], 0
    own = range(block * task.size, min((block + 1) * task.size, len(task.starts) - 1))
    step = len(own) if task.is_added else 1
    with BlockWriter(task.tables, block, ADDED if task.is_added else BASE, task.of_graphs, task.is_added) as writer:
        for number in range(own.start, own.stop, step):
            starts = task.starts[number : number + step + 1]
            partition = Partition(spill, (number, number + step), int(starts[0]), int(starts[-1]), task.num_sites)
            sums.append(partition.incidences.sums)
            writer.begin(starts)
            writer.add("nodes", {name: partition.nodes[name] for name in STORED_NODE_COLUMNS})
            for piece in partition.pieces(task.most_edges):
                num_pairs += int(np.count_nonzero(piece.is_first_E))
                if task.is_added:
                    writer.add("instances", instance_rows(piece.edges(np.arange(len(piece)))[0]))
                else:
                    for table, rows in _rows_of_pairs(piece, partition.incidences.row_sum_X, task.clusters):
                        writer.add(table, rows)
    return ReducedBlock(writer.num_rows, SiteSums.joined(sums), num_pairs)


def _rows_of_pairs(
    piece: Piece, row_sum_X: npt.NDArray[np.float64], clusters: npt.NDArray[np.int32] | None
) -> Iterator[tuple[str, dict[str, npt.NDArray[Any]]]]:
    """Yield rows of tables: pairs with a single edge as they are, and statistics and edges of the others.

    `row_sum_X` has the sum of the target's rows of each incidence.
    """
    yield "edges_once", instance_rows(piece.edges(np.flatnonzero(piece.is_once_E))[0])
    recurring, incidence_E = piece.edges(np.flatnonzero(~piece.is_once_E))
    yield "instances", instance_rows(recurring)
    names = [name for name in STORED_MOMENTS if name != "clusters" or clusters is not None]
    cuts = np.append(recurring.first_X, len(recurring))
    for begin in range(0, len(recurring.first_X), _PAIRS_AT_ONCE):
        own = slice(int(cuts[begin]), int(cuts[min(begin + _PAIRS_AT_ONCE, len(cuts) - 1)]))
        batch, incidence_B = recurring.take(own), incidence_E[own]

        def row_sum(
            index: npt.NDArray[np.intp], incidence_B: npt.NDArray[np.intp] = incidence_B
        ) -> npt.NDArray[np.float64]:
            found: npt.NDArray[np.float64] = row_sum_X[incidence_B[index]]
            return found

        ends_X = {"source": batch.source_E[batch.first_X], "target": batch.target_E[batch.first_X]}
        yield "edges_recurring", {**ends_X, **Moments(batch, row_sum, clusters).columns(names)}


def instance_rows(edges: Edges) -> dict[str, npt.NDArray[Any]]:
    """Return edges as rows of the stored tables of single edges."""
    columns = (edges.source_E, edges.target_E, edges.prompt_E, edges.weight_E, edges.class_E)
    return dict(zip(INSTANCE_COLUMNS, columns, strict=True))
