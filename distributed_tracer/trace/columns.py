"""Columns: everything a row can read from, and the slot in which each is kept while rows are computed.

The features of one layer at one position share a gradient, so they are read by one product, and with them the
position's error and what is constant there. Slots are numbered in that order: (layer, position) major, tokens last. A
stretch of positions that are read together is a segment: as many slots at each as the widest needs.

L layer, P position, A active feature, C column (active features, errors layer-major, tokens), S slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

BESIDE = 2
"""Slots of a position beside its features: its error, and the constant, which is no column. They come last."""
_PADDING, _SLACK = 1.3, 128
"""A segment ends where its slots would exceed those in use so many times, plus as many as cost no more than a call."""


@dataclass(frozen=True)
class Grain:
    """Sizes are rounded up to multiples of these, where every new size of a product costs more than some padding."""

    rows: int = 1
    positions: int = 1
    width: int = 1
    apart: bool = True
    """Each position is read by itself: no slots but those in use, rounded up."""

    @staticmethod
    def up(size: int, grain: int) -> int:
        return -(-size // grain) * grain

    @classmethod
    def of(cls, dtype: torch.dtype, device: torch.device) -> Grain:
        """Widths go by what a vector register holds: 64 columns are read half as fast again as 56 (float32, AVX-512).

        A call is soon worth it on a CPU, but for bfloat16 it takes longer, and a kernel is compiled for each new size.
        """
        if device.type != "cpu":
            return cls(width=8, apart=False)
        if dtype in (torch.bfloat16, torch.float16):
            return cls(8, 8, 16, apart=False)
        return cls(width=16)


FINE = Grain()


@dataclass(frozen=True)
class Segment:
    """Positions [start, end) of one layer, `width` slots each."""

    start: int
    end: int
    width: int

    @property
    def num_slots(self) -> int:
        return (self.end - self.start) * self.width


class LayerColumns:
    """One layer's slots, `first` to `end`, position by position; or the tokens'."""

    def __init__(self, first: int, segments: Sequence[Segment]) -> None:
        self.first, self.segments = first, segments
        widths = [segment.width for segment in segments for _ in range(segment.start, segment.end)]
        self.start_P = list(accumulate([0] * segments[0].start + widths, initial=0))
        """Where each position begins, counted from `first`; and, one more, where the last ends."""

    @property
    def num_slots(self) -> int:
        return self.start_P[-1]

    @property
    def slots(self) -> slice:
        return slice(self.first, self.first + self.num_slots)

    @cached_property
    def position_S(self) -> Tensor:
        """The position of every slot."""
        return torch.arange(len(self.start_P) - 1).repeat_interleave(torch.tensor(self.start_P).diff())

    def sum_positions(self, x_SD: Tensor) -> Tensor:
        """What is in the slots of each position, added up: [P, D]."""
        slots, start_P = torch.arange(len(x_SD)), torch.tensor(self.start_P[:-1])
        return embedding_bag(slots.to(x_SD.device), x_SD, start_P.to(x_SD.device), mode="sum")

    def cut(self, start: int, end: int) -> Iterator[Segment]:
        """Segments that begin at `start` or later, as far as they are before `end`."""
        for segment in self.segments:
            if start <= segment.start < end:
                yield segment if segment.end <= end else Segment(segment.start, end, segment.width)


@dataclass(frozen=True, eq=False)
class Columns:
    """The layout of one prompt's columns."""

    layers: tuple[LayerColumns, ...]
    """Every layer's, then the tokens'."""
    slot_A: Tensor
    grain: Grain = FINE
    lead: int = 0
    """Nothing but tokens is read from so many of the first positions."""

    @classmethod
    def of(
        cls,
        layer_A: Tensor,
        position_A: Tensor,
        num_layers: int,
        num_positions: int,
        grain: Grain = FINE,
        lead: int = 0,
    ) -> Columns:
        """Lay out active features, which are sorted by (layer, position) and behind the lead."""
        site_A = layer_A * num_positions + position_A
        count_X = torch.bincount(site_A, minlength=num_layers * num_positions)
        layers: list[LayerColumns] = []
        first = 0
        for counts_P in count_X.view(num_layers, num_positions).tolist():
            layers.append(LayerColumns(first, _segments([count + BESIDE for count in counts_P[lead:]], grain, lead)))
            first += layers[-1].num_slots
        first_X = torch.tensor([of.first + start for of in layers for start in of.start_P[:-1]], device=site_A.device)
        rank_A = torch.arange(len(site_A), device=site_A.device) - (count_X.cumsum(0) - count_X)[site_A]
        tokens = LayerColumns(first, [Segment(0, lead, BESIDE), Segment(lead, num_positions, BESIDE)])
        return cls((*layers, tokens), first_X[site_A] + rank_A, grain, lead)

    @property
    def num_layers(self) -> int:
        return len(self.layers) - 1

    @property
    def num_positions(self) -> int:
        return len(self.layers[-1].start_P) - 1

    @property
    def num_slots(self) -> int:
        return self.layers[-1].first + self.layers[-1].num_slots

    @property
    def num_columns(self) -> int:
        return len(self.slot_A) + len(self.layers) * self.num_positions

    @cached_property
    def slot_C(self) -> Tensor:
        """The slot of every column: active features, errors, tokens. Errors in the lead share one, always zero."""
        zero = self.num_slots - 1  # the last token's constant, which is taken out of every row
        slots: list[int] = []
        for of in self.layers:
            slots += [of.first + end - BESIDE if end > start else zero for start, end in pairwise(of.start_P)]
        return torch.cat([self.slot_A, torch.tensor(slots, device=self.slot_A.device)])

    @cached_property
    def constant_LP(self) -> Tensor:
        """The slot of what is constant at each position, counted from the layer's first; the tokens' layer is last."""
        return torch.tensor([of.start_P[1:] for of in self.layers], device=self.slot_A.device) - 1

    @cached_property
    def first_L(self) -> Tensor:
        """The first slot of every layer, and of the tokens."""
        return torch.tensor([of.first for of in self.layers], device=self.slot_A.device)


def _segments(widths: Sequence[int], grain: Grain, lead: int) -> list[Segment]:
    if grain.apart:
        return [Segment(p, p + 1, grain.up(width, grain.width)) for p, width in enumerate(widths, lead)]
    found: list[Segment] = []
    start, widest, total = 0, 0, 0
    for first in range(0, len(widths), grain.positions):
        block = widths[first : first + grain.positions]
        wider, more = max(widest, grain.up(max(block), grain.width)), sum(block)
        if first > start and (first + len(block) - start) * wider > _PADDING * (total + more) + _SLACK:
            found.append(Segment(lead + start, lead + first, widest))
            start, total, wider = first, 0, grain.up(max(block), grain.width)
        widest, total = wider, total + more
    return [*found, Segment(lead + start, lead + len(widths), widest)]
