"""Spill: nodes and edges of some prompts in one file, divided by target site, for the tasks that reduce them.

A partition is a range of sites. It holds the nodes at these sites and the edges into these nodes. The file has, for
each part range that was read, the nodes of all partitions one after another and then their edges; within a partition
they are in the order of their graphs. An index beside it says where each partition's are.

Axes: I site, N node, E edge, X partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .scan import ScannedRange
from .sites import Sites

CLASS_BITS = 3
MOST_SITES = 1 << (32 - CLASS_BITS)
"""Bound of the number of sites, so that a site and a distance class fit into 32 bits."""
EDGE_RECORD = np.dtype([("source_class", "<u4"), ("weight", "<f4")])
"""What is recorded of an edge: its source site * 8 + its distance class, and its weight. The target is a node's."""
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
_CLASS_OF = np.array([5, 0, 1, 2, 2, 3, 3, 3, 3, 4], dtype=np.uint32)
"""Class of each distance from -1 (and less) to 8 (and more)."""
PARTITION_RECORDS = 1 << 18
"""Records of a partition, so that its sort stays in the cache; a single site may have more."""
MOST_PARTITIONS = 1 << 14


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
    is_error_I = sites.is_kind(NodeKind.ERROR)
    nodes_at, edges_at, place = [], [], 0
    with path.open("wb") as file:
        for scanned in ranges:
            nodes, edges, node_ends_X, edge_ends_X = _divided(scanned, sites, starts, is_error_I)
            nodes_at.append(place + NODE_RECORD.itemsize * np.append(0, node_ends_X))
            place += write_array(file, nodes)
            edges_at.append(place + EDGE_RECORD.itemsize * np.append(0, edge_ends_X))
            place += write_array(file, edges)
    index, content = np.array([nodes_at, edges_at], dtype=np.int64).reshape(2, len(nodes_at), len(starts)), BytesIO()
    np.save(content, index)
    path.with_suffix(".npy").write_bytes(content.getvalue())  # numpy would hide that the disk is full


def write_array(file: Any, records: npt.NDArray[Any]) -> int:
    """Append records to a file and return their number of bytes."""
    file.write(records.data.cast("B") if len(records) else b"")
    return records.nbytes


def _divided(
    scanned: ScannedRange, sites: Sites, starts: npt.NDArray[np.int64], is_error_I: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the nodes and the edges of a part range by partition, and where each partition ends among them."""
    site_N, position_N = sites.numbers(scanned.code_N), scanned.nodes["position"]
    num_partitions, num_nodes = len(starts) - 1, len(site_N)
    partition_N = (np.searchsorted(starts, site_N, side="right") - 1).astype(np.uint16)
    order_N = np.argsort(partition_N, kind="stable")
    stored_source_E, stored_weight_E = scanned.edges()
    degree_N = scanned.nodes["in_degree"]
    index_E = gathered_rows(degree_N, order_N)
    source_E, weight_E = stored_source_E[index_E], stored_weight_E[index_E]
    del stored_source_E, stored_weight_E, index_E
    degree_N = degree_N[order_N]
    records = np.empty(len(source_E), dtype=EDGE_RECORD)
    records["weight"] = weight_E
    distance_E = np.repeat(position_N[order_N], degree_N)
    distance_E -= position_N[source_E]
    np.clip(distance_E, -1, 8, out=distance_E)
    distance_E += 1
    class_E = _CLASS_OF[distance_E]
    class_E |= (site_N.astype(np.uint32) << CLASS_BITS)[source_E]
    records["source_class"] = class_E
    del distance_E, class_E
    from_error_E = np.flatnonzero(is_error_I[site_N][source_E])
    node_E = np.repeat(np.arange(num_nodes, dtype=np.int32), degree_N)[from_error_E]
    nodes = np.zeros(num_nodes, dtype=NODE_RECORD)
    nodes["site"], nodes["prompt"] = site_N[order_N], scanned.rank_N[order_N]
    for name in ("in_degree", "activation", "influence", "row_abs_sum", "row_abs_dropped"):
        nodes[name] = scanned.nodes[name][order_N]
    absolute_E = np.abs(weight_E[from_error_E]).astype(np.float64)
    nodes["error_abs"] = np.bincount(node_E, weights=absolute_E, minlength=num_nodes)
    node_ends_X = np.cumsum(np.bincount(partition_N, minlength=num_partitions))
    return nodes, records, node_ends_X, np.append(0, np.cumsum(degree_N))[node_ends_X]


def gathered_rows(degree_N: npt.NDArray[np.integer], order_N: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return where the edges of nodes in another order are, given the in-degrees of the nodes in the present order."""
    first_N = np.cumsum(degree_N, dtype=np.intp) - degree_N
    own_N = degree_N[order_N]
    shift_N = first_N[order_N] - (np.cumsum(own_N, dtype=np.intp) - own_N)
    index_E = np.repeat(shift_N, own_N)
    index_E += np.arange(len(index_E))
    return index_E


class Spill:
    """The files that several tasks have written."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._files = [(path, np.load(path.with_suffix(".npy"), mmap_mode="r")) for path in paths]

    def nodes(self, partition: int) -> npt.NDArray[Any]:
        """Return the records of all nodes of a partition, in the order in which they were written."""
        return np.concatenate([np.empty(0, dtype=NODE_RECORD), *self._read(partition, NODE_RECORD, 0)])

    def edges(self, partition: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the records of the edges of a partition, in the order in which they were written."""
        return self._read(partition, EDGE_RECORD, 1)

    def _read(self, partition: int, dtype: np.dtype[Any], which: int) -> Iterator[npt.NDArray[Any]]:
        for path, at in self._files:
            with path.open("rb") as file:
                for begin, end in at[which, :, partition : partition + 2].tolist():
                    file.seek(begin)
                    yield np.fromfile(file, dtype=dtype, count=(end - begin) // dtype.itemsize)
