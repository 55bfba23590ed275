"""The backward pass of a sweep through the attention of one layer, added to the gradient in place.

Axes: P position (after the prefix), J position attended to (prefix included), T token of the prefix (then the
constant), B row of a batch, D model width, G key/value head, Q query head of one key/value head, U head width,
L layer, X several axes in one, Y several axes in one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..model.frozen import FrozenLayer
from ..threads import add_product_, einsum, multiply
from .column_layout import Tiling
from .device import Scratch, parts
from .prefix import Prefix

_STRIPE = 128
"""Positions in one stripe of an attention pattern. Half of a pattern is empty, and stripes leave out most of that half.
Smaller stripes are slower."""
_SPREAD_FROM = 2**12
"""Rows times positions from which on it pays on a GPU to treat rows apart that have a gradient at their own position
only. This takes some 20 kernels more, each 13 us of host time. In that time a GPU at 400 TFLOP/s passes the gradients
of 7,000 (Gemma-2-2B) or 2,400 positions (Llama-3.1-8B) through a layer's attention."""


class AttentionBackward:
    """The attention of every layer, as the sweeps of one prompt pass gradients back through it."""

    def __init__(self, layers: Sequence[FrozenLayer], prefix: Prefix, tiling: Tiling, scratch: Scratch) -> None:
        """`layers` are restricted to the positions after the prefix."""
        self._layers, self._prefix, self._tiling, self._scratch = layers, prefix, tiling, scratch

    def add(
        self, number: int, g_BPD: Tensor, mixed: int, alive: int, position_B: Tensor, from_prefix_BT: Tensor
    ) -> None:
        """Add to `g_BPD`, in place, the gradient that passes through one layer's attention.

        Rows from `mixed` on have a gradient only at their own position. What attention reads in the prefix is added to
        `from_prefix_BT`.
        """
        layer = self._layers[number]
        if layer.constant_PD is not None:
            output_B = multiply(g_BPD[:alive].flatten(1), layer.constant_PD[: g_BPD.shape[1]].flatten())
            from_prefix_BT[:alive, -1] += output_B.to(from_prefix_BT.device, from_prefix_BT.dtype, non_blocking=True)
        if self._tiling.few_calls and (alive - mixed) * g_BPD.shape[1] < _SPREAD_FROM:
            mixed = alive
        end = mixed + self._tiling.round_up_rows(alive - mixed)
        found = []
        if end > mixed:
            fresh = torch.arange(mixed, end, device=g_BPD.device).clamp_max_(alive - 1)
            position_B = position_B.to(g_BPD.device, non_blocking=True)[fresh]
            own_BD = g_BPD[fresh, position_B]  # copied first: rounded up, the rows of `_pass` reach into these
        if mixed:
            found.append(self._pass(layer, g_BPD[: self._tiling.round_up_rows(mixed)])[:mixed])
        if end > mixed:
            found.append(self._spread(layer, own_BD, position_B, g_BPD[mixed:end]))
        if self._prefix.size:
            values_XT, sum_BT = self._prefix.values_LXT[number], from_prefix_BT[:alive]
            in_prefix_BX = (torch.cat(found)[:alive] if len(found) > 1 else found[0][:alive]).to(values_XT.dtype)
            if self._tiling.few_calls and sum_BT.device == values_XT.device:
                add_product_(sum_BT, in_prefix_BX, values_XT)
            else:
                sum_BT += multiply(in_prefix_BX, values_XT).to(sum_BT.device)

    def _pass(self, layer: FrozenLayer, g_BPD: Tensor) -> Tensor:
        """Add one layer's attention to the gradient, in place, for rows with gradients at any positions.

        Returns the gradient of what is attended to in the prefix: [B, X] with X = (position of the prefix, key/value
        head, head width).
        """
        num_rows, num_positions, width = g_BPD.shape
        groups, head_dim, prefix_length = layer.num_groups, layer.head_dim, self._prefix.size
        g_XD, like = g_BPD.view(-1, width), (g_BPD.dtype, g_BPD.device)
        y_BPGU = self._scratch.take("y", (num_rows, num_positions, groups, head_dim), *like)
        in_prefix_BJGU = self._scratch.take("prefix", (num_rows, prefix_length, groups, head_dim), *like)
        mix = self._mix_together if self._tiling.few_calls else self._mix_one_by_one
        mix(layer, g_XD, y_BPGU, in_prefix_BJGU)
        y_XY = y_BPGU.view(len(g_XD), -1)
        for part in parts(g_XD):
            add_product_(g_XD[part], y_XY[part], layer.value_XD)
        return in_prefix_BJGU.view(num_rows, -1)

    def _mix_together(self, layer: FrozenLayer, g_XD: Tensor, y_BPGU: Tensor, in_prefix_BJGU: Tensor) -> None:
        """Fill in the gradients of the values attended to, after the prefix and in it, with few calls: one product
        for all key/value heads, and one for each stripe of their patterns."""
        num_rows, num_positions, groups, head_dim = y_BPGU.shape
        z_GXY = self._scratch.bmm("z", g_XD.expand(groups, -1, -1), layer.output_GDX)
        num_x = num_positions * z_GXY.shape[2] // head_dim
        side_GXBU = self._scratch.take("side", (groups, num_x, num_rows, head_dim), g_XD.dtype, g_XD.device)
        side_GXBU.copy_(z_GXY.view(groups, num_rows, num_x, head_dim).transpose(1, 2))
        for first, end in self._stripes(num_positions):
            pattern_GJX = layer.pattern_GJPQ[:, self._attended(first, end), first:num_positions].flatten(2)
            mixed_GJX = self._scratch.bmm("mix", pattern_GJX, side_GXBU[:, num_x * first // num_positions :].flatten(2))
            mixed_BJGU = mixed_GJX.view(groups, -1, num_rows, head_dim).permute(2, 1, 0, 3)
            y_BPGU[:, first:end].copy_(mixed_BJGU[:, first - end :])
            if not first:
                in_prefix_BJGU.copy_(mixed_BJGU[:, : self._prefix.size])

    def _mix_one_by_one(self, layer: FrozenLayer, g_XD: Tensor, y_BPGU: Tensor, in_prefix_BJGU: Tensor) -> None:
        """Do what `_mix_together` does with little memory: one key/value head after another."""
        num_rows, num_positions, groups, head_dim = y_BPGU.shape
        queries = layer.output_GDX.shape[2] // head_dim
        for group in range(groups):
            z_XY = self._scratch.mm("z", g_XD, layer.output_GDX[group])
            # (position, query head) is one axis of the pattern and of z, so the product adds up the heads of a group.
            z_BXU = z_XY.view(num_rows, num_positions * queries, head_dim)
            for first, end, mixed_BJU in self._pattern_stripes(layer.pattern_GJPQ[group], z_BXU, queries):
                y_BPGU[:, first:end, group] = mixed_BJU[:, first - end :]
                if not first:
                    in_prefix_BJGU[:, :, group] = mixed_BJU[:, : self._prefix.size]

    @staticmethod
    def _stripes(num_positions: int) -> Iterator[tuple[int, int]]:
        for first in range(0, num_positions, _STRIPE):
            yield first, min(first + _STRIPE, num_positions)

    def _attended(self, first: int, end: int) -> slice:
        """Return the positions attended to that a stripe of the pattern has: the first one begins with the prefix."""
        return slice(self._prefix.size + first if first else 0, self._prefix.size + end)

    def _pattern_stripes(self, pattern_JPQ: Tensor, z_BXU: Tensor, queries: int) -> Iterator[tuple[int, int, Tensor]]:
        """Yield the product of the pattern and z stripe by stripe: first position, end, and the product [B, J, U].

        The first stripe begins with the positions of the prefix.
        """
        (num_rows, num_x, head_dim), num_positions = z_BXU.shape, z_BXU.shape[1] // queries
        side_by_side = num_positions > _STRIPE
        if side_by_side:  # one product for all rows: a batched product is slow once its matrices are this large
            z_XBU = self._scratch.take("side", (num_x, num_rows, head_dim), z_BXU.dtype, z_BXU.device)
            z_XBU.copy_(z_BXU.transpose(0, 1))
        for first, end in self._stripes(num_positions):
            pattern_JX = pattern_JPQ[self._attended(first, end), first:num_positions].flatten(1)
            if side_by_side:
                mixed_JX = self._scratch.mm("mix", pattern_JX, z_XBU[first * queries :].flatten(1))
                yield first, end, mixed_JX.view(-1, num_rows, head_dim).transpose(0, 1)
            else:
                pattern_BJX = pattern_JX.expand(num_rows, -1, -1)
                yield first, end, self._scratch.bmm("mix", pattern_BJX, z_BXU[:, first * queries :])

    def _spread(self, layer: FrozenLayer, own_BD: Tensor, position_B: Tensor, g_BPD: Tensor) -> Tensor:
        """Add one layer's attention, in place, for rows that have a gradient at one position only.

        Every head makes one vector of it, which its pattern spreads over the positions. `own_BD` is the gradient.
        Returns the gradient of what is attended to in the prefix, as `_pass` does.
        """
        num_rows, num_positions, width = g_BPD.shape
        groups, head_dim, prefix_length = layer.num_groups, layer.head_dim, self._prefix.size
        z_GXU = multiply(own_BD, layer.output_GDX).view(groups, -1, head_dim)
        passed_GXD = multiply(z_GXU, layer.value_XD.view(groups, head_dim, width))
        passed_BXD = passed_GXD.view(groups, num_rows, -1, width).transpose(0, 1).reshape(num_rows, -1, width)
        spread_GJBQ = layer.pattern_GJPQ[:, : prefix_length + num_positions].index_select(2, position_B)
        spread_BJX = spread_GJBQ[:, prefix_length:].permute(2, 1, 0, 3).reshape(num_rows, num_positions, -1)
        multiply(spread_BJX, passed_BXD, g_BPD)
        g_BPD[torch.arange(num_rows, device=g_BPD.device), position_B] += own_BD
        z_GBQU = z_GXU.view(groups, num_rows, -1, head_dim)
        return einsum("gjbq,gbqu->bjgu", spread_GJBQ[:, :prefix_length], z_GBQU).flatten(1)
