"""The edges of a batch of rows, stored only for the columns that the rows can reach.

Rows are sorted deepest first, so only the first few rows reach the columns of a layer. They reach only columns at
positions up to the last one of the batch, which are the first few slots. The edges from one layer are therefore one
matrix [B, Z], and the matrices of all layers follow one another in a buffer.

Axes: B row of a batch, L layer, P position, A active feature, C column requested, Z slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

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
    """The buffer with the edges from every layer, in float32 or float64."""

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the sum of the edges of every row and the sum of their absolute values, both [B] in float64."""
        sum_B = self.values.new_zeros(self.reach.num_rows, dtype=torch.float64)
        abs_sum_B = torch.zeros_like(sum_B)
        for _, edges_BZ in self.reach.layers(self.values):
            sum_B[: len(edges_BZ)] += edges_BZ.sum(1)
            abs_sum_B[: len(edges_BZ)] += edges_BZ.abs().sum(1)
        return sum_B, abs_sum_B

    def add_weighted(self, weight_B: Tensor, out_Z: Tensor) -> None:
        """Add every |edge| times the weight of its row to `out_Z` at the slot of its column."""
        if self.values.device.type == "cpu":  # where a large intermediate result costs more than many small ones
            for first, edges_BZ in self.reach.layers(self.values):
                out_Z[first : first + edges_BZ.shape[1]] += weight_B[: len(edges_BZ)] @ edges_BZ.abs()
        else:
            for first, abs_BZ in self.reach.layers(self.values.abs()):
                out_Z[first : first + abs_BZ.shape[1]].addmv_(abs_BZ.T, weight_B[: len(abs_BZ)])

    def take(self, slot_C: Tensor) -> Tensor:
        """Return the edges from the columns in some slots, [B, C]; they are zero where a row does not reach a
        column."""
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
        dense_BZ = self.values.new_zeros(end - first, self.reach.columns.num_slots)
        for slot, edges_BZ in self.reach.layers(self.values):
            part_BZ = edges_BZ[first:end]  # may be empty: perhaps none of the rows is deep enough
            dense_BZ[: len(part_BZ), slot : slot + part_BZ.shape[1]] = part_BZ
        return dense_BZ


class ReachableColumns:
    """The part of each layer that a batch reaches: its numbers of rows and slots, and where it begins in the buffer."""

    def __init__(self, columns: ColumnLayout, alive_L: Sequence[int], num_rows: int, num_positions: int) -> None:
        """Lay out the buffer of a batch.

        `alive_L` is the number of rows that read from each layer's columns; all rows read from tokens.
        """
        self.columns, self.alive_L, self.num_rows, self.num_positions = columns, alive_L, num_rows, num_positions
        rows = [*alive_L, num_rows]
        widths = [of.reached_P[num_positions] for of in columns.layers]
        offsets = list(accumulate((n * w for n, w in zip(rows, widths, strict=True)), initial=0))
        self.size = offsets[-1]
        self._parts = list(zip(offsets, rows, widths, strict=False))
        self.table = to_device_async([offsets[:-1], rows, widths], columns.slot_A.device)

    def layers(self, values: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield the first slot and the edges [B, Z] of every layer that is reached, and of the tokens."""
        for number, (_, rows, width) in enumerate(self._parts):
            if rows and width:
                yield self.columns.layers[number].first, self.layer(values, number)

    def layer(self, values: Tensor, number: int) -> Tensor:
        """Return the edges [B, Z] from one layer, or from the tokens if `number` is -1."""
        offset, rows, width = self._parts[number]
        return values[offset : offset + rows * width].view(rows, width)
