"""Spill: records of nodes and edges in files, one file of each folder for each range of sites.

A partition is a range of sites. It holds the nodes at these sites and the edges into these nodes, in the order in which
they were read, which is the canonical order within each prompt.

Axes: I site, E edge, N node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .scan import ScannedRange
from .sites import Sites

EDGE_RECORD = np.dtype([("key", "<i8"), ("rank_class", "<u4"), ("weight", "<f4")])
"""What is recorded of an edge.

Its key is the target site * the number of sites + the source site, and `rank_class` is the rank of the prompt * 8 + the
position class.
"""
NODE_RECORD = np.dtype(
    [
        *(("site", "<i4"), ("rank", "<i4"), ("in_degree", "<i4"), ("activation", "<f4"), ("influence", "<f4")),
        *(("row_abs_sum", "<f4"), ("row_abs_dropped", "<f4"), ("unused", "<i4"), ("error_abs", "<f8")),
    ]
)
"""What is recorded of a node; `error_abs` is the sum of |weight| over the edges into it that come from errors."""
CLASSES = ("0", "1", "2_3", "4_7", "8_up", "negative")
"""Classes of the distance of an edge: position of the target minus position of the source."""
CLASS_BITS = 3
_CLASS_OF = np.array([5, 0, 1, 2, 2, 3, 3, 3, 3, 4], dtype=np.uint32)
"""Class of each distance from -1 (and less) to 8 (and more)."""
MOST_PARTITIONS = 256
"""Bound of the number of partitions, to which at most the number of layers is added. Their files are open at the same
time."""
_BLOCK = 1 << 20


def partition_starts(sites: Sites, num_partitions: int) -> npt.NDArray[np.int64]:
    """Return the first site of each partition, followed by the number of sites: [partitions + 1].

    Partitions have about the same number of records, and each lies within a layer. A site is never divided.
    """
    before_I = np.concatenate([[0], np.cumsum(sites.num_edges_I + sites.num_nodes_I)])
    wanted = before_I[-1] * np.arange(1, num_partitions) // max(1, num_partitions)
    cuts = np.searchsorted(before_I, wanted)
    of_layers = np.flatnonzero(np.diff(sites.layer_I)) + 1
    return np.unique(np.concatenate([[0], cuts, of_layers, [len(sites)]]))


class Spill:
    """Files of all partitions in some folders, each of which is written once; then all are read."""

    def __init__(self, sites: Sites, starts: Sequence[int], folders: Sequence[Path] = ()) -> None:
        self.sites, self.starts, self.folders = sites, np.array(starts, dtype=np.int64), folders
        self._is_error_I = sites.is_kind(NodeKind.ERROR)

    def write(self, folder: Path, ranges: Iterator[ScannedRange]) -> None:
        """Write the nodes and edges of some part ranges into a folder."""
        num_partitions = len(self.starts) - 1
        with ExitStack() as stack:
            nodes, edges = (
                [stack.enter_context(_path(folder, kind, number).open("wb")) for number in range(num_partitions)]
                for kind in ("nodes", "edges")
            )
            for scanned in ranges:
                self._write_range(scanned, nodes, edges)

    def _write_range(self, scanned: ScannedRange, nodes: Sequence[BinaryIO], edges: Sequence[BinaryIO]) -> None:
        site_N, rank_N = self.sites.numbers(scanned.code_N), scanned.rank_N
        partition_N = (np.searchsorted(self.starts, site_N, side="right") - 1).astype(np.uint16)
        target_E = scanned.target_E
        source_E, weight_E = scanned.edges()
        position_N = scanned.nodes["position"]
        distance_E = position_N[target_E]
        distance_E -= position_N[source_E]
        np.clip(distance_E, -1, 8, out=distance_E)
        distance_E += 1
        records = np.empty(len(target_E), dtype=EDGE_RECORD)
        records["key"] = (site_N.astype(np.int64) * len(self.sites))[target_E] + site_N[source_E]
        records["rank_class"] = (rank_N.astype(np.uint32) << CLASS_BITS)[target_E] | _CLASS_OF[distance_E]
        records["weight"] = weight_E
        _append(edges, records, partition_N[target_E])
        from_errors = np.flatnonzero(self._is_error_I[site_N][source_E])
        of_nodes = np.zeros(len(site_N), dtype=NODE_RECORD)
        for name in ("in_degree", "activation", "influence", "row_abs_sum", "row_abs_dropped"):
            of_nodes[name] = scanned.nodes[name]
        of_nodes["site"], of_nodes["rank"] = site_N, rank_N
        of_nodes["error_abs"] = np.bincount(
            target_E[from_errors], weights=np.abs(weight_E[from_errors]).astype(np.float64), minlength=len(site_N)
        )
        _append(nodes, of_nodes, partition_N)

    def nodes(self, number: int) -> npt.NDArray[Any]:
        """Return the records of the nodes of one partition."""
        found = [np.fromfile(_path(folder, "nodes", number), dtype=NODE_RECORD) for folder in self.folders]
        return np.concatenate([np.empty(0, dtype=NODE_RECORD), *found])

    def edge_blocks(self, number: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the records of the edges of one partition in blocks."""
        for folder in self.folders:
            with _path(folder, "edges", number).open("rb") as file:
                while len(block := np.fromfile(file, dtype=EDGE_RECORD, count=_BLOCK)):
                    yield block

    def edges(self, number: int, first: int, end: int) -> npt.NDArray[Any]:
        """Return the records of the edges of one partition whose keys are from `first` to `end - 1`."""
        found = [block[(block["key"] >= first) & (block["key"] < end)] for block in self.edge_blocks(number)]
        return np.concatenate([np.empty(0, dtype=EDGE_RECORD), *found])


def _path(folder: Path, kind: str, number: int) -> Path:
    return folder / f"{kind}_{number:04d}"


def _append(files: Sequence[BinaryIO], records: npt.NDArray[Any], partition: npt.NDArray[np.uint16]) -> None:
    """Append each record to the file of its partition, in the order of the records."""
    ordered = records[np.argsort(partition, kind="stable")]
    ends = np.cumsum(np.bincount(partition, minlength=len(files))).tolist()
    for file, first, end in zip(files, [0, *ends], ends, strict=False):
        if end > first:
            file.write(ordered[first:end].tobytes())
