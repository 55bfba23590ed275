"""One backward sweep: it computes the rows of a batch of nodes by walking once through the layers, from last to first.

A row joins the sweep at its own layer, so that no row is carried through layers that it cannot reach. Rows are sorted
deepest first, so the rows that are alive at a layer are the first few. Gradients are laid out [B, P, D]. In that layout
the rows that are alive form one matrix for the products with attention's weights, and the gradients of all rows at one
position form one matrix for the reads. Two kinds of positions are left out: those after the last one at which any row
of the batch reads, and those of the prefix.

Axes: L layer, P position (after the prefix), T token of the prefix (then the constant), B row of a batch, Z slot,
D model width, X slot of a segment or of a constant, Y slot of one position in a segment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import neg

import torch
from torch import Tensor

from ..model.frozen import FrozenLayer
from ..plan.sizing import EXTRA_SLOTS
from ..threads import multiply
from .attention_backward import AttentionBackward
from .column_layout import Segment
from .device import Scratch, to_device_async
from .edges import DenseEdges, ReachableColumns
from .prefix import Prefix
from .source_vectors import SourceVectors


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
        self._attention = AttentionBackward(layers, prefix, self.columns.tiling, self._scratch)

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
        if self._adds or reach.whole_rows:
            values.zero_()
        from_prefix_BT = values.new_zeros(num_rows, prefix_length + 1)
        constant_B = from_prefix_BT[:, -1]
        shape = (self.columns.tiling.round_up_rows(num_rows) + self.columns.tiling.rows - 1, num_positions, width)
        g_BPD = self._scratch.take("g", shape, batch.vector_BD.dtype, self.layers[-1].device)
        position_B = batch.position_B - prefix_length
        # rows computed beside those alive, where their number is rounded up, overwrite rows that start later
        at_once = self.columns.tiling.rows == 1
        alive = joined_from[num_layers]
        self._start_rows(g_BPD, batch.vector_BD, position_B, 0, num_rows if at_once else alive)
        mixed = 0
        for number in reversed(range(num_layers)):
            layer = self.layers[number]
            g_BPD = g_BPD.to(layer.device, non_blocking=True)
            if alive:
                for source, vectors_ZD in self.source_vectors.for_layer(number):
                    self._read_edges(g_BPD, alive, source, vectors_ZD, reach.layer(values, source), constant_B)
                skipped = _skip(layer, g_BPD[:alive])
                if layer.parallel:
                    self._attention.add(number, g_BPD, mixed, alive, position_B, from_prefix_BT)
                    mixed = alive
                if skipped is not None:
                    g_BPD[:alive] += skipped
            before, alive = alive, joined_from[number]
            if not at_once:
                self._start_rows(g_BPD, batch.vector_BD, position_B, before, alive)
            if alive and not layer.parallel:
                self._attention.add(number, g_BPD, mixed, alive, position_B, from_prefix_BT)
                mixed = alive
        self._read_tokens(g_BPD, num_rows, reach.layer(values, -1), from_prefix_BT)
        if reach.whole_rows:
            self._move_constants(reach.whole(values), self.columns.constant_X, constant_B)
        return DenseEdges(reach, values), constant_B

    def _num_positions(self, batch: RowBatch) -> int:
        """Return how many positions after the prefix are swept: up to the last that a row reads, rounded up."""
        tiling, prefix_length = self.columns.tiling, self.prefix.size
        return min(
            tiling.round_up(batch.num_positions - prefix_length, tiling.positions),
            self.columns.num_positions - prefix_length,
        )

    @staticmethod
    def _start_rows(g_BPD: Tensor, vector_BD: Tensor, position_B: Tensor, first: int, end: int) -> None:
        """Start rows `first` to `end`, each with its own gradient at its own position."""
        if end > first:
            g_BPD[first:end] = 0
            row_B = torch.arange(first, end, device=g_BPD.device)
            at_B = position_B[first:end].to(g_BPD.device, non_blocking=True)
            g_BPD[row_B, at_B] = vector_BD[first:end].to(g_BPD.device, non_blocking=True)

    def _read_edges(
        self, g_BPD: Tensor, alive: int, source: int, vectors_ZD: Tensor, edges_BZ: Tensor, constant_B: Tensor
    ) -> None:
        """Multiply the gradient by all vectors that the columns of one layer write, and put the products into
        `edges_BZ`. The products with constants are moved to `constant_B`, unless rows are stored whole: then this is
        done for all layers at the end."""
        of, prefix_length, end = self.columns.layers[source], self.prefix.size, self.prefix.size + g_BPD.shape[1]
        rows, edges_BZ = self.columns.tiling.round_up_rows(alive), edges_BZ[:alive]
        into_BZ, whole_rows = edges_BZ, self.columns.tiling.few_calls
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
                continue
            vectors_PDY = vectors_XD.view(-1, segment.width, vectors_XD.shape[1])[: len(g_PBD)].mT
            into_BPY = into_BX.view(alive, -1, segment.width)
            into_PBY = into_BPY[:, : len(g_PBD)].transpose(0, 1)
            if in_place:
                multiply(g_PBD, vectors_PDY, into_PBY)
            else:
                into_PBY.copy_(self._scratch.bmm("read", g_PBD, vectors_PDY)[:, :alive], non_blocking=True)
            if self._adds or not whole_rows:
                into_BPY[:, len(g_PBD) :] = 0  # the batch does not reach the end of the segment's block
        if not whole_rows:
            self._move_constants(into_BZ, self.columns.constant_LP[source, prefix_length:end], constant_B[:alive])
        if self._adds:
            edges_BZ += into_BZ.to(edges_BZ.device, non_blocking=True)

    @staticmethod
    def _move_constants(edges_BZ: Tensor, slot_X: Tensor, constant_B: Tensor) -> None:
        """Add the edges from the slots of constants to `constant_B`, and put zeros into their places."""
        slot_X = slot_X.to(edges_BZ.device)
        constant_B += edges_BZ[:, slot_X].sum(1, dtype=constant_B.dtype).to(constant_B.device)
        edges_BZ.index_fill_(1, slot_X, 0)

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


def _skip(layer: FrozenLayer, g_BPD: Tensor) -> Tensor | None:
    """Return the gradient that passes through the transcoder's linear skip, or None if there is no skip."""
    if layer.skip_DD is None:
        return None
    skipped_BPD = multiply(g_BPD, layer.skip_DD)
    if layer.skip_scale_P is not None:
        skipped_BPD *= layer.skip_scale_P[: g_BPD.shape[1], None]
    return skipped_BPD
