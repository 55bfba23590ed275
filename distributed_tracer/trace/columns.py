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
_PADDING, _SLACK = 1.5, 256
"""A segment ends where its slots would exceed those in use so many times, plus as many as cost no more than a call."""


@dataclass(frozen=True)
class Grain:
    """Sizes are rounded up to multiples of these, where every new size of a product costs more than some padding."""

    rows: int = 1
    positions: int = 1
    width: int = 1

    @staticmethod
    def up(size: int, grain: int) -> int:
        return -(-size // grain) * grain

    @classmethod
    def of(cls, dtype: torch.dtype, device: torch.device) -> Grain:
        """Widths go by what a vector register holds: 64 columns are read half as fast again as 56 (float32, AVX-512).

        For bfloat16 on a CPU a kernel is compiled for each size, a millisecond each, and kept.
        """
        if device.type != "cpu":
            return cls(width=8)
        return cls(32, 8, 16) if dtype in (torch.bfloat16, torch.float16) else cls(width=16)


FINE = Grain()


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
    grain: Grain = FINE

    @classmethod
    def of(
        cls, layer_A: Tensor, position_A: Tensor, num_layers: int, num_positions: int, grain: Grain = FINE
    ) -> Columns:
        """Lay out active features, which are sorted by (layer, position)."""
        site_A = layer_A * num_positions + position_A
        count_S = torch.bincount(site_A, minlength=num_layers * num_positions)
        segments: list[Segment] = []
        first = 0
        for layer, counts in enumerate(count_S.view(num_layers, num_positions).tolist()):
            for start, end, width in _stretches([count + BESIDE for count in counts], grain):
                segments.append(Segment(layer, start, end, width, first))
                first += segments[-1].num_slots
        segments.append(Segment(-1, 0, num_positions, BESIDE, first))
        first_of_site = [s.first + p * s.width for s in segments[:-1] for p in range(s.end - s.start)]
        rank_A = torch.arange(len(site_A), device=site_A.device) - (count_S.cumsum(0) - count_S)[site_A]
        slot_A = torch.tensor(first_of_site, device=site_A.device)[site_A] + rank_A
        return cls(tuple(segments), num_layers, num_positions, slot_A, grain)

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
    def first_slot(self) -> Tensor:
        """The first slot of every segment."""
        return torch.tensor([segment.first for segment in self.segments], device=self.slot_A.device)

    @cached_property
    def width(self) -> Tensor:
        """The width of every segment."""
        return torch.tensor([segment.width for segment in self.segments], device=self.slot_A.device)


def _stretches(widths: Sequence[int], grain: Grain) -> list[tuple[int, int, int]]:
    """(start, end, width) of stretches of positions that are read together."""
    found: list[tuple[int, int, int]] = []
    start, widest, total = 0, 0, 0
    for first in range(0, len(widths), grain.positions):
        block = widths[first : first + grain.positions]
        wider, more = max(widest, grain.up(max(block), grain.width)), sum(block)
        if first > start and (first + len(block) - start) * wider > _PADDING * (total + more) + _SLACK:
            found.append((start, first, widest))
            start, total, wider = first, 0, grain.up(max(block), grain.width)
        widest, total = wider, total + more
    return [*found, (start, len(widths), widest)]
