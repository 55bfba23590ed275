"""The edges of many prompts as one table of columns, each edge with the properties of its two nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import StoreCorrupt
from ...graph.columns import EDGE_COLUMNS, KINDS, OF_NODES, SIDES, STRINGS_OF_TOKENS, edge_columns
from ...table_stream import Batch, TableStream
from ..part import Part
from .conditions import Conditions, check_columns, check_values, column_names, meets
from .node_batches import node_columns, node_mask, with_tokens
from .part_range import PartRange, Size, part_ranges
from .prefetch import found_ahead

_AHEAD = 1
_KNOWN = {**EDGE_COLUMNS, **STRINGS_OF_TOKENS}


def edge_batches(
    parts: Callable[[], Iterable[tuple[Part, list[int]]]],
    columns: str | Sequence[str] | None,
    where: Conditions,
    if_none: Callable[[], None],
) -> TableStream:
    """Return the edges of the given prompts that meet all conditions.

    Raises ConfigError for columns and values that do not exist. `if_none` is called if no edge meets the conditions.
    """
    names = column_names(columns, EDGE_COLUMNS)
    check_columns("column of edges", names, where, _KNOWN)
    for kind in {"source_kind", "target_kind"} & where.keys():
        check_values(kind, where[kind], KINDS)

    def read() -> Iterator[Batch]:
        sizes: list[Size] = ["num_edges", *with_tokens(not STRINGS_OF_TOKENS.keys().isdisjoint({*names, *where}))]
        jobs = (partial(_batch, part_range, names, where) for part_range in part_ranges(parts(), *sizes))
        return found_ahead(jobs, _AHEAD, if_none)

    return TableStream({name: _KNOWN[name] for name in names}, read)


def _batch(part_range: PartRange, names: Sequence[str], where: Conditions) -> Batch | None:
    """Return the wanted columns of a range's edges that meet the conditions; None if there are none.

    Conditions on nodes are evaluated on the node table, and first, because there are fewer nodes than edges.
    """
    source_N, target_N = (node_mask(part_range, _of_side(side, where)) for side in SIDES)
    if "prompt" in where:
        target_N &= node_mask(part_range, {"prompt": where["prompt"]})
    if not (source_N.any() and target_N.any()):
        return None
    target_E = _target_E(part_range)
    index = None if target_N.all() else np.flatnonzero(target_N[target_E])
    if index is not None:
        target_E = target_E[index]
    stored = part_range.part.read(dict.fromkeys(("edges/source", "edges/weight"), part_range.rows("num_edges", index)))
    prompt_E = part_range.prompt_N[target_E]
    if (stored["edges/source"] >= part_range.num_nodes[prompt_E]).any():
        raise StoreCorrupt(f"{part_range.part.objects.where}: edges come from nodes that are not there")
    source_E = stored["edges/source"] + part_range.first_node[prompt_E]
    keep_E = source_N[source_E]
    if "weight" in where:
        keep_E &= meets(stored["edges/weight"], where["weight"])
    if not keep_E.all():
        source_E, target_E = source_E[keep_E], target_E[keep_E]
    if not len(target_E):
        return None
    return _columns(part_range, names, {"source": source_E, "target": target_E}, stored["edges/weight"][keep_E])


def _of_side(side: str, where: Conditions) -> Conditions:
    """Return the conditions on the nodes at one end, under the column names of the node table."""
    return {OF_NODES[name][1]: where[name] for name in where if name in OF_NODES and OF_NODES[name][0] == side}


def _target_E(part_range: PartRange) -> npt.NDArray[np.intp]:
    """Return the target node of each edge, as an index into the nodes of the part range: int [edges]."""
    in_degree = part_range.part.nodes(["in_degree"], part_range.rows("num_nodes"))["in_degree"]
    num_edges = sum(entry.num_edges for entry in part_range.entries)
    if in_degree.sum() != num_edges:
        raise StoreCorrupt(f"{part_range.part.objects.where}: in-degrees add up to {in_degree.sum()}, not {num_edges}")
    return np.repeat(np.arange(len(in_degree)), in_degree)


def _columns(
    part_range: PartRange, names: Sequence[str], ends: dict[str, npt.NDArray[np.intp]], weight_E: npt.NDArray[Any]
) -> Batch:
    wanted = dict.fromkeys(of for name, (_, of) in OF_NODES.items() if name in names)
    return edge_columns(names, node_columns(part_range, ["prompt", *wanted]), ends, weight_E)
