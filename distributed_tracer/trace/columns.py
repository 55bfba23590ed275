"""Columns: everything a row can read from, and the slot in which each is kept while rows are computed.

The features of one layer at one position share a gradient, so they are read by one product; positions with about as
many features are read together, padded to the widest of them. Such a stretch is a segment. A slot is a place in one:
slots are numbered through all segments, (layer, position) major, padding included.

L layer, P position, A active feature, C column (active features, errors layer-major, tokens), S slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

BESIDE = 2
"""Slots of a position beside its features: its error, and the constant, which is no column."""
_PADDING, _SLACK = 1.25, 128
"""A segment ends where padding would exceed this share of its slots, plus so many that cost no more than a call."""


@dataclass(frozen=True)
class Segment:
    """Positions [start, end) of one layer, `width` slots each, from slot `first` on; tokens are layer -1."""

    layer: int
    start: int
    end: int
    width: int
    first: int

    @property
    def num_slots(self) -> int:
        return (self.end - self.start) * self.width

    def reached(self, num_positions: int) -> int:
        """How many of its positions are among the first so many."""
        return max(0, min(self.end, num_positions) - self.start)


@dataclass(frozen=True, eq=False)
class Columns:
    """The layout of one prompt's columns."""

    segments: tuple[Segment, ...]
    """By layer, then position; the tokens' last."""
    num_layers: int
    num_positions: int
    slot_A: Tensor

    @classmethod
    def of(cls, layer_A: Tensor, position_A: Tensor, num_layers: int, num_positions: int) -> Columns:
        """Lay out active features, which are sorted by (layer, position)."""
        site_A = layer_A * num_positions + position_A
        count_S = torch.bincount(site_A, minlength=num_layers * num_positions)
        segments: list[Segment] = []
        first = 0
        for layer, counts in enumerate(count_S.view(num_layers, num_positions).tolist()):
            for start, end, width in _stretches([count + BESIDE for count in counts]):
                segments.append(Segment(layer, start, end, width, first))
                first += segments[-1].num_slots
        segments.append(Segment(-1, 0, num_positions, BESIDE, first))
        first_of_site = [s.first + p * s.width for s in segments[:-1] for p in range(s.end - s.start)]
        rank_A = torch.arange(len(site_A), device=site_A.device) - (count_S.cumsum(0) - count_S)[site_A]
        slot_A = torch.tensor(first_of_site, device=site_A.device)[site_A] + rank_A
        return cls(tuple(segments), num_layers, num_positions, slot_A)

    @property
    def num_slots(self) -> int:
        return self.segments[-1].first + self.segments[-1].num_slots

    @property
    def num_columns(self) -> int:
        return len(self.slot_A) + (self.num_layers + 1) * self.num_positions

    @cached_property
    def slot_C(self) -> Tensor:
        """The slot of every column: active features, errors, tokens."""
        errors = [s.first + (p + 1) * s.width - 2 for s in self.segments for p in range(s.end - s.start)]
        return torch.cat([self.slot_A, torch.tensor(errors, device=self.slot_A.device)])

    @cached_property
    def of_layer(self) -> list[list[int]]:
        """Numbers of every layer's segments; the tokens' come last, at index -1."""
        numbers: list[list[int]] = [[] for _ in range(self.num_layers + 1)]
        for number, segment in enumerate(self.segments):
            numbers[segment.layer].append(number)
        return numbers

    @cached_property
    def first_slot(self) -> list[int]:
        """Where the slots of every layer begin, those of the tokens, and where they end."""
        return [*(self.segments[numbers[0]].first for numbers in self.of_layer), self.num_slots]

    @cached_property
    def first_slot_L(self) -> Tensor:
        """The same as a tensor, without the end."""
        return torch.tensor(self.first_slot[:-1], device=self.slot_A.device)

    def reached(self, layer: int, num_positions: int) -> int:
        """Slots of a layer (-1: of the tokens) at the first so many positions: they come first."""
        return sum(self.segments[n].reached(num_positions) * self.segments[n].width for n in self.of_layer[layer])


def _stretches(widths: Sequence[int]) -> list[tuple[int, int, int]]:
    """(start, end, width) of stretches of positions that are read together."""
    found: list[tuple[int, int, int]] = []
    start, widest, total = 0, 0, 0
    for position, width in enumerate(widths):
        wider = max(widest, width)
        if position > start and (position + 1 - start) * wider > _PADDING * (total + width) + _SLACK:
            found.append((start, position, widest))
            start, wider, total = position, width, 0
        widest, total = wider, total + width
    return [*found, (start, len(widths), widest)]
