"""One backward sweep: rows of a batch of nodes, by walking the layers top to bottom once for all of them.

L layer, P position, B row of the batch, A active feature, C column (active features, errors layer-major, tokens),
D model width. A row joins at its own depth, so no row is carried through layers that it cannot reach: rows are sorted
deepest first, and the first `n` of them are alive at a layer. Positions after the last one that any row of the batch
reads at are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..model.load import Model
from ..model.pullback import (
    attention_constant,
    attention_pull,
    input_bias,
    input_pull,
    output_bias,
    output_pull,
)
from ..model.tape import Tape
from ..transcoder.base import Transcoders
from .encode import ActiveFeatures


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Nodes to explain, deepest first. The vector is the node's gradient in the residual stream where it joins."""

    layer_B: list[int]
    """The layer a feature reads at; the number of layers for targets at the final norm."""
    position_B: list[int]
    vector_BD: Tensor
    constant_B: Tensor
    """What biases between the residual stream and the node add to it."""


class Sweep:
    """Everything fixed for one prompt; `rows` may be called for any number of batches."""

    def __init__(self, model: Model, tape: Tape, transcoders: Transcoders, features: ActiveFeatures) -> None:
        self.model, self.tape, self.transcoders, self.features = model, tape, transcoders, features
        self.num_positions, num_layers = len(tape.tokens_P), model.shape.num_layers
        self.first_error = len(features)
        self.first_token = self.first_error + num_layers * self.num_positions
        self.num_columns = self.first_token + self.num_positions
        self.attention_constants = [attention_constant(model, tape, layer) for layer in range(num_layers)]

    @torch.no_grad()
    def rows(self, batch: RowBatch) -> tuple[Tensor, Tensor]:
        """Edges [B, C] into the batch's nodes from every column, and their constants [B]."""
        num_rows, width = batch.vector_BD.shape
        num_positions = max(batch.position_B) + 1
        g_PBD = batch.vector_BD.new_zeros(num_positions, num_rows, width)
        rows_BC = g_PBD.new_zeros(num_rows, self.num_columns)
        constant_B = batch.constant_B.clone()
        alive = _count_from(batch.layer_B, self.model.shape.num_layers)
        self._join(g_PBD, batch, 0, alive)
        for layer in reversed(range(self.model.shape.num_layers)):
            joined = _count_from(batch.layer_B, layer)
            g_PBD, rows_BC, constant_B = (x.to(self.model.layers[layer].device) for x in (g_PBD, rows_BC, constant_B))
            if alive:
                skipped = self._read(layer, g_PBD[:, :alive], rows_BC[:alive], constant_B[:alive])
                if self.model.layers[layer].parallel:
                    skipped = _sum(skipped, self._attend(layer, g_PBD[:, :alive], constant_B[:alive]))
                if skipped is not None:
                    g_PBD[:, :alive] += skipped
            self._join(g_PBD, batch, alive, joined)
            alive = joined
            if alive and not self.model.layers[layer].parallel:
                g_PBD[:, :alive] += self._attend(layer, g_PBD[:, :alive], constant_B[:alive])
        tokens = slice(self.first_token, self.first_token + num_positions)
        rows_BC[:, tokens] = _dot(g_PBD, self.tape.token_vectors_PD)
        if self.tape.position_vectors_PD is not None:
            constant_B += _dot(g_PBD, self.tape.position_vectors_PD).sum(-1)
        return rows_BC, constant_B

    def _join(self, g_PBD: Tensor, batch: RowBatch, first: int, end: int) -> None:
        rows = torch.arange(first, end, device=g_PBD.device)
        positions = torch.tensor(batch.position_B[first:end], dtype=torch.long, device=g_PBD.device)
        g_PBD[positions, rows] += batch.vector_BD[first:end].to(g_PBD.device)

    def _read(self, layer: int, g_PBD: Tensor, rows_BC: Tensor, constant_B: Tensor) -> Tensor | None:
        """Read one layer's MLP output into `rows_BC`; returns what its linear skip adds to the gradient."""
        model, tape, device = self.model, self.tape, g_PBD.device
        if (bias := output_bias(model, tape, layer)) is not None:
            constant_B += (g_PBD @ bias).sum(0)
        g_PBD = output_pull(model, tape, layer, g_PBD)
        for written in self.features.written_M[layer]:
            rows_aD, start = written.rows_aD.to(device), 0
            for position, end in enumerate(written.ends_P[: len(g_PBD)]):
                if end > start:
                    columns = slice(written.first + start, written.first + end)
                    rows_BC[:, columns] += g_PBD[position] @ rows_aD[start:end].T
                start = end
        first = self.first_error + layer * self.num_positions
        rows_BC[:, first : first + len(g_PBD)] = _dot(g_PBD, self.features.error_MPD[layer])
        constant_B += _dot(g_PBD, self.features.constant_MPD[layer]).sum(-1)
        skip = self.transcoders.skip(layer)
        if skip is None:
            return None
        g_PBD = g_PBD @ skip.to(device)
        if (bias := input_bias(model, tape, layer)) is not None:
            constant_B += (g_PBD @ bias).sum(0)
        return input_pull(model, tape, layer, g_PBD)

    def _attend(self, layer: int, g_PBD: Tensor, constant_B: Tensor) -> Tensor:
        """What one layer's attention adds to the gradient; its biases go to `constant_B`."""
        if (written := self.attention_constants[layer]) is not None:
            constant_B += _dot(g_PBD, written.expand(self.num_positions, -1)).sum(-1)
        return attention_pull(self.model, self.tape, layer, g_PBD)


def _count_from(layer_B: list[int], layer: int) -> int:
    """How many rows join at `layer` or above; the batch is sorted deepest first."""
    return sum(row_layer >= layer for row_layer in layer_B)


def _dot(g_PBD: Tensor, vectors_PD: Tensor) -> Tensor:
    """Gradient times vector at every position of the gradient: [B, P]."""
    vectors_PD = vectors_PD[: len(g_PBD)].to(g_PBD.device)
    return (g_PBD @ vectors_PD[..., None])[..., 0].T


def _sum(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b
