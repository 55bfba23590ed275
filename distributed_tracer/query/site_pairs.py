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

from ..graph.nodes import NodeKind
from ..store.read.part_range import PartRange
from ..store.read.prefetch import prefetch
from ..store.read.range_edges import range_edges
from ..store.reader import Store

SITE = ("kind", "layer", "feature")
_LEAST_FEATURE = -(1 << 31)
_SETTLE = 1 << 20
"""Number of codes that are collected before equal ones are joined."""


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Some edges, those of a prompt together and in the order of its graph."""

    pair_E: npt.NDArray[np.int64]
    prompt_E: npt.NDArray[np.int32]
    """Rank of each edge's prompt: its place in the order of all ids of the store."""
    weight_E: npt.NDArray[np.float32]


class SitePairs:
    """The edges of some prompts. Sites are in memory: 8 bytes each."""

    def __init__(self, store: Store, prompt_ids: Sequence[str] | None, kind: NodeKind | None = None) -> None:
        """Read the nodes. With `kind`, only edges whose ends both are of this kind count."""
        self._store, self._ids, self._kind = store, prompt_ids, kind
        found = [np.empty(0, dtype=np.int64)]
        waiting = 0
        for code_N in self._nodes():
            found.append(np.unique(code_N))
            waiting += len(found[-1])
            if waiting > max(_SETTLE, len(found[0])):
                found, waiting = [np.unique(np.concatenate(found))], 0
        self._code_I = np.unique(np.concatenate(found))

    @property
    def num_sites(self) -> int:
        """Number of different sites."""
        return len(self._code_I)

    def __iter__(self) -> Iterator[PairBatch]:
        """Read all edges; while a batch is used, the next one is read."""
        ranges = self._store.ranges(self._ids, "num_nodes", "num_edges")
        for batch in prefetch(partial(self._batch, one) for one in ranges):
            if batch is not None:
                yield batch

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

    def _batch(self, part_range: PartRange) -> PairBatch | None:
        nodes = part_range.part.nodes([*SITE, "in_degree"], part_range.rows("num_nodes"))
        site_N = np.searchsorted(self._code_I, _codes(nodes))
        source_E, target_E, weight_E = range_edges(part_range, nodes["in_degree"])
        if self._kind is not None:
            is_kind_N = nodes["kind"] == self._kind
            kept = np.flatnonzero(is_kind_N[source_E] & is_kind_N[target_E])
            source_E, target_E, weight_E = source_E[kept], target_E[kept], weight_E[kept]
        if not len(weight_E):
            return None
        pair_E = (site_N * self.num_sites)[source_E]
        pair_E += site_N[target_E]
        catalogue = self._store.catalogue
        numbers = [catalogue.number_of[entry.id] for entry in part_range.entries]
        rank_N = catalogue.rank_I[numbers].astype(np.int32)[part_range.prompt_N]
        return PairBatch(pair_E, rank_N[target_E], weight_E)


_PROMPTS_AT_ONCE = 256


def _with_codes(part_range: PartRange) -> tuple[PartRange, npt.NDArray[np.int64]]:
    return part_range, _codes(part_range.part.nodes(SITE, part_range.rows("num_nodes")))


def _codes(nodes: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Return one integer for each node's kind, layer and feature, in their order."""
    code_N = nodes["kind"].astype(np.int64) << 16 | (nodes["layer"].astype(np.int64) + 1)
    return code_N << 32 | (nodes["feature"].astype(np.int64) - _LEAST_FEATURE)


def _of_code(code: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    return code >> 48, ((code >> 32) & 0xFFFF) - 1, (code & 0xFFFFFFFF) + _LEAST_FEATURE
