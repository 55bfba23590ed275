"""Columns: everything a row can read from, and the slot in which each is kept while rows are computed.

The features of one layer at one position share a gradient, so they are read by one product, and with them the
position's error and what is constant there. Positions that are read together are a segment: as many slots at each as
the widest needs. Slots are numbered segment by segment, the layers' first, then the tokens'.

L layer, P position, A active feature, C column (active features, errors layer-major, tokens), S slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from .device import to_device_async

EXTRA_SLOTS = 2
"""Slots of a position beside its features: its error, and the constant, which is no column. They come last."""
_PADDING, _SLACK = 1.3, 128
"""A segment ends where its slots would exceed those in use so many times, plus as many as cost no more than a call."""


@dataclass(frozen=True)
class Tiling:
    """How columns are laid out, and what sizes of products are multiples of, for one kind of processor."""

    rows: int = 1
    positions: int = 1
    width: int = 1
    """Sizes are rounded up where every new size of a product costs more than some padding."""
    block: int = 1
    """Segments are within blocks of so many positions. A batch holds whole blocks."""
    by_width: bool = False
    """Positions of a block are put together by their width, not by their order; they are gathered to be read."""

    @staticmethod
    def round_up(size: int, grain: int) -> int:
        return -(-size // grain) * grain

    @classmethod
    def of(cls, dtype: torch.dtype, device: torch.device) -> Tiling:
        """Widths go by what a vector register holds: 64 columns are read half as fast again as 56 (float32, AVX-512).

        On a CPU a call is soon worth it in float32, and positions are read one by one. For bfloat16 it takes longer, a
        kernel is compiled for each new size, and positions that do not lie side by side are gathered in any case.
        """
        if device.type != "cpu":
            return cls(width=8, block=64)
        if dtype in (torch.bfloat16, torch.float16):
            return cls(8, 8, 16, block=64, by_width=True)
        return cls(width=16)


FINE = Tiling()


@dataclass(frozen=True)
class Segment:
    """Positions, ascending, with `width` slots each. `block` is where their block begins."""

    positions: Sequence[int]
    width: int
    block: int

    @property
    def num_slots(self) -> int:
        return len(self.positions) * self.width


class LayerColumns:
    """One layer's slots, from `first` on, segment by segment; or the tokens'."""

    def __init__(self, first: int, segments: Sequence[Segment], num_positions: int) -> None:
        self.first, self.segments = first, segments
        self.start_P = [0] * num_positions
        """Where each position's slots begin, counted from `first`."""
        self.width_P = [0] * num_positions
        self.num_slots = 0
        ends = [0] * (num_positions + 1)
        for segment in segments:
            for position in segment.positions:
                self.start_P[position], self.width_P[position] = self.num_slots, segment.width
                self.num_slots += segment.width
            ends[segment.block + 1] = self.num_slots
        self.reached_P = list(accumulate(ends, max))
        """How many slots the blocks have that begin before each position; and, one more, all of them."""

    @property
    def slots(self) -> slice:
        return slice(self.first, self.first + self.num_slots)

    @cached_property
    def order(self) -> Tensor:
        """Positions in the order of their slots, without those that have none."""
        return torch.tensor([position for segment in self.segments for position in segment.positions])

    @property
    def position_S(self) -> Tensor:
        """The position of every slot."""
        return self.order.repeat_interleave(torch.tensor(self.width_P)[self.order])

    def sum_positions(self, x_SD: Tensor) -> Tensor:
        """What is in the slots of each position, added up: [P, D]."""
        slots = torch.arange(len(x_SD), device=x_SD.device)
        starts = torch.tensor(self.start_P)[self.order].to(x_SD.device)
        sums_PD = x_SD.new_zeros(len(self.start_P), x_SD.shape[1])
        sums_PD[self.order.to(x_SD.device)] = embedding_bag(slots, x_SD, starts, mode="sum")
        return sums_PD

    def reached(self, start: int, end: int) -> list[Segment]:
        """Segments of the blocks that begin at `start` or later and before `end`."""
        return [segment for segment in self.segments if start <= segment.block < end]


@dataclass(frozen=True, eq=False)
class ColumnLayout:
    """The layout of one prompt's columns."""

    layers: tuple[LayerColumns, ...]
    """Every layer's, then the tokens'."""
    slot_A: Tensor
    grain: Tiling = FINE
    lead: int = 0
    """Nothing but tokens is read from so many of the first positions."""

    @classmethod
    def of(
        cls,
        layer_A: Tensor,
        position_A: Tensor,
        num_layers: int,
        num_positions: int,
        grain: Tiling = FINE,
        lead: int = 0,
    ) -> ColumnLayout:
        """Lay out active features, which are sorted by (layer, position) and behind the lead."""
        site_A = layer_A * num_positions + position_A
        count_X = torch.bincount(site_A, minlength=num_layers * num_positions)
        layers: list[LayerColumns] = []
        first = 0
        for counts_P in count_X.view(num_layers, num_positions).tolist():
            widths = {p: count + EXTRA_SLOTS for p, count in enumerate(counts_P) if p >= lead}
            layers.append(LayerColumns(first, _segments(widths, grain), num_positions))
            first += layers[-1].num_slots
        first_X = torch.tensor([of.first + start for of in layers for start in of.start_P], device=site_A.device)
        rank_A = torch.arange(len(site_A), device=site_A.device) - (count_X.cumsum(0) - count_X)[site_A]
        halves = (range(lead), range(lead, num_positions))
        tokens = LayerColumns(first, [Segment(half, EXTRA_SLOTS, half.start) for half in halves if half], num_positions)
        return cls((*layers, tokens), first_X[site_A] + rank_A, grain, lead)

    @property
    def num_layers(self) -> int:
        return len(self.layers) - 1

    @property
    def num_positions(self) -> int:
        return len(self.layers[-1].start_P)

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
            places = zip(of.start_P, of.width_P, strict=True)
            slots += [of.first + start + width - EXTRA_SLOTS if width else zero for start, width in places]
        return torch.cat([self.slot_A, to_device_async(slots, self.slot_A.device)])

    @cached_property
    def constant_LP(self) -> Tensor:
        """The slot of what is constant at each position, counted from the layer's first; the tokens' layer is last."""
        start_LP = torch.tensor([of.start_P for of in self.layers], device=self.slot_A.device)
        return start_LP + torch.tensor([of.width_P for of in self.layers], device=self.slot_A.device) - 1

    @cached_property
    def first_L(self) -> Tensor:
        """The first slot of every layer, and of the tokens."""
        return to_device_async([of.first for of in self.layers], self.slot_A.device)


def _segments(width_of: dict[int, int], grain: Tiling) -> list[Segment]:
    """`width_of` has the slots in use at each position."""
    found: list[Segment] = []
    positions = list(width_of)
    for first in range(0, len(positions), grain.block):
        block = positions[first : first + grain.block]
        group: list[int] = []
        widest = total = 0
        for position in sorted(block, key=lambda p: -width_of[p]) if grain.by_width else block:
            here = grain.round_up(width_of[position], grain.width)
            wider, more = max(widest, here), total + width_of[position]
            if group and (len(group) + 1) * wider > _PADDING * more + _SLACK:
                found.append(Segment(sorted(group), widest, block[0]))
                group, wider, more = [], here, width_of[position]
            group, widest, total = [*group, position], wider, more
        found.append(Segment(sorted(group), widest, block[0]))
    return found
