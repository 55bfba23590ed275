"""The edges of a batch of rows.

Rows are sorted deepest first, so only the first few rows reach the columns of a layer. They reach only columns at
positions up to the last one of the batch, which are the first few slots. The edges from one layer are therefore one
matrix [B, Z]. On a CPU the matrices of all layers follow one another in a buffer, and nothing else is stored. On a GPU
they are parts of one matrix over all slots, which takes about twice the memory and one call where there would be one
for each layer (`Tiling.few_calls`).

Axes: B row of a batch, L layer, P position, A active feature, C column requested, Z slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor
from torch.linalg import vector_norm

from ..plan.sizing import EDGES_WEIGHTED_AT_ONCE
from .column_layout import ColumnLayout
from .device import to_device_async


class Edges(Protocol):
    """The edges of some rows from every column, in any storage format."""

    def add_weighted(self, weight_B: Tensor, out_Z: Tensor) -> None:
        """Add every |edge| times the weight of its row to `out_Z` at the slot of its column."""
        ...

    def take(self, slot_C: Tensor) -> Tensor:
        """Return the edges from the columns in some slots, [B, C]; they are zero where none is stored."""
        ...


@dataclass(frozen=True, eq=False)
class DenseEdges:
    """All edges of a batch from the columns that it reaches. The edges from other columns are zero."""

    reach: ReachableColumns
    values: Tensor
    """The buffer with the edges from every layer, in float32 or float64, laid out as `reach` says."""

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the sum of the edges of every row and the sum of their absolute values, both [B] in float64."""
        if self.reach.whole_rows:
            edges_BZ = self.reach.whole(self.values)
            return edges_BZ.sum(1, dtype=torch.float64), vector_norm(edges_BZ, 1, dim=1, dtype=torch.float64)
        sum_B = self.values.new_zeros(self.reach.num_rows, dtype=torch.float64)
        abs_sum_B = torch.zeros_like(sum_B)
        for _, edges_BZ in self.reach.layers(self.values):
            sum_B[: len(edges_BZ)] += edges_BZ.sum(1)
            abs_sum_B[: len(edges_BZ)] += edges_BZ.abs().sum(1)
        return sum_B, abs_sum_B

    def add_weighted(self, weight_B: Tensor, out_Z: Tensor) -> None:
        """Add every |edge| times the weight of its row to `out_Z` at the slot of its column."""
        if self.reach.whole_rows:
            edges_BZ, start = self.reach.whole(self.values), 0
            for part_BZ in torch.split(edges_BZ, max(1, EDGES_WEIGHTED_AT_ONCE // edges_BZ.shape[1])):
                out_Z.addmv_(part_BZ.abs().T, weight_B[start : start + len(part_BZ)])
                start += len(part_BZ)
            return
        for first, edges_BZ in self.reach.layers(self.values):
            out_Z[first : first + edges_BZ.shape[1]] += weight_B[: len(edges_BZ)] @ edges_BZ.abs()

    def take(self, slot_C: Tensor) -> Tensor:
        """Return the edges from the columns in some slots, [B, C]; they are zero where a row does not reach a
        column."""
        if self.reach.whole_rows:
            return self.reach.whole(self.values).index_select(1, slot_C)
        first_L = self.reach.columns.first_L
        layer_C = torch.searchsorted(first_L, slot_C, right=True) - 1
        offset_C, rows_C, width_C = self.reach.table[:, layer_C]
        local_C = slot_C - first_L[layer_C]
        row_B1 = torch.arange(self.reach.num_rows, device=slot_C.device)[:, None]
        held_BC = row_B1 < rows_C * (local_C < width_C)
        index_BC = torch.addcmul(offset_C + local_C, row_B1, width_C).mul_(held_BC)
        return self.values.take(index_BC).mul_(held_BC)

    def dense(self, first: int, end: int) -> Tensor:
        """Return the rows `first` to `end` (exclusive) over every slot."""
        if self.reach.whole_rows:
            return self.reach.whole(self.values)[first:end]
        dense_BZ = self.values.new_zeros(end - first, self.reach.columns.num_slots)
        for slot, edges_BZ in self.reach.layers(self.values):
            part_BZ = edges_BZ[first:end]  # may be empty: perhaps none of the rows is deep enough
            dense_BZ[: len(part_BZ), slot : slot + part_BZ.shape[1]] = part_BZ
        return dense_BZ

    def laid_out(self, whole_rows: bool) -> DenseEdges:
        """Return the edges in a buffer with or without places for what no row reaches."""
        of = self.reach
        if of.whole_rows == whole_rows:
            return self
        reach = ReachableColumns(of.columns, of.alive_L, of.num_rows, of.num_positions, whole_rows)
        values = self.values.new_zeros(reach.size)
        for number in range(len(of.columns.layers)):
            reach.layer(values, number).copy_(of.layer(self.values, number))
        return DenseEdges(reach, values)


class ReachableColumns:
    """The part of each layer that a batch reaches: its numbers of rows and slots, and where it is in the buffer."""

    def __init__(
        self,
        columns: ColumnLayout,
        alive_L: Sequence[int],
        num_rows: int,
        num_positions: int,
        whole_rows: bool | None = None,
    ) -> None:
        """Lay out the buffer of a batch.

        `alive_L` is the number of rows that read from each layer's columns; all rows read from tokens. With
        `whole_rows` the buffer has a place for every edge of every row, reached or not; None takes what the columns'
        tiling says.
        """
        self.columns, self.alive_L, self.num_rows, self.num_positions = columns, alive_L, num_rows, num_positions
        self.whole_rows = columns.tiling.few_calls if whole_rows is None else whole_rows
        rows = [*alive_L, num_rows]
        widths = [of.reached_P[num_positions] for of in columns.layers]
        if self.whole_rows:
            strides, offsets = [columns.num_slots] * len(rows), [of.first for of in columns.layers]
            self.size = num_rows * columns.num_slots
        else:
            *offsets, self.size = accumulate((n * w for n, w in zip(rows, widths, strict=True)), initial=0)
            strides = widths
        self._parts = list(zip(offsets, rows, widths, strides, strict=True))

    @cached_property
    def table(self) -> Tensor:
        """For each layer, where its edges begin in the buffer, and its numbers of rows and slots: [3, L]."""
        return to_device_async([list(of) for of in zip(*self._parts, strict=True)][:3], self.columns.slot_A.device)

    def layers(self, values: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield the first slot and the edges [B, Z] of every layer that is reached, and of the tokens."""
        for number, (_, rows, width, _) in enumerate(self._parts):
            if rows and width:
                yield self.columns.layers[number].first, self.layer(values, number)

    def layer(self, values: Tensor, number: int) -> Tensor:
        """Return the edges [B, Z] from one layer, or from the tokens if `number` is -1."""
        offset, rows, width, stride = self._parts[number]
        return values.as_strided((rows, width), (stride, 1), values.storage_offset() + offset)

    def whole(self, values: Tensor) -> Tensor:
        """Return the edges from every slot [B, Z]. The buffer must have whole rows."""
        assert self.whole_rows
        return values.view(self.num_rows, -1)
