"""SerializedBlock: an EdgeBlock as numpy arrays, to be sent between processes that both know the prompt's columns.

Axes: B row of a batch, E edge kept, L layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from .column_layout import ColumnLayout
from .edges import DenseEdges, Edges, ReachableColumns
from .rows import EdgeBlock
from .sparse_edges import SparseEdges

_OF_ROWS = ("node_B", "constant_B", "value_B", "sum_B", "abs_sum_B", "dropped_B")
_OF_LARGEST = ("count_B", "slot_E", "value_E")


@dataclass(frozen=True, eq=False)
class SerializedBlock:
    """A block of the rows of features, without the layout of the columns."""

    rows: Mapping[str, npt.NDArray[Any]]
    edges: Mapping[str, npt.NDArray[Any]]
    reach: tuple[Sequence[int], int, int] | None
    """The extent of dense edges: rows alive at each layer, number of rows, and number of positions. It is None for
    sparse edges, of which only the largest are kept."""


def serialize(block: EdgeBlock) -> SerializedBlock:
    """Return a block of feature rows as numpy arrays. Tensors on a GPU are copied to the host."""
    edges = block.edges
    if isinstance(edges, DenseEdges):
        reach = edges.reach
        shape = (reach.alive_L, reach.num_rows, reach.num_positions)
        values = edges.laid_out(whole_rows=False).values.numpy(force=True)
        return SerializedBlock(_arrays(block, _OF_ROWS), {"values": values}, shape)
    assert isinstance(edges, SparseEdges)
    return SerializedBlock(_arrays(block, _OF_ROWS), _arrays(edges, _OF_LARGEST), None)


def deserialize(packed: SerializedBlock, columns: ColumnLayout, device: torch.device) -> EdgeBlock:
    """Return the block with tensors on `device`. Its arrays are copied, because those in shared memory must not be
    kept."""
    edges = _tensors(packed.edges, device)
    held: Edges
    if packed.reach is None:
        held = SparseEdges(**edges, num_slots=columns.num_slots)
    else:
        sent = DenseEdges(ReachableColumns(columns, *packed.reach, whole_rows=False), edges["values"])
        held = sent.laid_out(columns.tiling.few_calls)
    return EdgeBlock(is_target=False, edges=held, **_tensors(packed.rows, device))


def _arrays(of: object, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    return {name: getattr(of, name).numpy(force=True) for name in names}


def _tensors(arrays: Mapping[str, npt.NDArray[Any]], device: torch.device) -> dict[str, Tensor]:
    return {name: torch.tensor(array, device=device) for name, array in arrays.items()}
