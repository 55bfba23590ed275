"""Edges of a batch of rows, held for the columns that they can reach only.

Rows are sorted deepest first, so the columns of a layer are reached by the first few rows, and only those at positions
that are not after the batch's last. What the rows read from a segment is held as it was computed, [P, B, W]: one matrix
for each position. The segments lie one behind the other in a buffer.

B row, P position, W slot of a position, C column asked for, S slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from .columns import Columns
from .host import on_device


class Edges(Protocol):
    """Edges of some rows from every column, however they are held."""

    def add_weighted(self, weight_B: Tensor, out_S: Tensor) -> None:
        """Add every |edge| times its row's weight to its slot."""
        ...

    def take(self, slot_C: Tensor) -> Tensor:
        """Edges from the columns in some slots, [B, C]; zero where none is held."""
        ...


@dataclass(frozen=True, eq=False)
class ReachedEdges:
    """All edges of a batch from the columns it reaches. The others are zero."""

    reach: Reach
    values: Tensor
    """Every segment's edges, float32 or float64."""

    def sums(self) -> tuple[Tensor, Tensor]:
        """Of every row: sum of the edges and sum of their absolute values, both [B] in float64."""
        sum_B = self.values.new_zeros(self.reach.num_rows, dtype=torch.float64)
        abs_sum_B = torch.zeros_like(sum_B)
        for _, edges_PBW in self.reach.segments(self.values):
            num_rows = edges_PBW.shape[1]
            sum_B[:num_rows] += edges_PBW.sum(2).sum(0, dtype=torch.float64)
            abs_sum_B[:num_rows] += edges_PBW.abs().sum(2).sum(0, dtype=torch.float64)
        return sum_B, abs_sum_B

    def add_weighted(self, weight_B: Tensor, out_S: Tensor) -> None:
        """Add every |edge| times its row's weight to its slot."""
        for first, edges_PBW in self.reach.segments(self.values):
            weighted_PW = weight_B[: edges_PBW.shape[1]] @ edges_PBW.abs()
            out_S[first : first + weighted_PW.numel()] += weighted_PW.flatten()

    def take(self, slot_C: Tensor) -> Tensor:
        """Edges from the columns in some slots, [B, C]."""
        columns = self.reach.columns
        segment_C = torch.searchsorted(columns.first_slot, slot_C, right=True) - 1
        local_C, width_C = slot_C - columns.first_slot[segment_C], columns.width[segment_C]
        offset_C, rows_C, positions_C = self.reach.table[:, segment_C]
        position_C = local_C.div(width_C, rounding_mode="floor")
        reached_C = rows_C * (position_C < positions_C)
        start_C = offset_C + position_C * rows_C * width_C + local_C % width_C
        row_B1 = torch.arange(self.reach.num_rows, device=slot_C.device)[:, None]
        held_BC = row_B1 < reached_C
        index_BC = torch.addcmul(start_C, row_B1, width_C).mul_(held_BC)
        return self.values[index_BC].mul_(held_BC)

    def dense(self, first: int, end: int) -> Tensor:
        """Rows [first, end) over every slot."""
        dense_BS = self.values.new_zeros(end - first, self.reach.columns.num_slots)
        for slot, edges_PBW in self.reach.segments(self.values):
            part_PBW = edges_PBW[:, first:end]
            if not part_PBW.shape[1]:
                continue  # the rows asked for are not as deep
            into_BS = dense_BS[: part_PBW.shape[1], slot : slot + part_PBW.shape[0] * part_PBW.shape[2]]
            into_BS.view(len(into_BS), part_PBW.shape[0], -1).copy_(part_PBW.transpose(0, 1))
        return dense_BS


class Reach:
    """Which part of each segment a batch holds: rows and positions, and where in the buffer that begins."""

    def __init__(self, columns: Columns, alive_L: Sequence[int], num_rows: int, num_positions: int) -> None:
        """`alive_L` counts the rows that a layer's columns can reach; tokens reach all."""
        self.columns, self.num_rows = columns, num_rows
        rows = [num_rows if segment.layer < 0 else alive_L[segment.layer] for segment in columns.segments]
        positions = [segment.reached(num_positions) for segment in columns.segments]
        widths = [segment.width for segment in columns.segments]
        offsets = [0, *accumulate(n * p * w for n, p, w in zip(rows, positions, widths, strict=True))]
        self.size = offsets[-1]
        self.parts = list(zip(offsets, positions, rows, widths, strict=False))
        self.table = on_device([offsets[:-1], rows, positions], columns.slot_A.device)

    def segments(self, values: Tensor) -> Iterator[tuple[int, Tensor]]:
        """First slot and edges [P, B, W] of every segment that is reached."""
        for number, (_, positions, rows, _) in enumerate(self.parts):
            if rows and positions:
                yield self.columns.segments[number].first, self.segment(values, number)

    def segment(self, values: Tensor, number: int) -> Tensor:
        """One segment's edges, [P, B, W]."""
        offset, positions, rows, width = self.parts[number]
        return values[offset : offset + positions * rows * width].view(positions, rows, width)
