"""The values of edges in prompts, as shares of the rows that they belong to: absent is not zero.

Axes: E edge (a record), X pair of sites, Y pair of sites in one prompt, I row of a target in one prompt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .atlas_build import AtlasPlan
from .edge_records import ordered
from .edge_spill import OF_ROWS, EdgeSpill
from .prompts import ChosenPrompts
from .scan import find_sites_of_one_model, scan_ranges
from .sites import Sites
from .spill import CLASS_BITS
from .statistics import Floats

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EdgeBlock:
    """Some edges, and matrices [prompts, edges] of their values. Prompts are in the order of their ranks."""

    key: Ints
    """Number of the target's site * number of sites + number of the source's site."""
    value: Floats
    """Sum of weights over positions / sum of `row_abs_sum` over the target's nodes with a row. It is 0 for an absent
    edge, and NaN where the target has no row or the share is not known."""
    present: Floats
    """1 where the graph has the edge."""
    missing: Floats
    """The target's |edges| that the graph lacks, as a share: the value may be off by this much. NaN if not known."""
    differing_tokens: Floats
    """Share of the instances of each edge with a token at one of its ends that the prompts of one set only have."""

    @classmethod
    def joined(cls, blocks: Sequence[EdgeBlock]) -> EdgeBlock:
        """Return one block of the edges of several."""
        if len(blocks) == 1:
            return blocks[0]
        return cls(*(np.concatenate([getattr(one, entry.name) for one in blocks], axis=-1) for entry in fields(cls)))


class EdgeReader:
    """Reads the edges that enough clusters have, block by block, in a bounded amount of memory."""

    def __init__(self, work: Path, prompts: ChosenPrompts, memory_gb: float) -> None:
        """Read the files that `write` has written into the folder `work`. The clusters are those of `prompts`."""
        self._prompts = prompts
        self.sites = Sites.load(work)
        self._plan = AtlasPlan.of(memory_gb, len(self.sites))
        self._spill = EdgeSpill(work, self.sites, is_written=True)
        self.num_rare = 0
        """The number of edges that too few clusters have, of those that were read so far."""

    @staticmethod
    def write(work: Path, prompts: ChosenPrompts, differing: Collection[str], memory_gb: float) -> None:
        """Divide all edges among files in the folder `work`; `differing` are the tokens of one set only."""
        sites = find_sites_of_one_model(prompts, AtlasPlan.of(memory_gb).read_rows)
        plan = AtlasPlan.of(memory_gb, len(sites))
        sites.save(work)
        labels = dict(enumerate(prompts.store.prompt_table(prompts.ids, ["targets"])["targets"].tolist()))
        EdgeSpill(work, sites).write(scan_ranges(prompts, plan.read_rows, also=OF_ROWS), labels, differing)

    @property
    def num_partitions(self) -> int:
        """Number of ranges of targets."""
        return self._spill.num_partitions

    def name_of(self, site: int) -> str:
        """Return the text of a token or of a target; empty for features and errors."""
        return self._spill.name_of.get(site, "")

    def blocks(self, partitions: Iterable[int], min_clusters: int, edges_at_once: int) -> Iterator[EdgeBlock]:
        """Yield the edges that at least `min_clusters` clusters have, by target, then by source, some at a time.

        They are those into the targets of some partitions.
        """
        waiting: list[EdgeBlock] = []
        for block in self._small_blocks(partitions, min_clusters, edges_at_once):
            if sum(len(one.key) for one in waiting) + len(block.key) > edges_at_once:
                yield EdgeBlock.joined(waiting)
                waiting = []
            waiting.append(block)
        if waiting:
            yield EdgeBlock.joined(waiting)

    def _small_blocks(self, partitions: Iterable[int], min_clusters: int, edges_at_once: int) -> Iterator[EdgeBlock]:
        for number in partitions:
            rows = _Rows.of(self._spill.rows(number))
            for first, end in self._spill.key_ranges(number, self._plan.most_edges):
                records = ordered(self._spill.edges(number, first, end), len(self._prompts))
                yield from self._blocks(records, rows, min_clusters, edges_at_once)

    def _blocks(
        self, records: npt.NDArray[Any], rows: _Rows, min_clusters: int, edges_at_once: int
    ) -> Iterator[EdgeBlock]:
        if not len(records):
            return
        key_E, rank_E = records["key"], (records["rank_class"] >> CLASS_BITS).astype(np.int64)
        first_X = np.flatnonzero(np.concatenate([[True], key_E[1:] != key_E[:-1]]))
        pair_E = np.repeat(np.arange(len(first_X)), np.diff(first_X, append=len(records)))
        first_Y = np.flatnonzero(np.concatenate([[True], (rank_E[1:] != rank_E[:-1]) | (pair_E[1:] != pair_E[:-1])]))
        pair_Y, rank_Y = pair_E[first_Y], rank_E[first_Y]
        clusters = self._prompts.clusters
        assert clusters is not None
        found = np.unique(pair_Y.astype(np.int64) << 32 | clusters[rank_Y])
        is_kept_X = np.bincount(found >> 32, minlength=len(first_X)) >= min_clusters
        self.num_rare += int(np.count_nonzero(~is_kept_X))
        # bincount adds in the order of the edges of each graph; a weight that is not finite makes the sum unknown
        of_E = np.repeat(np.arange(len(first_Y)), np.diff(first_Y, append=len(records)))
        sum_Y = np.bincount(of_E, weights=records["weight"].astype(np.float64), minlength=len(first_Y))
        differs_E = (records["rank_class"] & 1).astype(np.float64)
        differing_X = np.bincount(pair_E, weights=differs_E) / np.bincount(pair_E)
        kept_X = np.flatnonzero(is_kept_X)
        starts_Y = np.searchsorted(pair_Y, np.arange(len(first_X) + 1))
        for begin in range(0, len(kept_X), edges_at_once):
            own_X = kept_X[begin : begin + edges_at_once]
            own_Y = np.concatenate([np.arange(*starts_Y[pair : pair + 2]) for pair in own_X])
            column_Y = np.searchsorted(own_X, pair_Y[own_Y])
            key_X = key_E[first_X[own_X]]
            row_sum, missing = rows.matrices(key_X // len(self.sites), len(self._prompts))
            value, present = np.where(np.isnan(row_sum), np.nan, 0.0), np.zeros(row_sum.shape)
            place = rank_Y[own_Y], column_Y
            share_Y = sum_Y[own_Y] / row_sum[place]
            value[place] = np.where(np.isfinite(share_Y), share_Y, np.nan)
            present[place] = 1.0
            yield EdgeBlock(key_X, value, present, missing, differing_X[own_X])


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of the targets of one partition, by site, then by rank."""

    site_I: npt.NDArray[np.int32]
    rank_I: npt.NDArray[np.int32]
    row_sum_I: Floats
    """Sum over the target's nodes in the prompt; NaN if it is not known or 0."""
    missing_I: Floats
    """Share of the target's |edges| that the graph lacks; NaN if it is not known."""

    @classmethod
    def of(cls, records: npt.NDArray[Any]) -> _Rows:
        records = records[np.lexsort((records["rank"], records["site"]))]
        site, rank = records["site"], records["rank"]
        is_new = np.ones(len(records), dtype=bool)
        is_new[1:] = (site[1:] != site[:-1]) | (rank[1:] != rank[:-1])
        first, of = np.flatnonzero(is_new), np.cumsum(is_new) - 1
        row_sum: Floats = np.bincount(of, weights=records["row_sum"]).astype(np.float64)
        missing: Floats = np.bincount(of, weights=records["missing"]).astype(np.float64)
        row_sum = np.where(np.isfinite(row_sum) & (row_sum > 0), row_sum, np.nan)
        share = np.where(np.isfinite(missing), missing, np.nan) / row_sum
        # round-off of a complete row may be below 0
        return cls(site[first], rank[first], row_sum, np.maximum(share, 0.0))

    def matrices(self, target_X: Ints, num_prompts: int) -> tuple[Floats, Floats]:
        """Return the row sum, and the share of the missing mass, of each edge's target [prompts, edges]."""
        targets, of_X = np.unique(target_X, return_inverse=True)
        begin, end = np.searchsorted(self.site_I, [targets[0], targets[-1] + 1])
        own = np.flatnonzero(np.isin(self.site_I[begin:end], targets)) + begin
        place = self.rank_I[own], np.searchsorted(targets, self.site_I[own])
        found = []
        for values_I in (self.row_sum_I, self.missing_I):
            matrix = np.full((num_prompts, len(targets)), np.nan)
            matrix[place] = values_I[own]
            found.append(matrix[:, of_X])
        return found[0], found[1]
