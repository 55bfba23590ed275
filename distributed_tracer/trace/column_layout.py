"""ColumnLayout: everything that a row can read from, and the slot that holds each column while rows are computed.

The features of one layer at one position share a gradient, so one product reads them all, together with the position's
error and its constant. Positions that are read together form a segment, in which every position has as many slots as
the widest one needs. Slots are numbered segment by segment: first those of the layers, then those of the tokens.

Axes: L layer, P position, A active feature, C column (active features, errors layer-major, tokens), Z slot,
D model width, X (layer, position) in one axis or only some of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from ..plan.sizing import EXTRA_SLOTS, SEGMENT_PADDING, SEGMENT_SLACK
from .device import to_device_async


@dataclass(frozen=True)
class Tiling:
    """How columns are laid out for one kind of processor, and the multiples to which the sizes of products are rounded.

    Rows, positions and the width of a segment are rounded up where each new size of a product costs more than padding.
    """

    rows: int = 1
    positions: int = 1
    width: int = 1
    """The multiple to which the number of slots of a position is rounded up."""
    block: int = 1
    """Number of positions in a block. A segment lies within one block, and a batch holds whole blocks."""
    by_width: bool = False
    """Whether segments join positions of similar width instead of neighbours. Their gradients are then gathered before
    they are read."""
    few_calls: bool = False
    """Whether calls cost more than memory and some needless arithmetic, as on a GPU, where the host is the limit. A
    row's edges are then stored over all slots, those that it cannot reach included, and all key/value heads are
    multiplied together."""

    @staticmethod
    def round_up(size: int, multiple: int) -> int:
        """Return the smallest multiple of `multiple` that is at least `size`."""
        return -(-size // multiple) * multiple

    def round_up_rows(self, rows: int) -> int:
        """Return the number of rows that are computed for `rows` rows."""
        return self.round_up(rows, self.rows)

    @classmethod
    def of(cls, dtype: torch.dtype, device: torch.device) -> Tiling:
        """Return the tiling for a dtype and a device.

        Widths are multiples of what a vector register holds: 64 columns are read 1.5 times as fast as 56 (float32,
        AVX-512). In float32 on a CPU a call is cheap compared with its product, so positions are read one by one. In
        bfloat16 a call costs more, a kernel is compiled for each new size, and positions that are not neighbours must
        be gathered in any case.
        """
        if device.type != "cpu":
            return cls(width=8, block=64, few_calls=True)
        if dtype in (torch.bfloat16, torch.float16):
            return cls(8, 8, 16, block=64, by_width=True)
        return cls(width=16)


FINE = Tiling()


@dataclass(frozen=True)
class Segment:
    """Positions that are read together, ascending, with `width` slots each. `block` is the first position of their
    block."""

    positions: Sequence[int]
    width: int
    block: int

    @property
    def num_slots(self) -> int:
        """The number of slots of all positions in the segment."""
        return len(self.positions) * self.width


class LayerColumns:
    """The slots of one layer, or those of the tokens, from `first` on, segment by segment."""

    def __init__(self, first: int, segments: Sequence[Segment], num_positions: int) -> None:
        self.first, self.segments = first, segments
        self.start_P = [0] * num_positions
        """The first slot of each position, counted from `first`."""
        self.width_P = [0] * num_positions
        self.num_slots = 0
        ends = [0] * (num_positions + 1)
        for segment in segments:
            for position in segment.positions:
                self.start_P[position], self.width_P[position] = self.num_slots, segment.width
                self.num_slots += segment.width
            ends[segment.block + 1] = self.num_slots
        self.reached_P = list(accumulate(ends, max))
        """For each position, the number of slots in the blocks that begin before it. One more entry at the end is the
        number of all slots."""

    @property
    def slots(self) -> slice:
        """The range of the layer's slots among those of all layers."""
        return slice(self.first, self.first + self.num_slots)

    @cached_property
    def order(self) -> list[int]:
        """The positions in the order of their slots, without those that have none."""
        return [position for segment in self.segments for position in segment.positions]

    @property
    def position_Z(self) -> Tensor:
        """The position of every slot."""
        order = torch.tensor(self.order)
        return order.repeat_interleave(torch.tensor(self.width_P)[order])

    def sum_positions(self, x_ZD: Tensor) -> Tensor:
        """Return the sum of the vectors in the slots of each position: [P, D]."""
        slots = torch.arange(len(x_ZD), device=x_ZD.device)
        order_X, start_X = to_device_async([self.order, [self.start_P[p] for p in self.order]], x_ZD.device)
        sums_PD = x_ZD.new_zeros(len(self.start_P), x_ZD.shape[1])
        sums_PD[order_X] = embedding_bag(slots, x_ZD, start_X, mode="sum")
        return sums_PD

    def reached(self, start: int, end: int) -> list[Segment]:
        """Return the segments of the blocks that begin at `start` or later and before `end`."""
        return [segment for segment in self.segments if start <= segment.block < end]


@dataclass(frozen=True, eq=False)
class ColumnLayout:
    """The layout of one prompt's columns."""

    layers: tuple[LayerColumns, ...]
    """The slots of every layer, followed by those of the tokens."""
    slot_A: Tensor
    tiling: Tiling = FINE
    prefix_length: int = 0
    """Number of positions in the prefix, from which only tokens are read."""

    @classmethod
    def of(
        cls,
        layer_A: Tensor,
        position_A: Tensor,
        num_layers: int,
        num_positions: int,
        tiling: Tiling = FINE,
        prefix_length: int = 0,
    ) -> ColumnLayout:
        """Lay out active features, which must be sorted by (layer, position) and lie after the prefix."""
        site_A = layer_A * num_positions + position_A
        count_X = torch.bincount(site_A, minlength=num_layers * num_positions)
        layers: list[LayerColumns] = []
        first = 0
        for counts_P in count_X.view(num_layers, num_positions).tolist():
            widths = {p: count + EXTRA_SLOTS for p, count in enumerate(counts_P) if p >= prefix_length}
            layers.append(LayerColumns(first, _segments(widths, tiling), num_positions))
            first += layers[-1].num_slots
        first_X = torch.tensor([of.first + start for of in layers for start in of.start_P], device=site_A.device)
        rank_A = torch.arange(len(site_A), device=site_A.device) - (count_X.cumsum(0) - count_X)[site_A]
        halves = (range(prefix_length), range(prefix_length, num_positions))
        tokens = LayerColumns(first, [Segment(half, EXTRA_SLOTS, half.start) for half in halves if half], num_positions)
        return cls((*layers, tokens), first_X[site_A] + rank_A, tiling, prefix_length)

    @property
    def num_layers(self) -> int:
        """The number of layers, without the tokens."""
        return len(self.layers) - 1

    @property
    def num_positions(self) -> int:
        """The number of positions of the prompt."""
        return len(self.layers[-1].start_P)

    @property
    def num_slots(self) -> int:
        """The number of slots of all layers and of the tokens."""
        return self.layers[-1].first + self.layers[-1].num_slots

    @property
    def num_columns(self) -> int:
        """The number of columns: active features, errors and tokens."""
        return len(self.slot_A) + len(self.layers) * self.num_positions

    @cached_property
    def slot_C(self) -> Tensor:
        """The slot of every column: active features, errors, tokens. Errors in the prefix share one slot, which is
        always zero."""
        zero = self.num_slots - 1  # the slot of the last token's constant, which every row sets to zero
        slots: list[int] = []
        for of in self.layers:
            places = zip(of.start_P, of.width_P, strict=True)
            slots += [of.first + start + width - EXTRA_SLOTS if width else zero for start, width in places]
        return torch.cat([self.slot_A, to_device_async(slots, self.slot_A.device)])

    @cached_property
    def constant_LP(self) -> Tensor:
        """The slot of the constant at each position, counted from the layer's first slot. The last row is for the
        tokens."""
        start_LP = torch.tensor([of.start_P for of in self.layers], device=self.slot_A.device)
        return start_LP + torch.tensor([of.width_P for of in self.layers], device=self.slot_A.device) - 1

    @cached_property
    def constant_X(self) -> Tensor:
        """The slots of all constants after the prefix, those of tokens included, counted from the first slot of all."""
        return (self.constant_LP + self.first_L[:, None])[:, self.prefix_length :].flatten()

    @cached_property
    def first_L(self) -> Tensor:
        """The first slot of every layer, followed by that of the tokens."""
        return to_device_async([of.first for of in self.layers], self.slot_A.device)


def _segments(width_of: dict[int, int], tiling: Tiling) -> list[Segment]:
    """Return the segments of one layer. `width_of` is the number of slots in use at each position."""
    found: list[Segment] = []
    positions = list(width_of)
    for first in range(0, len(positions), tiling.block):
        block = positions[first : first + tiling.block]
        group: list[int] = []
        widest = total = 0
        for position in sorted(block, key=lambda p: -width_of[p]) if tiling.by_width else block:
            here = tiling.round_up(width_of[position], tiling.width)
            wider, more = max(widest, here), total + width_of[position]
            if group and (len(group) + 1) * wider > SEGMENT_PADDING * more + SEGMENT_SLACK:
                found.append(Segment(sorted(group), widest, block[0]))
                group, wider, more = [], here, width_of[position]
            group, widest, total = [*group, position], wider, more
        found.append(Segment(sorted(group), widest, block[0]))
    return found
