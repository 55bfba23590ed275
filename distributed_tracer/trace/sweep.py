"""One backward sweep: it computes the rows of a batch of nodes by walking once through the layers, from last to first.

A row joins the sweep at its own layer, so that no row is carried through layers that it cannot reach. Rows are sorted
deepest first, so the rows that are alive at a layer are the first few. Gradients are laid out [B, P, D]. In that layout
the rows that are alive form one matrix for the products with attention's weights, and the gradients of all rows at one
position form one matrix for the reads. Two kinds of positions are left out: those after the last one at which any row
of the batch reads, and those of the prefix.

Axes: L layer, P position (after the prefix), J position attended to (prefix included), T token of the prefix (then the
constant), B row of a batch, D model width, G key/value head, Q query head of one key/value head, U head width, Z slot,
X several axes in one, Y several axes in one (in names with PY: a slot of one position in a segment).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import neg

import torch
from torch import Tensor

from ..model.frozen import FrozenLayer
from ..plan.sizing import EXTRA_SLOTS
from ..threads import add_product_, einsum, multiply
from .column_layout import Segment
from .device import Scratch, parts, to_device_async
from .edges import DenseEdges, ReachableColumns
from .prefix import Prefix
from .source_vectors import SourceVectors

_STRIPE = 128
"""Positions in one stripe of an attention pattern. Half of a pattern is empty, and stripes leave out most of that half.
Smaller stripes are slower."""


@dataclass(frozen=True, eq=False)
class RowBatch:
    """The nodes of one batch, deepest first.

    `vector_BD` is each node's gradient with respect to the residual stream at the place where its row joins the sweep.
    """

    layers: Sequence[int]
    """The layer at which each node reads. For targets at the final norm it is the number of layers."""
    num_positions: int
    """The last position of any row, plus one."""
    position_B: Tensor
    vector_BD: Tensor

    def joined_from(self, num_layers: int) -> list[int]:
        """Return how many rows join at layer 0 or above, at layer 1 or above, and so on, up to the targets."""
        return [bisect_right(self.layers, -layer, key=neg) for layer in range(num_layers + 1)]


class Sweep:
    """The sweep of one prompt, with all that the prompt fixes. `rows` may be called for any number of batches."""

    def __init__(self, layers: Sequence[FrozenLayer], prefix: Prefix, source_vectors: SourceVectors) -> None:
        """`layers` are the frozen layers restricted to the positions after the prefix (`FrozenLayer.after_prefix`)."""
        self.layers, self.prefix, self.columns, self.source_vectors = (
            layers,
            prefix,
            source_vectors.columns,
            source_vectors,
        )
        self._adds = len(source_vectors.transcoders.shape.writes_to(0)) > 1
        """Whether the features in a slot write to several layers, whose reads are added up."""
        self._scratch = Scratch()

    @torch.no_grad()
    def rows(self, batch: RowBatch) -> tuple[DenseEdges, Tensor]:
        """Return the edges into the batch's nodes from every column that it reaches, and what constants add to each row
        [B].

        Edges are float32 (float64 in a float64 sweep).
        """
        num_rows, width = batch.vector_BD.shape
        num_layers, prefix_length, num_positions = len(self.layers), self.prefix.size, self._num_positions(batch)
        joined_from = batch.joined_from(num_layers)
        reach = ReachableColumns(self.columns, joined_from[1:], num_rows, prefix_length + num_positions)
        dtype = torch.promote_types(batch.vector_BD.dtype, torch.float32)
        values = batch.vector_BD.new_empty(reach.size, dtype=dtype)
        if self._adds:
            values.zero_()
        from_prefix_BT = values.new_zeros(num_rows, prefix_length + 1)
        constant_B = from_prefix_BT[:, -1]
        shape = (self._round_up_rows(num_rows) + self.columns.tiling.rows - 1, num_positions, width)
        g_BPD = self._scratch.take("g", shape, batch.vector_BD.dtype, self.layers[-1].device)
        position_B = batch.position_B - prefix_length
        alive = self._start_rows(g_BPD, batch.vector_BD, position_B, 0, joined_from[num_layers])
        mixed = 0
        for number in reversed(range(num_layers)):
            layer = self.layers[number]
            g_BPD = g_BPD.to(layer.device, non_blocking=True)
            if alive:
                for source, vectors_ZD in self.source_vectors.for_layer(number):
                    self._read_edges(g_BPD, alive, source, vectors_ZD, reach.layer(values, source), constant_B)
                skipped = _skip(layer, g_BPD[:alive])
                if layer.parallel:
                    self._attention_backward(number, g_BPD, mixed, alive, position_B, from_prefix_BT)
                    mixed = alive
                if skipped is not None:
                    g_BPD[:alive] += skipped
            alive = self._start_rows(g_BPD, batch.vector_BD, position_B, alive, joined_from[number])
            if alive and not layer.parallel:
                self._attention_backward(number, g_BPD, mixed, alive, position_B, from_prefix_BT)
                mixed = alive
        self._read_tokens(g_BPD, num_rows, reach.layer(values, -1), from_prefix_BT)
        return DenseEdges(reach, values), constant_B

    def _num_positions(self, batch: RowBatch) -> int:
        """Return how many positions after the prefix are swept: up to the last that a row reads, rounded up."""
        tiling, prefix_length = self.columns.tiling, self.prefix.size
        return min(
            tiling.round_up(batch.num_positions - prefix_length, tiling.positions),
            self.columns.num_positions - prefix_length,
        )

    @staticmethod
    def _start_rows(g_BPD: Tensor, vector_BD: Tensor, position_B: Tensor, first: int, end: int) -> int:
        """Start rows `first` to `end`, each with its own gradient at its own position, and return `end`."""
        if end > first:
            g_BPD[first:end] = 0
            row_B = torch.arange(first, end, device=g_BPD.device)
            at_B = position_B[first:end].to(g_BPD.device, non_blocking=True)
            g_BPD[row_B, at_B] = vector_BD[first:end].to(g_BPD.device, non_blocking=True)
        return end

    def _read_edges(
        self, g_BPD: Tensor, alive: int, source: int, vectors_ZD: Tensor, edges_BZ: Tensor, constant_B: Tensor
    ) -> None:
        """Multiply the gradient by all vectors that the columns of one layer write, and put the products into
        `edges_BZ`. The products with constants are added to `constant_B` instead."""
        of, prefix_length, end = self.columns.layers[source], self.prefix.size, self.prefix.size + g_BPD.shape[1]
        rows, edges_BZ = self._round_up_rows(alive), edges_BZ[:alive]
        into_BZ = edges_BZ
        if self._adds:
            into_BZ = self._scratch.take("row", tuple(edges_BZ.shape), g_BPD.dtype, g_BPD.device)
        in_place = (into_BZ.dtype, into_BZ.device, alive) == (g_BPD.dtype, g_BPD.device, rows)
        segments = of.reached(prefix_length, end)
        slots, first = [segment.num_slots for segment in segments], of.start_P[segments[0].positions[0]]
        vectors = vectors_ZD[first : first + sum(slots)].split_with_sizes(slots)
        places = zip(segments, vectors, into_BZ[:, first:].split_with_sizes(slots, 1), strict=True)
        for (segment, vectors_XD, into_BX), g_PBD in zip(
            places, self._gradients_at(segments, g_BPD[:rows]), strict=True
        ):
            if in_place and len(segment.positions) == len(g_PBD) == 1:
                multiply(g_PBD[0], vectors_XD.T, into_BX)
            else:
                vectors_PDY = vectors_XD.view(-1, segment.width, vectors_XD.shape[1])[: len(g_PBD)].mT
                read_BPY = self._scratch.bmm("read", g_PBD, vectors_PDY)[:, :alive].transpose(0, 1)
                into_BPY = into_BX.view(alive, -1, segment.width)
                into_BPY[:, : len(g_PBD)].copy_(read_BPY, non_blocking=True)
                into_BPY[:, len(g_PBD) :] = 0  # the batch does not reach the end of the segment's block
        constant_P = self.columns.constant_LP[source, prefix_length:end].to(into_BZ.device)
        constant_B[:alive] += into_BZ[:, constant_P].sum(1, dtype=constant_B.dtype).to(constant_B.device)
        into_BZ.index_fill_(1, constant_P, 0)
        if self._adds:
            edges_BZ += into_BZ.to(edges_BZ.device, non_blocking=True)

    def _read_tokens(self, g_BPD: Tensor, num_rows: int, edges_BZ: Tensor, from_prefix_BT: Tensor) -> None:
        """Put the edges from tokens into `edges_BZ`. Those from tokens of the prefix were added up in `from_prefix_BT`,
        whose last column is for constants."""
        self._read_edges(g_BPD, num_rows, -1, self.source_vectors.token_vectors, edges_BZ, from_prefix_BT[:, -1])
        edges_BZ[:, : EXTRA_SLOTS * self.prefix.size] = 0
        edges_BZ[:, : EXTRA_SLOTS * self.prefix.size : EXTRA_SLOTS] = from_prefix_BT[:, :-1]

    def _gradients_at(self, segments: list[Segment], g_BPD: Tensor) -> Sequence[Tensor]:
        """Return the gradients at the positions of each segment that the batch reaches: one tensor [P, B, D] each."""
        prefix_length, num_positions = self.prefix.size, g_BPD.shape[1]
        positions = [
            [p - prefix_length for p in segment.positions if p - prefix_length < num_positions] for segment in segments
        ]
        g_PBD = g_BPD.transpose(0, 1)
        if not self.columns.tiling.by_width:
            return [g_PBD[of[0] : of[-1] + 1] if of else g_PBD[:0] for of in positions]
        order = to_device_async([p for of in positions for p in of], g_BPD.device)
        shape = (len(order), len(g_BPD), g_BPD.shape[2])
        gathered_PBD = self._scratch.take("gathered", shape, g_BPD.dtype, g_BPD.device)
        torch.index_select(g_PBD, 0, order, out=gathered_PBD)
        return gathered_PBD.split_with_sizes([len(of) for of in positions])

    def _attention_backward(
        self, number: int, g_BPD: Tensor, mixed: int, alive: int, position_B: Tensor, from_prefix_BT: Tensor
    ) -> None:
        """Add to `g_BPD`, in place, the gradient that passes through one layer's attention.

        Rows from `mixed` on have a gradient only at their own position. What attention reads in the prefix is added to
        `from_prefix_BT`.
        """
        layer = self.layers[number]
        if layer.constant_PD is not None:
            output_B = multiply(g_BPD[:alive].flatten(1), layer.constant_PD[: g_BPD.shape[1]].flatten())
            from_prefix_BT[:alive, -1] += output_B.to(from_prefix_BT.device, from_prefix_BT.dtype, non_blocking=True)
        end = mixed + self._round_up_rows(alive - mixed)
        fresh = torch.arange(mixed, end, device=g_BPD.device).clamp_max_(alive - 1)
        position_B = position_B.to(g_BPD.device, non_blocking=True)[fresh]
        # copied first: rounded up, the rows of `_attention_backward_dense` reach into these
        own_BD = g_BPD[fresh, position_B]
        found = []
        if mixed:
            found.append(self._attention_backward_dense(layer, g_BPD[: self._round_up_rows(mixed)])[:mixed])
        if len(fresh):
            found.append(self._attention_backward_first(layer, own_BD, position_B, g_BPD[mixed : mixed + len(fresh)]))
        if self.prefix.size:
            values_XT = self.prefix.values_LXT[number]
            from_prefix_BT[:alive] += multiply(torch.cat(found)[:alive].to(values_XT.dtype), values_XT).to(
                from_prefix_BT.device
            )

    def _attention_backward_dense(self, layer: FrozenLayer, g_BPD: Tensor) -> Tensor:
        """Add one layer's attention to the gradient, in place, for rows with gradients at any positions.

        Returns the gradient of what is attended to in the prefix: [B, X] with X = (position of the prefix, key/value
        head, head width).
        """
        num_rows, num_positions, width = g_BPD.shape
        groups, head_dim, prefix_length = layer.num_groups, layer.head_dim, self.prefix.size
        queries = layer.output_GDX.shape[2] // head_dim
        g_XD, like = g_BPD.view(-1, width), (g_BPD.dtype, g_BPD.device)
        y_BPGU = self._scratch.take("y", (num_rows, num_positions, groups, head_dim), *like)
        in_prefix_BJGU = self._scratch.take("prefix", (num_rows, prefix_length, groups, head_dim), *like)
        for group in range(groups):
            z_XY = self._scratch.mm("z", g_XD, layer.output_GDX[group])
            # (position, query head) is one axis of the pattern and of z, so the product adds up the heads of a group.
            z_BXU = z_XY.view(num_rows, num_positions * queries, head_dim)
            for first, end, mixed_BJU in self._pattern_stripes(layer.pattern_GJPQ[group], z_BXU, queries):
                y_BPGU[:, first:end, group] = mixed_BJU[:, first - end :]
                if not first:
                    in_prefix_BJGU[:, :, group] = mixed_BJU[:, :prefix_length]
        y_XY = y_BPGU.view(len(g_XD), -1)
        for part in parts(g_XD):
            add_product_(g_XD[part], y_XY[part], layer.value_XD)
        return in_prefix_BJGU.view(num_rows, -1)

    def _pattern_stripes(self, pattern_JPQ: Tensor, z_BXU: Tensor, queries: int) -> Iterator[tuple[int, int, Tensor]]:
        """Yield the product of the pattern and z stripe by stripe: first position, end, and the product [B, J, U].

        The first stripe begins with the positions of the prefix.
        """
        (num_rows, num_x, head_dim), num_positions = z_BXU.shape, z_BXU.shape[1] // queries
        side_by_side = z_BXU.device.type == "cpu" and num_positions > _STRIPE
        if side_by_side:  # one product for all rows: a batched product is slow once its matrices are this large
            z_XBU = self._scratch.take("side", (num_x, num_rows, head_dim), z_BXU.dtype, z_BXU.device)
            z_XBU.copy_(z_BXU.transpose(0, 1))
        for first in range(0, num_positions, _STRIPE):
            end = min(first + _STRIPE, num_positions)
            begin = self.prefix.size + first if first else 0
            pattern_JX = pattern_JPQ[begin : self.prefix.size + end, first:num_positions].flatten(1)
            if side_by_side:
                mixed_JX = self._scratch.mm("mix", pattern_JX, z_XBU[first * queries :].flatten(1))
                yield first, end, mixed_JX.view(-1, num_rows, head_dim).transpose(0, 1)
            else:
                pattern_BJX = pattern_JX.expand(num_rows, -1, -1)
                yield first, end, self._scratch.bmm("mix", pattern_BJX, z_BXU[:, first * queries :])

    def _attention_backward_first(
        self, layer: FrozenLayer, own_BD: Tensor, position_B: Tensor, g_BPD: Tensor
    ) -> Tensor:
        """Add one layer's attention, in place, for rows that have a gradient at one position only.

        Every head makes one vector of it, which its pattern spreads over the positions. `own_BD` is the gradient.
        Returns the gradient of what is attended to in the prefix, as `_attention_backward_dense` does.
        """
        num_rows, num_positions, width = g_BPD.shape
        groups, head_dim, prefix_length = layer.num_groups, layer.head_dim, self.prefix.size
        z_GXU = multiply(own_BD, layer.output_GDX).view(groups, -1, head_dim)
        passed_GXD = multiply(z_GXU, layer.value_XD.view(groups, head_dim, width))
        passed_BXD = passed_GXD.view(groups, num_rows, -1, width).transpose(0, 1).reshape(num_rows, -1, width)
        spread_GJBQ = layer.pattern_GJPQ[:, : prefix_length + num_positions].index_select(2, position_B)
        spread_BJX = spread_GJBQ[:, prefix_length:].permute(2, 1, 0, 3).reshape(num_rows, num_positions, -1)
        multiply(spread_BJX, passed_BXD, g_BPD)
        g_BPD[torch.arange(num_rows, device=g_BPD.device), position_B] += own_BD
        z_GBQU = z_GXU.view(groups, num_rows, -1, head_dim)
        return einsum("gjbq,gbqu->bjgu", spread_GJBQ[:, :prefix_length], z_GBQU).flatten(1)

    def _round_up_rows(self, rows: int) -> int:
        return self.columns.tiling.round_up(rows, self.columns.tiling.rows)


def _skip(layer: FrozenLayer, g_BPD: Tensor) -> Tensor | None:
    """Return the gradient that passes through the transcoder's linear skip, or None if there is no skip."""
    if layer.skip_DD is None:
        return None
    skipped_BPD = multiply(g_BPD, layer.skip_DD)
    if layer.skip_scale_P is not None:
        skipped_BPD *= layer.skip_scale_P[: g_BPD.shape[1], None]
    return skipped_BPD
