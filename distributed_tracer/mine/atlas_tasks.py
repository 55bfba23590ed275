"""Tasks of an atlas: the functions that worker processes call, in the order of their phases.

    sites of each piece ─▶ join ─▶ spill each piece into partitions ─▶ tables of each block of partitions
    active features of each piece

Axes: I site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks.task import Place
from .active import count_active
from .prompts import PromptPiece
from .reduce_block import BlockTask, reduce_block
from .scan import find_sites, scan_ranges
from .site_tables import starts_of
from .sites import Sites
from .spill import Spill, partition_starts, write_spill

SPILL, BLOCK = "spill", "block.npz"
"""Files of tasks that are no tables."""
_STARTS, _CLUSTERS = "starts", "clusters"


def find_sites_of_piece(place: Place, piece: Mapping[str, Any], read_rows: int) -> dict[str, str]:
    """Write the sites of a piece; return the id of a prompt for each number of layers."""
    sites, num_layers = find_sites(PromptPiece.open(place.given["store"], piece), read_rows)
    sites.save(place.out)
    return {str(number): prompt_id for number, prompt_id in num_layers.items()}


def join_sites(
    place: Place, folders: Sequence[str], clusters: Sequence[int] | None, cuts: Sequence[int] | None
) -> None:
    """Write the sites of all pieces, how they are divided into partitions, and the clusters of the prompts.

    `cuts` has the codes at which partitions begin, if that is given.
    """
    sites = Sites.joined(Sites.load(place.work / folder) for folder in folders)
    sites.save(place.out)
    starts = partition_starts(sites) if cuts is None else starts_of(sites.code_I, cuts)
    (place.out / _STARTS).write_bytes(starts.astype(np.int64).tobytes())
    if clusters is not None:
        (place.out / _CLUSTERS).write_bytes(np.array(clusters, dtype=np.int32).tobytes())


def load_starts(folder: Path) -> npt.NDArray[np.int64]:
    """Return the first site of each partition, followed by the number of sites, which `join_sites` wrote."""
    return np.fromfile(folder / _STARTS, dtype=np.int64)


def count_active_of_piece(place: Place, piece: Mapping[str, Any], read_rows: int) -> list[int | bool]:
    """Write the counts of active features of a piece; return the fields of ActiveCounts that are numbers."""
    return count_active(PromptPiece.open(place.given["store"], piece), read_rows).save(place.out)


def spill_piece(place: Place, piece: Mapping[str, Any], sites: str, read_rows: int) -> None:
    """Write the nodes and edges of a piece by partition."""
    ranges = scan_ranges(PromptPiece.open(place.given["store"], piece), read_rows)
    write_spill(place.out / SPILL, ranges, Sites.load(place.work / sites), load_starts(place.work / sites))


def write_block(
    place: Place,
    sites: str,
    spills: Sequence[str],
    block: int,
    size: int,
    most_edges: int,
    of_graphs: str,
    is_added: bool,
) -> None:
    """Write the tables of one block of `size` partitions, and what else it has found."""
    starts, clusters = load_starts(place.work / sites), place.work / sites / _CLUSTERS
    of_prompts = np.fromfile(clusters, dtype=np.int32) if clusters.exists() else None
    task = BlockTask(place.out, int(starts[-1]), starts, most_edges, of_graphs, of_prompts, size, is_added)
    with Spill([place.work / folder / SPILL for folder in spills]) as spill:
        reduce_block(task, spill, block).save(place.out / BLOCK)
