"""Keep the largest edges of every row, which together carry a given share of its sum of |edge|.

Axes: B row of a batch, Z slot, E edge kept, C column requested, I edge that is examined.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..plan.sizing import EDGES_EXAMINED_AT_ONCE
from .edges import DenseEdges

_BINS = 2**16
_UNITS = 2.0**52
"""Number of parts in which a row's sum is counted."""


@dataclass(frozen=True, eq=False)
class SparseEdges:
    """The edges that `keep_top_mass` kept, sorted by row and slot. They take 8 bytes per edge."""

    count_B: Tensor
    """The number of edges of each row."""
    slot_E: Tensor
    value_E: Tensor
    num_slots: int

    def add_weighted(self, weight_B: Tensor, out_Z: Tensor) -> None:
        """Add every |edge| times the weight of its row to `out_Z` at the slot of its column."""
        if self.value_E.device.type == "cpu":
            weight_E = torch.repeat_interleave(weight_B, self.count_B, output_size=len(self.value_E))
            out_Z.index_add_(0, self.slot_E, weight_E.mul_(self.value_E.abs()))
        else:  # which would add in an order that differs from call to call
            edges_BZ = self.value_E.new_zeros(len(self.count_B), self.num_slots)
            edges_BZ[self._row_E(), self.slot_E] = self.value_E.abs()
            out_Z.addmv_(edges_BZ.T, weight_B)

    def take(self, slot_C: Tensor) -> Tensor:
        """Return the edges from the columns in some slots, [B, C]; they are zero where none is stored."""
        beside = len(slot_C)  # one column collects the edges not requested: to drop them would mean to wait for a GPU
        column_Z = slot_C.new_full((self.num_slots,), beside)
        column_Z[slot_C] = torch.arange(len(slot_C), device=slot_C.device)
        taken_BC = self.value_E.new_zeros(len(self.count_B), beside + 1)
        taken_BC[self._row_E(), column_Z[self.slot_E]] = self.value_E
        return taken_BC[:, :beside]

    def _row_E(self) -> Tensor:
        rows_B = torch.arange(len(self.count_B), device=self.count_B.device)
        return torch.repeat_interleave(rows_B, self.count_B, output_size=len(self.value_E))


def keep_top_mass(edges: DenseEdges, share: float) -> tuple[SparseEdges, Tensor]:
    """Return the fewest edges of each row that carry `share` of its sum of |edge|, and the sum of their |edge|, [B]
    float64.

    Of edges that are equally large, all or none are kept.
    """
    num_rows, num_slots = edges.reach.num_rows, edges.reach.columns.num_slots
    examined = EDGES_EXAMINED_AT_ONCE[edges.values.device.type]
    at_once, found = max(1, examined // max(num_slots, _BINS)), []
    for first in range(0, num_rows, at_once):
        edges_BZ = edges.dense(first, min(first + at_once, num_rows))
        abs_BZ = edges_BZ.abs()
        kept_BZ = _kept(abs_BZ.float(), share).logical_and_(edges_BZ != 0)
        sum_B = abs_BZ.mul_(kept_BZ).sum(1, dtype=torch.float64)
        found.append((kept_BZ.sum(1), kept_BZ.nonzero()[:, 1].int(), edges_BZ[kept_BZ], sum_B))
    count_B, slot_E, value_E, sum_B = (torch.cat(parts) for parts in zip(*found, strict=True))
    return SparseEdges(count_B, slot_E, value_E, num_slots), sum_B


def _kept(abs_BZ: Tensor, share: float) -> Tensor:
    """Return a mask of the entries that stay in each row [B, Z].

    These are the entries that are not below the last of the largest entries that add up to `share` of the row. Two
    passes over histograms find that last entry: the first over the upper half of the bits of the floats, the second
    over the lower half. The bits of positive floats, read as integers, are in the order of the floats. Sorting the rows
    takes several times as long. Sums are those of integers, multiples of 2^-52 of the row's sum, which are the same in
    any order of additions: on a GPU that order differs from call to call.
    """
    bits_BZ = abs_BZ.view(torch.int32)
    unit_B = abs_BZ.sum(1, dtype=torch.float64).div_(_UNITS)
    units_BZ = (abs_BZ / torch.where(unit_B > 0, unit_B, 1.0)[:, None]).round_().long()
    goal_B = (units_BZ.sum(1).double() * share).round_().long()
    upper_BZ = bits_BZ >> 16
    row_B1 = torch.arange(len(abs_BZ), device=abs_BZ.device)[:, None]
    upper_B, above_B = _bin_reaching((upper_BZ + row_B1 * _BINS).flatten(), units_BZ.flatten(), goal_B)
    row_I, slot_I = (upper_BZ == upper_B[:, None]).nonzero(as_tuple=True)
    lower_I = (bits_BZ[row_I, slot_I] & 0xFFFF) + row_I * _BINS
    lower_B, _ = _bin_reaching(lower_I, units_BZ[row_I, slot_I], goal_B - above_B)
    return bits_BZ >= ((upper_B << 16) + lower_B)[:, None]


def _bin_reaching(bin_I: Tensor, units_I: Tensor, goal_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bin of each row in which the entries, added from the top bin down, reach the goal, and the sum of the
    entries in the bins above it.

    Entries and goals are integers. The bins of row b are numbered from b times 65,536 on.
    """
    histogram = goal_B.new_zeros(len(goal_B) * _BINS).scatter_add_(0, bin_I, units_I)
    from_top = histogram.view(len(goal_B), _BINS).flip(1).cumsum(1)
    passed_B = (from_top < goal_B[:, None]).sum(1).clamp_max(_BINS - 1)
    above_B = torch.where(passed_B > 0, from_top.gather(1, (passed_B - 1).clamp_min(0)[:, None])[:, 0], 0)
    return _BINS - 1 - passed_B, above_B
