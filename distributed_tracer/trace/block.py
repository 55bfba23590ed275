"""EdgeBlock: incoming edges of a batch of nodes, held for the columns that they can reach only.

Rows are sorted deepest first, so the columns of a layer are reached by the first few rows, and only those at positions
that are not after the batch's last: a matrix for each layer and one for the tokens, one behind the other in a buffer.

B row, C column asked for, S slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from .columns import Columns


@dataclass(frozen=True, eq=False)
class EdgeBlock:
    """Rows of some nodes over all columns. What is not held is zero."""

    node_B: Tensor
    """Numbers of active features, or of targets."""
    is_target: bool
    columns: Columns
    reach: Reach
    values: Tensor
    """Every layer's matrix, float32 or float64."""
    constant_B: Tensor
    """What biases, and what the zeroed positions write, add to each row."""
    value_B: Tensor
    """What row and constant must add up to: the node's pre-activation (or a target's value) without its own bias."""

    def __len__(self) -> int:
        return len(self.node_B)

    def sums(self) -> tuple[Tensor, Tensor]:
        """Of every row: sum of the edges in float64 and sum of their absolute values, both [B]."""
        sum_B = self.values.new_zeros(len(self), dtype=torch.float64)
        abs_sum_B = torch.zeros_like(sum_B)
        for _, matrix_BS in self.reach.matrices(self.values):
            sum_B[: len(matrix_BS)] += matrix_BS.sum(1, dtype=torch.float64)
            abs_sum_B[: len(matrix_BS)] += torch.linalg.vector_norm(matrix_BS, 1, 1, dtype=torch.float64)
        return sum_B, abs_sum_B

    def add_weighted(self, weight_B: Tensor, out_S: Tensor) -> None:
        """Add every |edge| times its row's weight to its slot."""
        for first, matrix_BS in self.reach.matrices(self.values):
            out_S[first : first + matrix_BS.shape[1]] += weight_B[: len(matrix_BS)] @ matrix_BS.abs()

    def take(self, slot_C: Tensor) -> Tensor:
        """Edges from the columns in some slots, [B, C]."""
        layer_C = torch.searchsorted(self.columns.first_slot_L, slot_C, right=True) - 1
        local_C = slot_C - self.columns.first_slot_L[layer_C]
        offset_C, width_C, rows_C = self.reach.table[:, layer_C]
        row_B1 = torch.arange(len(self), device=slot_C.device)[:, None]
        held_BC = (local_C < width_C) & (row_B1 < rows_C)
        index_BC = (offset_C + local_C + row_B1 * width_C).masked_fill_(~held_BC, 0)
        return self.values[index_BC].masked_fill_(~held_BC, 0)


class Reach:
    """Which part of each layer's columns a batch holds: rows and width of its matrix and where that begins."""

    def __init__(self, columns: Columns, alive_L: Sequence[int], num_rows: int, num_positions: int) -> None:
        """`alive_L` counts the rows that a layer's columns can reach; tokens reach all."""
        self.columns, rows = columns, [*alive_L, num_rows]
        widths = [columns.reached(layer, num_positions) for layer in [*range(len(alive_L)), -1]]
        offsets = [0, *accumulate(n * width for n, width in zip(rows, widths, strict=True))]
        self.size = offsets[-1]
        self.parts = list(zip(offsets, rows, widths, strict=False))
        self.table = torch.tensor([offsets[:-1], widths, rows], device=columns.slot_A.device)

    def matrices(self, values: Tensor) -> Iterator[tuple[int, Tensor]]:
        """First slot and matrix [rows, width] of every layer that is reached, then of the tokens."""
        for first, part in zip(self.columns.first_slot, self.parts, strict=False):
            if part[1] and part[2]:
                yield first, _matrix(values, part)

    def segment(self, values: Tensor, number: int, num_positions: int) -> Tensor:
        """A segment's part of its layer's matrix, [rows, P, W], at the first so many of its positions."""
        segment = self.columns.segments[number]
        start = segment.first - self.columns.first_slot[segment.layer if segment.layer >= 0 else -2]
        matrix_BS = _matrix(values, self.parts[segment.layer])
        part_BS = matrix_BS[:, start : start + num_positions * segment.width]
        return part_BS.view(len(matrix_BS), num_positions, segment.width)


def _matrix(values: Tensor, part: tuple[int, int, int]) -> Tensor:
    offset, rows, width = part
    return values[offset : offset + rows * width].view(rows, width)
