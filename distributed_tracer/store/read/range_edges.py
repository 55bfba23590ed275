"""The edges of a part range, as node numbers within the range, without building graphs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...errors import StoreCorrupt
from .part_range import PartRange


def range_edges(
    part_range: PartRange, in_degree_N: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the source and the target of each edge of a range, as indices into its nodes, and its weight.

    The edges of a prompt are in the order of its graph. Raises StoreCorrupt for edges that no graph can have.
    """
    where, num_edges = part_range.part.objects.where, part_range.sizes("num_edges")
    first = part_range.first_node
    ends = np.append(np.zeros(1, np.int64), np.cumsum(in_degree_N, dtype=np.int64))
    if (np.diff(ends[np.append(first, len(in_degree_N))]) != num_edges).any():
        raise StoreCorrupt(f"{where}: the in-degrees of a prompt add up to another number than that of its edges")
    stored = part_range.part.read(dict.fromkeys(("edges/source", "edges/weight"), part_range.rows("num_edges")))
    source_E = stored["edges/source"]
    if (source_E >= np.repeat(part_range.num_nodes, num_edges)).any():
        raise StoreCorrupt(f"{where}: edges come from nodes that are not there")
    source_E = np.repeat(first.astype(np.int32), num_edges) + source_E.astype(np.int32)
    target_E = np.repeat(np.arange(len(in_degree_N), dtype=np.int32), in_degree_N)
    return source_E, target_E, stored["edges/weight"]
