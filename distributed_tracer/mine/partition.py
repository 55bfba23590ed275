"""Partition: the nodes and edges that several tasks have spilled for a range of target sites, in order.

Axes: N node, E edge (by target, then by source, then by prompt, then in the order of its graph), I site, X incidence
of a site and a prompt; Y node in the order in which nodes were written.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .incidences import Incidences
from .ordering import Ordered, edges_of_rows, ordered
from .pairs import Edges
from .spill import CLASS_BITS, MOST_SITES, Spill

EDGE_BYTES = 220
"""Bytes that an edge takes while a piece of a partition is ordered and reduced."""
_CLASS_MASK = (1 << CLASS_BITS) - 1
_EDGES_AT_ONCE = 1 << 14
"""Edges whose columns are made at once, so that what they need stays in the cache."""


class Partition:
    """Consecutive partitions of `spill`, as one.

    `numbers` are the first one and the one after the last, and the target sites are those from `first` to `end - 1` of
    `num_sites`.
    """

    def __init__(self, spill: Spill, numbers: tuple[int, int], first: int, end: int, num_sites: int) -> None:
        self._spill, self._numbers, self._num_sites = spill, numbers, num_sites
        nodes = spill.nodes(*numbers)
        self._site_Y, self._degree_Y = nodes["site"].copy(), nodes["in_degree"].copy()
        prompt_bits = int(nodes["prompt"].max(initial=0)).bit_length()
        key_Y = (self._site_Y - first).astype(np.int64) << prompt_bits | nodes["prompt"]
        _, self._order_N = ordered(key_Y, prompt_bits + (end - first).bit_length())
        self.nodes = nodes[self._order_N]
        """Nodes by site, then by prompt, then in the order of their graphs."""
        self.incidences = Incidences(self.nodes, first, end)

    def pieces(self, most_edges: int) -> Iterator[Piece]:
        """Yield the edges in order, in pieces of at most `most_edges` edges.

        A piece ends with a pair of sites, and a single pair may have more.
        """
        site_N = self.nodes["site"]
        first_I = np.flatnonzero(np.diff(site_N, prepend=-1))
        site_I = site_N[first_I]
        edges_I = np.add.reduceat(self.nodes["in_degree"].astype(np.int64), first_I) if len(first_I) else site_I
        begin, total = 0, 0
        for place, own in enumerate(edges_I.tolist()):
            if total and total + own > most_edges:
                yield self._piece(int(site_I[begin]), int(site_I[place]))
                begin, total = place, 0
            total += own
            if total > most_edges:
                for low, high in self._source_ranges(int(site_I[place]), most_edges):
                    yield self._piece(int(site_I[place]), int(site_I[place]) + 1, low, high)
                begin, total = place + 1, 0
        if total:
            yield self._piece(int(site_I[begin]), int(site_I[-1]) + 1)

    def _source_ranges(self, target: int, most_edges: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of sources that divide the edges into one target site."""
        count_I = np.zeros(self._num_sites, dtype=np.int64)
        for source_E, _, _ in self._records(target, target + 1, 0, self._num_sites):
            count_I += np.bincount(source_E >> CLASS_BITS, minlength=self._num_sites)
        begin, total = 0, 0
        for source in np.flatnonzero(count_I).tolist():
            if total and total + int(count_I[source]) > most_edges:
                yield begin, source
                begin, total = source, 0
            total += int(count_I[source])
        yield begin, self._num_sites

    def _records(
        self, first: int, end: int, low: int, high: int
    ) -> Iterator[tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32], npt.NDArray[np.int32]]]:
        """Yield the records of edges between ranges of sites and their nodes (Y), in the order of the file."""
        begin, done = 0, 0
        ends_Y = np.cumsum(self._degree_Y, dtype=np.int64)
        for source_E, weight_E in self._spill.edges_by_range(*self._numbers):
            done += len(source_E)
            stop = int(np.searchsorted(ends_Y, done, side="right"))
            node_E = np.repeat(np.arange(begin, stop, dtype=np.int32), self._degree_Y[begin:stop])
            number_E, site_E = source_E >> CLASS_BITS, self._site_Y[node_E]
            kept_E = (site_E >= first) & (site_E < end) & (number_E >= low) & (number_E < high)
            yield source_E[kept_E], weight_E[kept_E], node_E[kept_E]
            begin = stop

    def _piece(self, first: int, end: int, low: int = 0, high: int | None = None) -> Piece:
        """Return the edges from sources `low` to `high - 1` into the targets `first` to `end - 1`."""
        is_whole = high is None and first <= self.nodes["site"][0] and end > self.nodes["site"][-1]
        if is_whole:
            source_E, weight_E = self._spill.edges(*self._numbers)
            degree_Y = self._degree_Y
        else:
            found = list(self._records(first, end, low, self._num_sites if high is None else high))
            source_E, weight_E, node_E = (np.concatenate(records) for records in zip(*found, strict=True))
            degree_Y = np.bincount(node_E, minlength=len(self._degree_Y))
            del found, node_E
        source_E, weight_E = edges_of_rows(degree_Y, self._order_N, source_E, weight_E)
        degree_N = degree_Y[self._order_N]
        return Piece(source_E, weight_E, degree_N, self.nodes["site"], self.incidences, first, self._num_sites)


class Piece:
    """All edges of some pairs of sites, in order."""

    def __init__(
        self,
        source_E: npt.NDArray[np.uint32],
        weight_E: npt.NDArray[np.float32],
        degree_N: npt.NDArray[np.integer],
        site_N: npt.NDArray[np.int32],
        incidences: Incidences,
        first: int,
        num_sites: int,
    ) -> None:
        """Order edges, given as records of a spill in the order of the nodes that they go into, `degree_N` into each.

        These nodes are at the sites from `first` on.
        """
        self._weight_E, self._incidences, self._first = weight_E, incidences, first
        self._source_bits = max(1, (num_sites - 1).bit_length())
        of_N: npt.NDArray[np.integer] = incidences.of_N.astype(np.uint32 if len(incidences) <= MOST_SITES else np.int64)
        self._incidence_class_E = np.repeat(of_N << CLASS_BITS, degree_N)
        self._incidence_class_E |= source_E & _CLASS_MASK
        key_E = np.repeat((site_N - np.int32(first)).astype(np.int64) << self._source_bits, degree_N)
        for begin in range(0, len(key_E), _EDGES_AT_ONCE):
            own = slice(begin, begin + _EDGES_AT_ONCE)
            key_E[own] |= source_E[own] >> CLASS_BITS
        self._order = Ordered(key_E, int(key_E.max(initial=0)).bit_length())
        """Target, counted from `first`, and source of each edge in one number, and its record."""

    def __len__(self) -> int:
        return len(self._order)

    @cached_property
    def is_first_E(self) -> npt.NDArray[np.bool_]:
        """Whether each edge is the first of its pair."""
        return self._order.is_first()

    @cached_property
    def is_once_E(self) -> npt.NDArray[np.bool_]:
        """Whether each edge is the only one of its pair."""
        is_once_E = self.is_first_E.copy()
        is_once_E[:-1] &= self.is_first_E[1:]
        return is_once_E

    def edges(self, index_E: npt.NDArray[np.intp]) -> tuple[Edges, npt.NDArray[np.intp]]:
        """Return the edges at some places, and the incidence of the target of each."""
        size = len(index_E)
        source_E, target_E, prompt_E = (np.empty(size, dtype=np.int32) for _ in range(3))
        weight_E, class_E = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.int8)
        incidence_E = np.empty(size, dtype=np.intp)
        for begin in range(0, size, _EDGES_AT_ONCE):
            own = slice(begin, begin + _EDGES_AT_ONCE)
            pair, record = self._order.take(index_E[own])
            self._weight_E.take(record, out=weight_E[own], mode="clip")
            both = self._incidence_class_E.take(record)
            class_E[own] = both & _CLASS_MASK
            incidence_E[own] = both >> CLASS_BITS
            self._incidences.prompt_X.take(incidence_E[own], out=prompt_E[own], mode="clip")
            source_E[own] = pair & ((1 << self._source_bits) - 1)
            pair >>= self._source_bits
            pair += self._first
            target_E[own] = pair
        return Edges(source_E, target_E, prompt_E, weight_E, class_E), incidence_E
