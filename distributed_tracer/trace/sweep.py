"""One backward sweep: rows of a batch of nodes, by walking the layers top to bottom once for all of them.

A row joins at its own depth, so no row is carried through layers that it cannot reach: rows are sorted deepest first,
and the first few of them are alive at a layer. A gradient is laid out [B, P, D], which makes what is alive one matrix
for the products with attention's weights, and what all rows have at one position one for the reads. Positions after
the last one that any row of the batch reads at are left out.

L layer, P position, B row of the batch, D model width, G key/value head, Q query head of it, E head width, W slot.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import neg

import torch
from torch import Tensor

from ..model.frozen import FrozenLayer
from .edges import Reach, ReachedEdges
from .scratch import Scratch
from .written import Written

_STRIPE = 256
"""A pattern is half empty: in stripes of so many positions fewer products are made. Smaller ones are slower."""


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Nodes to explain, deepest first. The vector is the node's gradient in the residual stream where it joins."""

    layers: Sequence[int]
    """The layer a feature reads at; the number of layers for targets at the final norm."""
    num_positions: int
    """One more than the last position of any row."""
    position_B: Tensor
    vector_BD: Tensor

    def joined_from(self, num_layers: int) -> list[int]:
        """How many rows join at layer 0 or above, at layer 1 or above, and so on, up to the targets."""
        return [bisect_right(self.layers, -layer, key=neg) for layer in range(num_layers + 1)]


class Sweep:
    """Everything fixed for one prompt; `rows` may be called for any number of batches."""

    def __init__(self, layers: Sequence[FrozenLayer], written: Written) -> None:
        self.layers, self.columns, self.written = layers, written.columns, written
        self._adds = len(written.transcoders.shape.writes_to(0)) > 1
        """Several layers write to a slot."""
        self._scratch = Scratch()

    @torch.no_grad()
    def rows(self, batch: RowBatch) -> tuple[ReachedEdges, Tensor]:
        """Edges into the batch's nodes from every column it reaches, and what constants add to each row [B].

        Edges are float32 (float64 in a float64 sweep).
        """
        num_rows, width = batch.vector_BD.shape
        num_layers, grain = len(self.layers), self.columns.grain
        num_positions = min(grain.up(batch.num_positions, grain.positions), self.columns.num_positions)
        joined_from = batch.joined_from(num_layers)
        reach = Reach(self.columns, joined_from[1:], num_rows, num_positions)
        dtype = torch.promote_types(batch.vector_BD.dtype, torch.float32)
        values = batch.vector_BD.new_empty(reach.size, dtype=dtype)
        if self._adds:
            values.zero_()
        constant_B = values.new_zeros(num_rows)
        shape = (grain.up(num_rows, grain.rows) + grain.rows - 1, num_positions, width)
        g_BPD = self._scratch.take("g", shape, batch.vector_BD.dtype, self.layers[-1].device)
        alive = self._join(g_BPD, batch, 0, joined_from[num_layers])
        mixed = 0
        for number in reversed(range(num_layers)):
            layer = self.layers[number]
            g_BPD = g_BPD.to(layer.device, non_blocking=True)
            position_B = batch.position_B.to(layer.device, non_blocking=True)
            if alive:
                for source, vectors_SD in self.written.of(number):
                    self._read(g_BPD, alive, source, vectors_SD, reach.layer(values, source), constant_B)
                skipped = _skip(layer, g_BPD[:alive])
                if layer.parallel:
                    self._attend(layer, g_BPD, mixed, alive, position_B, constant_B)
                    mixed = alive
                if skipped is not None:
                    g_BPD[:alive] += skipped
            alive = self._join(g_BPD, batch, alive, joined_from[number])
            if alive and not layer.parallel:
                self._attend(layer, g_BPD, mixed, alive, position_B, constant_B)
                mixed = alive
        self._read(g_BPD, num_rows, -1, self.written.tokens(), reach.layer(values, -1), constant_B)
        return ReachedEdges(reach, values), constant_B

    def _join(self, g_BPD: Tensor, batch: RowBatch, first: int, end: int) -> int:
        """Rows enter with their own gradient at their own position."""
        if end > first:
            g_BPD[first:end] = 0
            rows = torch.arange(first, end, device=g_BPD.device)
            positions = batch.position_B[first:end].to(g_BPD.device, non_blocking=True)
            g_BPD[rows, positions] = batch.vector_BD[first:end].to(g_BPD.device, non_blocking=True)
        return end

    def _read(
        self, g_BPD: Tensor, alive: int, source: int, vectors_SD: Tensor, edges_BS: Tensor, constant_B: Tensor
    ) -> None:
        """Products of the gradient with all that one layer's columns write; the constants' go to `constant_B`."""
        edges_BS, num_positions = edges_BS[:alive], g_BPD.shape[1]
        read_BS = self._scratch.take("sum", edges_BS.shape, edges_BS.dtype, edges_BS.device) if self._adds else edges_BS
        in_place = (g_BPD.dtype, g_BPD.device) == (read_BS.dtype, read_BS.device)
        segments = list(self.columns.layers[source].cut(num_positions))
        slots = [segment.num_slots for segment in segments]
        parts = zip(
            segments, vectors_SD[: sum(slots)].split_with_sizes(slots), read_BS.split_with_sizes(slots, 1), strict=True
        )
        g_PBD = g_BPD[: self._up(alive)].transpose(0, 1)
        for segment, vectors_XD, read_BX in parts:
            if in_place and segment.end - segment.start == 1:
                torch.mm(g_PBD[segment.start], vectors_XD.T, out=read_BX)
            else:
                vectors_PDW = vectors_XD.view(-1, segment.width, vectors_XD.shape[1]).mT
                read_PBW = self._scratch.bmm("read", g_PBD[segment.start : segment.end], vectors_PDW)
                read_BX.view(alive, -1, segment.width).copy_(read_PBW[:, :alive].transpose(0, 1), non_blocking=True)
        constant_P = self.columns.constant_LP[source, :num_positions]
        constant_B[:alive] += read_BS[:, constant_P].sum(1)
        read_BS[:, constant_P] = 0
        if self._adds:
            edges_BS += read_BS

    def _attend(
        self, layer: FrozenLayer, g_BPD: Tensor, mixed: int, alive: int, position_B: Tensor, constant_B: Tensor
    ) -> None:
        """Add in place what one layer's attention passes on. Rows from `mixed` on are at their own position only."""
        if layer.constant_PD is not None:
            written = g_BPD[:alive].flatten(1) @ layer.constant_PD[: g_BPD.shape[1]].flatten()
            constant_B[:alive] += written.to(constant_B.device, constant_B.dtype, non_blocking=True)
        fresh = torch.arange(mixed, mixed + self._up(alive - mixed), device=g_BPD.device).clamp_max_(alive - 1)
        position_B = position_B[fresh]
        own_BD = g_BPD[fresh, position_B]  # before they are overwritten: rounded up, the rows below reach into these
        if mixed:
            self._mix(layer, g_BPD[: self._up(mixed)])
        if len(fresh):
            _mix_first(layer, own_BD, position_B, g_BPD[mixed : mixed + len(fresh)])

    def _mix(self, layer: FrozenLayer, g_BPD: Tensor) -> None:
        num_rows, num_positions, width = g_BPD.shape
        groups, head_dim = layer.num_groups, layer.head_dim
        queries = layer.output_GDX.shape[2] // head_dim
        g_XD = g_BPD.view(-1, width)
        y_BKGE = self._scratch.take("y", (num_rows, num_positions, groups, head_dim), g_BPD.dtype, g_BPD.device)
        for group in range(groups):
            z_XY = self._scratch.mm("z", g_XD, layer.output_GDX[group])
            # (position, query head) is one axis of the pattern and of z: a group's heads are added up in the product.
            z_BXE = z_XY.view(num_rows, num_positions * queries, head_dim)
            for first, end in _stripes(num_positions):
                pattern_KX = layer.pattern_GKPQ[group, first:end, first:num_positions].flatten(1)
                pattern_BKX = pattern_KX.expand(num_rows, -1, -1)
                y_BKGE[:, first:end, group] = self._scratch.bmm("mix", pattern_BKX, z_BXE[:, first * queries :])
        g_XD.addmm_(y_BKGE.view(len(g_XD), -1), layer.value_XD)

    def _up(self, rows: int) -> int:
        return self.columns.grain.up(rows, self.columns.grain.rows)


def _mix_first(layer: FrozenLayer, own_BD: Tensor, position_B: Tensor, g_BPD: Tensor) -> None:
    """The same for rows that have a gradient at one position: every head makes one vector, spread by its pattern."""
    num_rows, num_positions, width = g_BPD.shape
    groups, head_dim = layer.num_groups, layer.head_dim
    z_GXE = (own_BD @ layer.output_GDX).view(groups, -1, head_dim)
    passed_GXD = z_GXE @ layer.value_XD.view(groups, head_dim, width)
    passed_BXD = passed_GXD.view(groups, num_rows, -1, width).transpose(0, 1).reshape(num_rows, -1, width)
    spread_GKBQ = layer.pattern_GKPQ[:, :num_positions].index_select(2, position_B)
    spread_BKX = spread_GKBQ.permute(2, 1, 0, 3).reshape(num_rows, num_positions, -1)
    torch.bmm(spread_BKX, passed_BXD, out=g_BPD)
    g_BPD[torch.arange(num_rows, device=g_BPD.device), position_B] += own_BD


def _skip(layer: FrozenLayer, g_BPD: Tensor) -> Tensor | None:
    """What the transcoder's linear skip passes on."""
    if layer.skip_DD is None:
        return None
    skipped_BPD = g_BPD @ layer.skip_DD
    if layer.skip_scale_P is not None:
        skipped_BPD *= layer.skip_scale_P[: g_BPD.shape[1], None]
    return skipped_BPD


def _stripes(num_positions: int) -> list[tuple[int, int]]:
    return [(first, min(first + _STRIPE, num_positions)) for first in range(0, num_positions, _STRIPE)]
