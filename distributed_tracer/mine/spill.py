"""Spill: nodes and edges of some prompts in one file, divided by target site, for the tasks that reduce them.

A partition is a range of sites. It holds the nodes at these sites and the edges into these nodes. The file has, for
each part range that was read, the nodes of all partitions one after another, then the sources of their edges and then
the weights; within a partition they are in the order of their graphs. An index beside it says where each partition's
are.

Axes: I site or prompt of a part range, N node, E edge.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from io import BytesIO, FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from ..store.read.range_edges import blocks_of_prompts
from .ordering import edges_of_rows
from .scan import ScannedRange
from .sites import Sites

CLASS_BITS = 3
MOST_SITES = 1 << (32 - CLASS_BITS)
"""Bound of the number of sites, so that a site and a distance class fit into 32 bits."""
SOURCE, WEIGHT = np.dtype("<u4"), np.dtype("<f4")
"""What is recorded of an edge: its source site * 8 + its distance class, and its weight. The target is a node's."""
EDGE_BYTES = SOURCE.itemsize + WEIGHT.itemsize
NODE_RECORD = np.dtype(
    [
        *(("site", "<i4"), ("prompt", "<i4"), ("in_degree", "<i4"), ("activation", "<f4"), ("influence", "<f4")),
        *(("row_abs_sum", "<f4"), ("row_abs_dropped", "<f4"), ("unused", "<i4"), ("error_abs", "<f8")),
    ]
)
"""What is recorded of a node; `prompt` is the rank of its prompt, and `error_abs` the sum of |weight| over the edges
into it that come from errors."""
CLASSES = ("0", "1", "2_3", "4_7", "8_up", "negative")
"""Classes of the distance of an edge: position of the target minus position of the source."""
PARTITION_RECORDS = 1 << 18
"""Records of a partition, so that its sort stays in the cache; a single site may have more."""
MOST_PARTITIONS = 1 << 14
_EDGES_AT_ONCE = 1 << 16
"""Edges whose classes are found at once, so that what they need stays in the cache; a single graph may have more."""
_MOST_OPEN = 128
"""Files that stay open while partitions are read."""

EdgeRecords = tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]
"""Source site * 8 + distance class, and weight, of some edges."""


def partition_starts(sites: Sites) -> npt.NDArray[np.int64]:
    """Return the first site of each partition, followed by the number of sites: [partitions + 1].

    Partitions have about the same number of records, and follow from the graphs alone. A site is never divided.
    """
    num_records = int(sites.num_edges_I.sum() + sites.num_nodes_I.sum())
    return sites.ranges(min(MOST_PARTITIONS, 1 + num_records // PARTITION_RECORDS))


def write_spill(path: Path, ranges: Iterable[ScannedRange], sites: Sites, starts: npt.NDArray[np.int64]) -> None:
    """Write the nodes and edges of part ranges to `path`, and then where they are to `path`.npy.

    `starts` has the first site of each partition, followed by the number of sites.
    """
    partition_I = np.repeat(np.arange(len(starts) - 1, dtype=np.uint16), np.diff(starts))
    is_error_I = sites.is_kind(NodeKind.ERROR)
    places: list[tuple[npt.NDArray[np.intp], ...]] = []
    place = 0
    with path.open("wb") as file:
        for scanned in ranges:
            *sections, node_ends, edge_ends = _divided(scanned, sites, partition_I, is_error_I, len(starts) - 1)
            own = []
            for records, ends in zip(sections, (node_ends, edge_ends, edge_ends), strict=True):
                own.append(place + records.itemsize * np.append(0, ends))
                place += write_array(file, records)
            places.append(tuple(own))
    index, content = np.array(places, dtype=np.int64).reshape(len(places), 3, len(starts)), BytesIO()
    np.save(content, index)
    path.with_suffix(".npy").write_bytes(content.getvalue())  # numpy would hide that the disk is full


def write_array(file: Any, records: npt.NDArray[Any]) -> int:
    """Append records to a file and return their number of bytes."""
    file.write(records.data.cast("B") if len(records) else b"")
    return records.nbytes


def _divided(
    scanned: ScannedRange,
    sites: Sites,
    partition_I: npt.NDArray[np.uint16],
    is_error_I: npt.NDArray[np.bool_],
    num_partitions: int,
) -> tuple[npt.NDArray[Any], ...]:
    """Return the nodes of a part range by partition, the sources and the weights of their edges, and where each
    partition ends among the nodes and among the edges."""
    site_N, degree_N = sites.numbers(scanned.code_N), scanned.nodes["in_degree"]
    partition_N = partition_I[site_N]
    order_N = np.argsort(partition_N, kind="stable")
    source_E, weight_E, error_N = _classified(scanned, site_N, is_error_I[site_N])
    source_E, weight_E = edges_of_rows(degree_N, order_N, source_E, weight_E)
    nodes = np.zeros(len(site_N), dtype=NODE_RECORD)
    nodes["site"], nodes["prompt"] = site_N[order_N], scanned.rank_N[order_N]
    for name in ("in_degree", "activation", "influence", "row_abs_sum", "row_abs_dropped"):
        nodes[name] = scanned.nodes[name][order_N]
    nodes["error_abs"] = error_N[order_N]
    node_ends = np.cumsum(np.bincount(partition_N, minlength=num_partitions))
    edge_ends = np.append(0, np.cumsum(nodes["in_degree"], dtype=np.intp))[node_ends]
    return nodes, source_E, weight_E, node_ends, edge_ends


def _classified(
    scanned: ScannedRange, site_N: npt.NDArray[np.int32], is_error_N: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Return source * 8 + class, and weight, of each edge, and the sum of |weight| over the edges into each node that
    come from errors."""
    own, degree_N, position_N = scanned.part_range, scanned.nodes["in_degree"], scanned.nodes["position"]
    local_E, weight_E = scanned.stored_edges()
    source_E, error_N = np.empty(len(local_E), dtype=SOURCE), np.zeros(len(site_N))
    flagged_N = (site_N.astype(SOURCE) << CLASS_BITS) | is_error_N  # where the class will be
    num_edges_I = own.sizes("num_edges")
    for prompts, nodes, edges in blocks_of_prompts(own, _EDGES_AT_ONCE):
        from_E = np.repeat(own.first_node[prompts] - nodes.start, num_edges_I[prompts])
        from_E += local_E[edges]
        distance_E = np.repeat(position_N[nodes], degree_N[nodes])
        distance_E -= position_N[nodes].take(from_E)
        flagged_E = flagged_N[nodes].take(from_E)
        is_error_E = (flagged_E & SOURCE.type(1)).astype(bool)
        flagged_E &= SOURCE.type(~1 & 0xFFFFFFFF)
        np.bitwise_or(flagged_E, _classes(distance_E), out=source_E[edges])
        from_error_E = np.flatnonzero(is_error_E)
        into_E = np.repeat(np.arange(nodes.stop - nodes.start), degree_N[nodes])[from_error_E]
        absolute_E = np.abs(weight_E[edges][from_error_E]).astype(np.float64)
        error_N[nodes] = np.bincount(into_E, weights=absolute_E, minlength=nodes.stop - nodes.start)
    return source_E, weight_E, error_N


def _classes(distance_E: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Return the number of the class of each distance in CLASSES."""
    class_E = (distance_E >= 1).view(np.uint8)
    for least in (2, 4, 8):
        class_E += (distance_E >= least).view(np.uint8)
    class_E += (distance_E < 0).view(np.uint8) * np.uint8(CLASSES.index("negative"))
    return class_E


class Spill:
    """The files that several tasks have written. Some of them stay open inside a `with` block."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [(path, np.load(path.with_suffix(".npy"), mmap_mode="r")) for path in paths]
        self._stack = ExitStack()
        self._opened: dict[Path, FileIO] = {}

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.clear()
        self._stack.close()

    def nodes(self, first: int, end: int) -> npt.NDArray[Any]:
        """Return the records of all nodes of the partitions `first` to `end - 1`, in the order in which they were
        written: part range by part range, and partition by partition."""
        return self._whole(first, end, 0, NODE_RECORD)

    def edges(self, first: int, end: int) -> EdgeRecords:
        """Return the records of all edges into these nodes, in their order."""
        return self._whole(first, end, 1, SOURCE), self._whole(first, end, 2, WEIGHT)

    def edges_by_range(self, first: int, end: int) -> Iterator[EdgeRecords]:
        """Yield the same records, those of one part range at a time."""
        for path, at in self._files:
            for sources, weights in at[:, 1:, [first, end]].tolist():
                yield self._read([(path, [sources])], SOURCE), self._read([(path, [weights])], WEIGHT)

    def _whole(self, first: int, end: int, section: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        return self._read([(path, at[:, section, [first, end]].tolist()) for path, at in self._files], dtype)

    def _read(self, places: Sequence[tuple[Path, Sequence[Sequence[int]]]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return the records between pairs of places in some files, one after another."""
        parts = [(path, [(begin, end) for begin, end in own if begin < end]) for path, own in places]
        records = np.empty(sum(end - begin for _, own in parts for begin, end in own) // dtype.itemsize, dtype)
        left = records.view(np.uint8).data
        for path, own in parts:
            if not own:
                continue
            with ExitStack() as stack:
                file = self._file(path, stack)
                for begin, end in own:
                    file.seek(begin)
                    while begin < end:
                        if not (size := file.readinto(left[: end - begin])):
                            raise OSError(errno.EIO, "the file is shorter than its index says", str(path))
                        begin, left = begin + size, left[size:]
        return records

    def _file(self, path: Path, stack: ExitStack) -> FileIO:
        """Return a file that stays open until this spill is closed, or, if there are many, until `stack` is."""
        if path not in self._opened:
            file = FileIO(path)
            if len(self._opened) >= _MOST_OPEN:
                return stack.enter_context(file)
            self._opened[path] = self._stack.enter_context(file)
        return self._opened[path]
