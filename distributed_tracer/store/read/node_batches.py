"""The node tables of many prompts as one table of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph.columns import KINDS, NODE_COLUMNS
from ...table_stream import Batch, CategoricalColumn, TableStream
from ..part import Part
from .conditions import Conditions, check_columns, check_values, column_names, meets
from .part_range import PartRange, part_ranges
from .prefetch import found_ahead

_AHEAD = 2
_STORED = NODE_COLUMNS.keys() - {"prompt", "node"}


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
    check_columns("column of nodes", names, where, NODE_COLUMNS)
    if "kind" in where:
        check_values("kind", where["kind"], KINDS)

    def read() -> Iterator[Batch]:
        jobs = (partial(_batch, part_range, names, where) for part_range in part_ranges(parts(), "num_nodes"))
        return found_ahead(jobs, _AHEAD, if_none)

    return TableStream({name: NODE_COLUMNS[name] for name in names}, read)


def _batch(part_range: PartRange, names: Sequence[str], where: Conditions) -> Batch | None:
    """Return the wanted columns of a range's nodes that meet the conditions; None if there are none."""
    if not where:
        return node_columns(part_range, names)
    index = np.flatnonzero(node_mask(part_range, where))
    return node_columns(part_range, names, index) if len(index) else None


def node_mask(part_range: PartRange, where: Conditions) -> npt.NDArray[np.bool_]:
    """Return a boolean mask of the nodes that meet all conditions; reads only the columns that have conditions."""
    mask_N = np.ones(len(part_range.prompt_N), dtype=bool)
    for name, values in node_columns(part_range, list(where)).items():
        if isinstance(values, CategoricalColumn):
            mask_N &= meets(np.array(values.names, dtype=object), where[name])[values.codes]
        else:
            mask_N &= meets(values, where[name])
    return mask_N


def node_columns(
    part_range: PartRange, names: Sequence[str], index: npt.NDArray[np.intp] | None = None
) -> dict[str, npt.NDArray[Any] | CategoricalColumn]:
    """Return columns of all nodes of a part range, or of the nodes at `index`, in ascending order."""
    stored = part_range.part.nodes([name for name in names if name in _STORED], part_range.rows("num_nodes", index))
    chosen = slice(None) if index is None else index

    def column(name: str) -> npt.NDArray[Any] | CategoricalColumn:
        if name == "prompt":
            return CategoricalColumn(part_range.prompt_N[chosen], [entry.id for entry in part_range.entries])
        if name == "node":
            return part_range.node_N[chosen]
        return CategoricalColumn(stored[name].astype(np.int32), KINDS) if name == "kind" else stored[name]

    return {name: column(name) for name in names}
