"""The largest edges of every row that together carry a given share of its sum of |edge|.

B row, S slot, E edge kept, C column asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .edges import ReachedEdges

_AT_ONCE = 2**24
"""Edges looked at together: 64 MiB in float32, three times that while they are compared."""
_HALVINGS = 40
"""Of the interval in which the smallest kept |edge| lies: to the last bit of a float32 and some."""


@dataclass(frozen=True, eq=False)
class LargestEdges:
    """What `keep_largest` kept, sorted by row and slot: 8 bytes an edge."""

    count_B: Tensor
    """Edges of each row."""
    slot_E: Tensor
    value_E: Tensor
    num_slots: int

    def kept(self) -> Tensor:
        """Sum of |edge| of each row, [B] float64."""
        sums_B = self.value_E.new_zeros(len(self.count_B), dtype=torch.float64)
        return sums_B.index_add_(0, self._row_E(), self.value_E.abs().double())

    def add_weighted(self, weight_B: Tensor, out_S: Tensor) -> None:
        """Add every |edge| times its row's weight to its slot."""
        weight_E = torch.repeat_interleave(weight_B, self.count_B, output_size=len(self.value_E))
        out_S.index_add_(0, self.slot_E, weight_E.mul_(self.value_E.abs()))

    def take(self, slot_C: Tensor) -> Tensor:
        """Edges from the columns in some slots, [B, C]; zero where none is held."""
        column_S = slot_C.new_full((self.num_slots,), -1)
        column_S[slot_C] = torch.arange(len(slot_C), device=slot_C.device)
        column_E = column_S[self.slot_E]
        asked_E = column_E >= 0
        taken_BC = self.value_E.new_zeros(len(self.count_B), len(slot_C))
        taken_BC[self._row_E()[asked_E], column_E[asked_E]] = self.value_E[asked_E]
        return taken_BC

    def _row_E(self) -> Tensor:
        rows_B = torch.arange(len(self.count_B), device=self.count_B.device)
        return torch.repeat_interleave(rows_B, self.count_B, output_size=len(self.value_E))


def keep_largest(edges: ReachedEdges, share: float) -> LargestEdges:
    """The fewest edges of each row that carry `share` of its sum of |edge|; of equal ones all or none are kept."""
    num_rows, num_slots = edges.reach.num_rows, edges.reach.columns.num_slots
    at_once, found = max(1, _AT_ONCE // num_slots), []
    for first in range(0, num_rows, at_once):
        edges_BS = edges.dense(first, min(first + at_once, num_rows))
        abs_BS = edges_BS.abs()
        kept_BS = (abs_BS >= _smallest(abs_BS, share)) & (abs_BS > 0)
        found.append((kept_BS.sum(1), kept_BS.nonzero()[:, 1].int(), edges_BS[kept_BS]))
    count_B, slot_E, value_E = (torch.cat(parts) for parts in zip(*found, strict=True))
    return LargestEdges(count_B, slot_E, value_E, num_slots)


def _smallest(abs_BS: Tensor, share: float) -> Tensor:
    """The largest [B, 1] such that entries not below it add up to `share` of the row, found by halving."""
    goal_B = share * abs_BS.sum(1, dtype=torch.float64)
    low_B1, high_B1 = abs_BS.new_zeros(len(abs_BS), 1), abs_BS.amax(1, keepdim=True)
    for _ in range(_HALVINGS):
        middle_B1 = (low_B1 + high_B1) / 2
        covered_B = (abs_BS * (abs_BS >= middle_B1)).sum(1, dtype=torch.float64)
        enough_B1 = (covered_B >= goal_B)[:, None]
        low_B1, high_B1 = torch.where(enough_B1, middle_B1, low_B1), torch.where(enough_B1, high_B1, middle_B1)
    return low_B1
