"""Tasks of motifs: the functions that worker processes call, in the order of their phases.

    count and draw the graphs of each piece
    sums of loops by bucket of each piece ─▶ choose the fullest buckets ─▶ their loops in each piece

Axes: E edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks.task import Place
from .loop_strengths import BucketSums, Loops, choose_buckets, loops_of
from .motif_counts import count_motifs
from .motif_graphs import Null, read_graphs
from .motif_statistics import NullSettings, graph_against_draws
from .prompts import PromptPiece
from .statistics import Floats

_VALUES, _SUMS, _BUCKETS, _LOOPS = "values.npz", "sums.npy", "buckets.npy", "loops.npy"


def count_piece(
    place: Place, piece: Mapping[str, Any], nulls: Sequence[Null], draws: int, steps: int, seed: int, edges: str
) -> None:
    """Write the statistics of the graphs of a piece under each null."""
    settings, own = NullSettings(draws, steps, seed), PromptPiece.open(place.given["store"], piece)
    ids = {rank: entry.id for part, ranks in own.ranges("num_nodes", rows=1) for rank, entry in _entries(part, ranks)}
    ranks, values, of_nulls = [], [], []
    for found in read_graphs(own, edges):
        observed = count_motifs(found.graph, found.graph.source_E[None])[0]
        tests = [graph_against_draws(found, ids[found.rank], observed, null, settings) for null in nulls]
        ranks.append(found.rank)
        values.append([test.values for test in tests])
        of_nulls.append([test.of_null for test in tests])
    np.savez(place.out / _VALUES, ranks=np.array(ranks), values=np.array(values), of_nulls=np.array(of_nulls))


def _entries(part_range: Any, ranks: npt.NDArray[np.int32]) -> list[tuple[int, Any]]:
    return list(zip(ranks.tolist(), part_range.entries, strict=True))


def load_tests(folders: Sequence[Path]) -> tuple[Floats, Floats]:
    """Return what `count_piece` wrote of all prompts: [prompts, nulls, VALUES, MOTIFS], [prompts, nulls, OF_NULL]."""
    read = []
    for folder in folders:
        with np.load(folder / _VALUES, allow_pickle=False) as own:
            read.append((own["ranks"], own["values"], own["of_nulls"]))
    ranks, values, of_nulls = (np.concatenate(parts) for parts in zip(*read, strict=True))
    order = np.argsort(ranks)
    return values[order], of_nulls[order]


def sum_loops_of_piece(place: Place, piece: Mapping[str, Any], sizes: Sequence[int], edges: str) -> None:
    """Write the sums of loops by bucket; `sizes` has the size of the cluster of each prompt of the piece."""
    sums, of_rank = BucketSums(), sizes_by_rank(piece["ranks"], sizes)
    for found in read_graphs(PromptPiece.open(place.given["store"], piece), edges):
        sums.add(loops_of(found), of_rank)
    np.save(place.out / _SUMS, np.stack([sums.strength, sums.rows]))


def sizes_by_rank(ranks: Sequence[int], sizes: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return an array that has the size of the cluster of each of these prompts, by rank."""
    of_rank = np.ones(max(ranks, default=-1) + 1, dtype=np.int64)
    of_rank[list(ranks)] = sizes
    return of_rank


def choose_buckets_of_all(place: Place, folders: Sequence[str], most_rows: int) -> int:
    """Write which buckets of loops are kept; return the largest sum of all others."""
    strength, rows = sum(np.load(place.work / folder / _SUMS, allow_pickle=False) for folder in folders)
    buckets, bound = choose_buckets(strength, rows, most_rows)
    np.save(place.out / _BUCKETS, buckets)
    return bound


def keep_loops_of_piece(place: Place, piece: Mapping[str, Any], chosen: str, edges: str) -> None:
    """Write the loops of a piece that are in the chosen buckets."""
    buckets, kept = np.load(place.work / chosen / _BUCKETS, allow_pickle=False), []
    for found in read_graphs(PromptPiece.open(place.given["store"], piece), edges):
        own = loops_of(found)
        kept.append(own.take(np.isin(own.bucket(), buckets)))
    Loops.joined(kept).save(place.out / _LOOPS)


def load_loops(folders: Sequence[Path]) -> Loops:
    """Return the loops that `keep_loops_of_piece` wrote."""
    return Loops.joined(Loops.load(folder / _LOOPS) for folder in folders)
