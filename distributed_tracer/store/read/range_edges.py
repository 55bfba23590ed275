"""The edges of a part range, as node numbers within the range, without building graphs.

Axes: N node, E edge, X chosen node or prompt.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...errors import StoreCorrupt
from ..format.zarr_decode import Rows
from .part_range import PartRange


def range_edges(
    part_range: PartRange, in_degree_N: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the source and the target of each edge of a range, as indices into its nodes, and its weight.

    The edges of a prompt are in the order of its graph. Raises StoreCorrupt for edges that no graph can have.
    """
    num_edges = part_range.sizes("num_edges")
    _edge_starts(part_range, in_degree_N)
    source_E, weight_E = _read(part_range, part_range.rows("num_edges"), np.arange(len(num_edges)), num_edges)
    return source_E, np.repeat(np.arange(len(in_degree_N), dtype=np.int32), in_degree_N), weight_E


def stored_edges(
    part_range: PartRange, in_degree_N: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.float32]]:
    """Return the source of each edge of a range, as the number of a node within its graph, and its weight.

    The edges of a prompt are in the order of its graph. Raises StoreCorrupt for edges that no graph can have.
    """
    _edge_starts(part_range, in_degree_N)
    stored = part_range.part.read(dict.fromkeys(("edges/source", "edges/weight"), part_range.rows("num_edges")))
    source_E, num_edges = stored["edges/source"], part_range.sizes("num_edges")
    with_edges = np.flatnonzero(num_edges)
    first = (np.cumsum(num_edges) - num_edges)[with_edges]
    if len(first) and (np.maximum.reduceat(source_E, first) >= part_range.num_nodes[with_edges]).any():
        raise StoreCorrupt(f"{part_range.part.objects.where}: edges come from nodes that are not there")
    return source_E, stored["edges/weight"]


def blocks_of_prompts(part_range: PartRange, most_edges: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield the prompts, nodes and edges of blocks of at most `most_edges` edges, unless a single prompt has more."""
    ends = np.append(0, np.cumsum(part_range.sizes("num_edges")))
    nodes = np.append(part_range.first_node, len(part_range.prompt_N))
    begin, num_prompts = 0, len(part_range.numbers)
    while begin < num_prompts:
        end = max(begin + 1, int(np.searchsorted(ends, ends[begin] + most_edges, side="right")) - 1)
        own_nodes = slice(int(nodes[begin]), int(nodes[end]))
        yield slice(begin, end), own_nodes, slice(int(ends[begin]), int(ends[end]))
        begin = end


def edges_into_nodes(
    part_range: PartRange, in_degree_N: npt.NDArray[np.int32], node_X: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the edges into some nodes, given in ascending order as indices into the nodes of the range, as
    `range_edges` returns all. Only their rows are kept."""
    start_N = _edge_starts(part_range, in_degree_N)
    degree_X = in_degree_N[node_X].astype(np.intp)
    index = np.arange(int(degree_X.sum())) + np.repeat(start_N[node_X] - (np.cumsum(degree_X) - degree_X), degree_X)
    rows = part_range.rows("num_edges", index)
    source_E, weight_E = _read(part_range, rows, part_range.prompt_N[node_X], degree_X)
    return source_E, np.repeat(node_X.astype(np.int32), degree_X), weight_E


def check_range_edges(part_range: PartRange) -> None:
    """Raise StoreCorrupt for in-degrees or sources of edges that no graph can have. Reads no weights."""
    _edge_starts(part_range, part_range.part.nodes(["in_degree"], part_range.rows("num_nodes"))["in_degree"])
    source_E = part_range.part.read({"edges/source": part_range.rows("num_edges")})["edges/source"]
    _check_sources(part_range, source_E, part_range.num_nodes, part_range.sizes("num_edges"))


def _edge_starts(part_range: PartRange, in_degree_N: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the first edge into each node, as an index into the edges of the range, followed by their number.

    Raises StoreCorrupt if in-degrees contradict the commit.
    """
    start_N = np.append(np.zeros(1, dtype=np.int64), np.cumsum(in_degree_N, dtype=np.int64))
    found = np.diff(start_N[np.append(part_range.first_node, len(in_degree_N))])
    wrong = np.flatnonzero(found != part_range.sizes("num_edges"))
    if len(wrong):
        entry = part_range.entries[wrong[0]]
        raise StoreCorrupt(
            f"{part_range.part.objects.where}: the in-degrees of prompt {entry.id!r} add up to {found[wrong[0]]}, and "
            f"there are {entry.num_edges} edges"
        )
    return start_N


def _read(
    part_range: PartRange, rows: Rows, prompt_X: npt.NDArray[np.integer], count_X: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return source, as an index into the nodes of the range, and weight of edges, of which `count_X` at a time are of
    the prompt `prompt_X`. Raises StoreCorrupt if a source is no node."""
    stored = part_range.part.read(dict.fromkeys(("edges/source", "edges/weight"), rows))
    source_E = stored["edges/source"]
    _check_sources(part_range, source_E, part_range.num_nodes[prompt_X], count_X)
    first_E = np.repeat(part_range.first_node[prompt_X].astype(np.int32), count_X)
    return first_E + source_E.astype(np.int32), stored["edges/weight"]


def _check_sources(
    part_range: PartRange,
    source_E: npt.NDArray[np.unsignedinteger],
    num_nodes_X: npt.NDArray[np.intp],
    count_X: npt.NDArray[np.intp],
) -> None:
    if (source_E >= np.repeat(num_nodes_X, count_X)).any():
        raise StoreCorrupt(f"{part_range.part.objects.where}: edges come from nodes that are not there")
