"""Partition: the nodes and edges that several tasks have spilled for a range of target sites, in order.

Axes: N node, E edge, I site; Y node in the order in which nodes were written.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .incidences import Incidences
from .pairs import Edges
from .spill import CLASS_BITS, EDGE_RECORD, Spill, gathered_rows

EDGE_BYTES = 220
"""Bytes that an edge takes while a piece of a partition is ordered and reduced."""
_DIGIT_BITS = 16


class Partition:
    """A partition of `spill`, whose target sites are those from `first` to `end - 1` of `num_sites`."""

    def __init__(self, spill: Spill, number: int, first: int, end: int, num_sites: int) -> None:
        self._spill, self._number, self._num_sites = spill, number, num_sites
        nodes = spill.nodes(number)
        self._site_Y, self._degree_Y = nodes["site"].copy(), nodes["in_degree"].copy()
        self._order_N = np.argsort(nodes["site"].astype(np.int64) << 32 | nodes["prompt"], kind="stable")
        self.nodes = nodes[self._order_N]
        """Nodes by site, then by prompt, then in the order of their graphs."""
        self._site_N, self._prompt_N = self.nodes["site"].copy(), self.nodes["prompt"].copy()
        self.incidences = Incidences(self.nodes, first, end)

    def pieces(self, most_edges: int) -> Iterator[tuple[Edges, npt.NDArray[np.int32]]]:
        """Yield the edges in order, and the node (N) that each goes into, in pieces of at most `most_edges` edges.

        A piece ends with a pair of sites, and a single pair may have more.
        """
        site_I, first_I = np.unique(self.nodes["site"], return_index=True)
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
        for records, _ in self._records(target, target + 1, 0, self._num_sites):
            count_I += np.bincount(records["source_class"] >> CLASS_BITS, minlength=self._num_sites)
        begin, total = 0, 0
        for source in np.flatnonzero(count_I).tolist():
            if total and total + int(count_I[source]) > most_edges:
                yield begin, source
                begin, total = source, 0
            total += int(count_I[source])
        yield begin, self._num_sites

    def _records(
        self, first: int, end: int, low: int, high: int
    ) -> Iterator[tuple[npt.NDArray[np.void], npt.NDArray[np.int32]]]:
        """Yield the records of edges between ranges of sites and their nodes (Y), in the order of the file."""
        begin = 0
        ends_Y = np.cumsum(self._degree_Y, dtype=np.int64)
        done = 0
        for records in self._spill.edges(self._number):
            done += len(records)
            stop = int(np.searchsorted(ends_Y, done, side="right"))
            node_E = np.repeat(np.arange(begin, stop, dtype=np.int32), self._degree_Y[begin:stop])
            source_E = records["source_class"] >> CLASS_BITS
            site_E = self._site_Y[node_E]
            keep_E = (site_E >= first) & (site_E < end) & (source_E >= low) & (source_E < high)
            yield records[keep_E], node_E[keep_E]
            begin = stop

    def _piece(
        self, first: int, end: int, low: int = 0, high: int | None = None
    ) -> tuple[Edges, npt.NDArray[np.int32]]:
        """Return the edges from sources `low` to `high - 1` into the targets `first` to `end - 1`."""
        is_whole = high is None and first <= self.nodes["site"][0] and end > self.nodes["site"][-1]
        if is_whole:
            records, degree_Y = (
                np.concatenate([np.empty(0, EDGE_RECORD), *self._spill.edges(self._number)]),
                self._degree_Y,
            )
        else:
            found = list(self._records(first, end, low, self._num_sites if high is None else high))
            records = np.concatenate([one for one, _ in found])
            degree_Y = np.bincount(np.concatenate([node_E for _, node_E in found]), minlength=len(self._degree_Y))
            del found
        packed_E = records.view(np.int64)[gathered_rows(degree_Y, self._order_N)]  # faster than a record
        del records
        degree_N = degree_Y[self._order_N]
        target_E = np.repeat(self._site_N, degree_N)
        order_E = _by_source(packed_E.view(EDGE_RECORD)["source_class"] >> CLASS_BITS, target_E - target_E[0])
        packed_E = packed_E[order_E]
        node_E = np.repeat(np.arange(len(degree_N), dtype=np.int32), degree_N)[order_E]
        records = packed_E.view(EDGE_RECORD)
        source_class_E, weight_E = records["source_class"], records["weight"].copy()
        source_E = (source_class_E >> CLASS_BITS).view(np.int32)
        class_E = (source_class_E & ((1 << CLASS_BITS) - 1)).astype(np.int8)
        return Edges(source_E, target_E, self._prompt_N[node_E], weight_E, class_E), node_E


def _by_source(source_E: npt.NDArray[np.integer], target_E: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """Return the stable order by target, then by source, of edges that are ordered by target already.

    It sorts by digits of 16 bits, which numpy does in linear time.
    """
    bits = int(source_E.max(initial=0)).bit_length()
    key_E = target_E.astype(np.int64) << bits | source_E
    order_E = np.argsort(key_E.astype(np.uint16), kind="stable")
    for shift in range(_DIGIT_BITS, bits + int(target_E.max(initial=0)).bit_length(), _DIGIT_BITS):
        digit_E = (key_E >> shift).astype(np.uint16)[order_E]
        order_E = order_E[np.argsort(digit_E, kind="stable")]
    return order_E
