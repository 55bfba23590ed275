"""The node tables of many prompts as one table of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph.columns import KINDS, NODE_COLUMNS, STRING_OF_TOKEN
from ...table_stream import Batch, CategoricalColumn, TableStream
from ..part import Part
from .conditions import Conditions, check_columns, check_values, column_names, meets
from .part_range import PartRange, Size, part_ranges
from .prefetch import found_ahead

_AHEAD = 2
_STORED = NODE_COLUMNS.keys() - {"prompt", "node"}
_KNOWN = {**NODE_COLUMNS, **STRING_OF_TOKEN}


def node_batches(
    parts: Callable[[], Iterable[tuple[Part, list[int]]]],
    columns: str | Sequence[str] | None,
    where: Conditions,
    if_none: Callable[[], None],
) -> TableStream:
    """Return the nodes of the given prompts that meet all conditions.

    Raises ConfigError for columns and values that do not exist. `if_none` is called if no node meets the conditions.
    """
    names = column_names(columns, NODE_COLUMNS)
    check_columns("column of nodes", names, where, _KNOWN)
    if "kind" in where:
        check_values("kind", where["kind"], KINDS)

    def read() -> Iterator[Batch]:
        sizes: list[Size] = ["num_nodes", *with_tokens("token" in {*names, *where})]
        jobs = (partial(_batch, part_range, names, where) for part_range in part_ranges(parts(), *sizes))
        return found_ahead(jobs, _AHEAD, if_none)

    return TableStream({name: _KNOWN[name] for name in names}, read)


def with_tokens(are_read: bool) -> list[Size]:
    """Return the size that limits a part range in addition where token strings are read."""
    return ["num_tokens"] if are_read else []


def _batch(part_range: PartRange, names: Sequence[str], where: Conditions) -> Batch | None:
    """Return the wanted columns of a range's nodes that meet the conditions; None if there are none."""
    if not where:
        return node_columns(part_range, names)
    index = np.flatnonzero(node_mask(part_range, where))
    return node_columns(part_range, names, index) if len(index) else None


def node_mask(part_range: PartRange, where: Conditions) -> npt.NDArray[np.bool_]:
    """Return a boolean mask of the nodes that meet all conditions; reads only the columns that have conditions."""
    return rows_meeting(node_columns(part_range, list(where)), where, len(part_range.prompt_N))


def rows_meeting(columns: Batch, where: Conditions, num_rows: int) -> npt.NDArray[np.bool_]:
    """Return a boolean mask [rows] of the rows that meet all conditions on the given columns."""
    mask = np.ones(num_rows, dtype=bool)
    for name, values in columns.items():
        if isinstance(values, CategoricalColumn):
            mask &= meets(np.array(values.names, dtype=object), where[name])[values.codes]
        else:
            mask &= meets(values, where[name])
    return mask


def node_columns(
    part_range: PartRange, names: Sequence[str], index: npt.NDArray[np.intp] | None = None
) -> dict[str, npt.NDArray[Any] | CategoricalColumn]:
    """Return columns of all nodes of a part range, or of the nodes at `index`, in ascending order."""
    read = {"position" if name == "token" else name for name in names}
    stored = part_range.part.nodes(sorted(read & _STORED), part_range.rows("num_nodes", index))
    chosen = slice(None) if index is None else index

    def column(name: str) -> npt.NDArray[Any] | CategoricalColumn:
        if name == "prompt":
            return CategoricalColumn(part_range.prompt_N[chosen], [entry.id for entry in part_range.entries])
        if name == "node":
            return part_range.node_N[chosen]
        if name == "token":
            return part_range.tokens_at(part_range.prompt_N[chosen], stored["position"])
        return CategoricalColumn(stored[name].astype(np.int32), KINDS) if name == "kind" else stored[name]

    return {name: column(name) for name in names}
