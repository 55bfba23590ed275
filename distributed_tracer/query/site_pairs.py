"""Site pairs: the edges of many prompts as pairs of sites, read a range of prompts at a time.

A site is what nodes of different prompts have in common: kind, layer and feature, without the position. Sites are
numbered in this order, and a pair of them is one integer: the source's number * the number of sites + the target's.

Axes: I site, N node, E edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.code_lookup import CodeLookup, distinct
from ..graph.nodes import NodeKind
from ..store.read.part_range import PartRange
from ..store.read.prefetch import prefetch
from ..store.read.range_edges import blocks_of_prompts, stored_edges
from ..store.reader import Store

SITE = ("kind", "layer", "feature")
_LEAST_FEATURE = -(1 << 31)
_SETTLE = 1 << 20
"""Number of codes that are collected before equal ones are joined."""
_EDGES_AT_ONCE = 1 << 16
"""Edges of a batch, so that what they need stays in the cache; a single prompt may have more."""


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Some edges, those of a prompt together and in the order of its graph."""

    pair_E: npt.NDArray[np.int64]
    prompt_E: npt.NDArray[np.int32]
    """Rank of each edge's prompt: its place in the order of all ids of the store."""
    weight_E: npt.NDArray[np.float32]

    def take(self, index_E: npt.NDArray[np.intp]) -> PairBatch:
        """Return the edges at some places."""
        return PairBatch(self.pair_E[index_E], self.prompt_E[index_E], self.weight_E[index_E])


class SitePairs:
    """The edges of some prompts. Sites are in memory: 8 bytes each."""

    def __init__(self, store: Store, prompt_ids: Sequence[str] | None, kind: NodeKind | None = None) -> None:
        """Read the nodes. With `kind`, only edges whose ends both are of this kind count."""
        self._store, self._ids, self._kind = store, prompt_ids, kind
        found = [np.empty(0, dtype=np.int64)]
        waiting = 0
        for code_N in self._nodes():
            found.append(distinct(code_N))
            waiting += len(found[-1])
            if waiting > max(_SETTLE, len(found[0])):
                found, waiting = [distinct(np.concatenate(found))], 0
        self._code_I = distinct(np.concatenate(found))
        self._lookup = CodeLookup(self._code_I)

    @property
    def num_sites(self) -> int:
        """Number of different sites."""
        return len(self._code_I)

    def __iter__(self) -> Iterator[PairBatch]:
        """Read all edges; while some batches are used, the next ones are read."""
        ranges = self._store.ranges(self._ids, "num_nodes", "num_edges")
        for batches in prefetch(partial(self._batches, one) for one in ranges):
            yield from batches

    def ends(self, pair: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return kind, layer and feature of the source, then of the target, of each pair: int64 [pairs, 6]."""
        places = np.divmod(pair, max(1, self.num_sites))
        return np.column_stack([column for place in places for column in _of_code(self._code_I[place])])

    def prompts_with_both(self, pair: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return, for each pair, the number of prompts that have nodes at both of its sites. Reads the nodes."""
        site, place = np.unique(np.stack(np.divmod(pair, max(1, self.num_sites))), return_inverse=True)
        source, target = place.reshape(2, -1)
        count = np.zeros(len(pair), dtype=np.int64)
        wanted = self._code_I[site]
        for part_range, code_N in self._ranges() if len(pair) else ():
            found = np.searchsorted(wanted, code_N)
            own = np.flatnonzero(wanted[np.minimum(found, len(wanted) - 1)] == code_N)
            prompt, end = part_range.prompt_N[own], found[own]
            for block in range(0, len(part_range.numbers), _PROMPTS_AT_ONCE):
                here = (prompt >= block) & (prompt < block + _PROMPTS_AT_ONCE)
                has = np.zeros((_PROMPTS_AT_ONCE, len(wanted)), dtype=bool)
                has[prompt[here] - block, end[here]] = True
                count += np.count_nonzero(has[:, source] & has[:, target], axis=0)
        return count

    def _nodes(self) -> Iterator[npt.NDArray[np.int64]]:
        for _, code_N in self._ranges():
            yield code_N

    def _ranges(self) -> Iterator[tuple[PartRange, npt.NDArray[np.int64]]]:
        ranges = self._store.ranges(self._ids, "num_nodes")
        yield from prefetch(partial(_with_codes, part_range) for part_range in ranges)

    def _batches(self, part_range: PartRange) -> list[PairBatch]:
        nodes = part_range.part.nodes([*SITE, "in_degree"], part_range.rows("num_nodes"))
        site_N, degree_N = self._lookup.numbers(_codes(nodes)).astype(np.int64), nodes["in_degree"]
        local_E, weight_E = stored_edges(part_range, degree_N)
        catalogue = self._store.catalogue
        numbers = [catalogue.number_of[entry.id] for entry in part_range.entries]
        rank_I, num_edges_I = catalogue.rank_I[numbers].astype(np.int32), part_range.sizes("num_edges")
        found = []
        for prompts, own, edges in blocks_of_prompts(part_range, _EDGES_AT_ONCE):
            source_E = np.repeat(part_range.first_node[prompts] - own.start, num_edges_I[prompts])
            source_E += local_E[edges]
            pair_E = (site_N[own] * self.num_sites).take(source_E)
            pair_E += np.repeat(site_N[own], degree_N[own])
            rank_E = np.repeat(rank_I[prompts], num_edges_I[prompts])
            block = PairBatch(pair_E, rank_E, weight_E[edges])
            if self._kind is not None:
                is_kind_N = nodes["kind"][own] == self._kind
                block = block.take(np.flatnonzero(is_kind_N.take(source_E) & np.repeat(is_kind_N, degree_N[own])))
            if len(block.pair_E):
                found.append(block)
        return found


_PROMPTS_AT_ONCE = 256


def _with_codes(part_range: PartRange) -> tuple[PartRange, npt.NDArray[np.int64]]:
    return part_range, _codes(part_range.part.nodes(SITE, part_range.rows("num_nodes")))


def _codes(nodes: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Return one integer for each node's kind, layer and feature, in their order."""
    code_N = nodes["kind"].astype(np.int64) << 16 | (nodes["layer"].astype(np.int64) + 1)
    return code_N << 32 | (nodes["feature"].astype(np.int64) - _LEAST_FEATURE)


def _of_code(code: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    return code >> 48, ((code >> 32) & 0xFFFF) - 1, (code & 0xFFFFFFFF) + _LEAST_FEATURE
