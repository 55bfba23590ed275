"""Edges of a batch of rows, held for the columns that they can reach only.

Rows are sorted deepest first, so the columns of a layer are reached by the first few rows, and only those at positions
that are not after the batch's last: the first few slots. What the rows read from a layer is one matrix [B, S]; the
layers lie one behind the other in a buffer.

B row, P position, C column asked for, S slot.
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
    """Edges of some rows from every column, however they are held."""

    def add_weighted(self, weight_B: Tensor, out_S: Tensor) -> None:
        """Add every |edge| times its row's weight to its slot."""
        ...

    def take(self, slot_C: Tensor) -> Tensor:
        """Edges from the columns in some slots, [B, C]; zero where none is held."""
        ...


@dataclass(frozen=True, eq=False)
class DenseEdges:
    """All edges of a batch from the columns it reaches. The others are zero."""

    reach: ReachableColumns
    values: Tensor
    """Every layer's edges, float32 or float64."""

    def sums(self) -> tuple[Tensor, Tensor]:
        """Of every row: sum of the edges and sum of their absolute values, both [B] in float64."""
        sum_B = self.values.new_zeros(self.reach.num_rows, dtype=torch.float64)
        abs_sum_B = torch.zeros_like(sum_B)
        for _, edges_BS in self.reach.layers(self.values):
            sum_B[: len(edges_BS)] += edges_BS.sum(1)
            abs_sum_B[: len(edges_BS)] += edges_BS.abs().sum(1)
        return sum_B, abs_sum_B

    def add_weighted(self, weight_B: Tensor, out_S: Tensor) -> None:
        """Add every |edge| times its row's weight to its slot."""
        if self.values.device.type == "cpu":  # where a large intermediate result costs more than many small ones
            for first, edges_BS in self.reach.layers(self.values):
                out_S[first : first + edges_BS.shape[1]] += weight_B[: len(edges_BS)] @ edges_BS.abs()
        else:
            for first, abs_BS in self.reach.layers(self.values.abs()):
                out_S[first : first + abs_BS.shape[1]].addmv_(abs_BS.T, weight_B[: len(abs_BS)])

    def take(self, slot_C: Tensor) -> Tensor:
        """Edges from the columns in some slots, [B, C]."""
        first_L = self.reach.columns.first_L
        layer_C = torch.searchsorted(first_L, slot_C, right=True) - 1
        offset_C, rows_C, width_C = self.reach.table[:, layer_C]
        local_C = slot_C - first_L[layer_C]
        row_B1 = torch.arange(self.reach.num_rows, device=slot_C.device)[:, None]
        held_BC = row_B1 < rows_C * (local_C < width_C)
        index_BC = torch.addcmul(offset_C + local_C, row_B1, width_C).mul_(held_BC)
        return self.values.take(index_BC).mul_(held_BC)

    def dense(self, first: int, end: int) -> Tensor:
        """Rows [first, end) over every slot."""
        dense_BS = self.values.new_zeros(end - first, self.reach.columns.num_slots)
        for slot, edges_BS in self.reach.layers(self.values):
            part_BS = edges_BS[first:end]  # none of the rows may be deep enough
            dense_BS[: len(part_BS), slot : slot + part_BS.shape[1]] = part_BS
        return dense_BS


class ReachableColumns:
    """Which part of each layer a batch holds: rows and slots, and where in the buffer that begins."""

    def __init__(self, columns: ColumnLayout, alive_L: Sequence[int], num_rows: int, num_positions: int) -> None:
        """`alive_L` counts the rows that a layer's columns can reach; tokens reach all."""
        self.columns, self.alive_L, self.num_rows, self.num_positions = columns, alive_L, num_rows, num_positions
        rows = [*alive_L, num_rows]
        widths = [of.reached_P[num_positions] for of in columns.layers]
        offsets = list(accumulate((n * w for n, w in zip(rows, widths, strict=True)), initial=0))
        self.size = offsets[-1]
        self._parts = list(zip(offsets, rows, widths, strict=False))
        self.table = to_device_async([offsets[:-1], rows, widths], columns.slot_A.device)

    def layers(self, values: Tensor) -> Iterator[tuple[int, Tensor]]:
        """First slot and edges [B, S] of every layer that is reached, and of the tokens."""
        for number, (_, rows, width) in enumerate(self._parts):
            if rows and width:
                yield self.columns.layers[number].first, self.layer(values, number)

    def layer(self, values: Tensor, number: int) -> Tensor:
        """One layer's edges [B, S]; number -1 for the tokens'."""
        offset, rows, width = self._parts[number]
        return values[offset : offset + rows * width].view(rows, width)
