"""Nodes in, EdgeBlocks out: batches of nodes as vectors in the residual stream, swept together.

B row, F chosen feature, K target, C column, D model width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model.load import Model
from ..model.pullback import final_pull, input_bias, input_pull
from ..model.tape import Tape
from ..transcoder.base import Transcoders
from .encode import ActiveFeatures
from .sweep import RowBatch, Sweep
from .targets import Directions


@dataclass(frozen=True, eq=False)
class EdgeBlock:
    """Incoming edges of a batch of nodes, from every column."""

    node_B: Tensor
    """Numbers of active features, or of targets."""
    is_target: bool
    rows_BC: Tensor
    constant_B: Tensor
    value_B: Tensor
    """What row and constant must add up to: the node's pre-activation (or a target's value) without its own bias."""


class Rows:
    """Rows of one prompt's nodes, `sweep_rows` at a time."""

    def __init__(
        self, model: Model, tape: Tape, transcoders: Transcoders, features: ActiveFeatures, sweep_rows: int
    ) -> None:
        self.model, self.tape, self.transcoders, self.features = model, tape, transcoders, features
        self.sweep, self.sweep_rows = Sweep(model, tape, transcoders, features), sweep_rows
        self.num_columns = self.sweep.num_columns

    def of_targets(self, directions: Directions) -> Iterator[EdgeBlock]:
        """Rows of every target."""
        depth_K = torch.tensor(directions.layer_K)
        for batch_B in torch.split(depth_K.argsort(descending=True, stable=True), self.sweep_rows):
            layers = depth_K[batch_B].tolist()
            positions = torch.tensor(directions.position_K)[batch_B].to(directions.vector_KD.device)
            rows, constants = self._sweep(layers, positions, directions.vector_KD[batch_B])
            value_B = torch.tensor([directions.targets[k].value for k in batch_B], dtype=rows.dtype)
            value_B = value_B.to(rows.device) - directions.bias_K[batch_B].to(rows.device)
            yield EdgeBlock(batch_B.to(rows.device), True, rows, constants, value_B)

    def of_features(self, chosen_F: Tensor) -> Iterator[EdgeBlock]:
        """Rows of active features. Deepest first over the whole round, so that a batch holds rows of similar depth."""
        features = self.features
        ordered_F = chosen_F[features.layer_A[chosen_F].argsort(descending=True, stable=True)]
        for batch_B in torch.split(ordered_F, self.sweep_rows):
            layers = features.layer_A[batch_B].tolist()
            vector_BD, bias_B = self._encoders(layers, features.feature_A[batch_B])
            rows, constants = self._sweep(layers, features.position_A[batch_B], vector_BD)
            yield EdgeBlock(batch_B, False, rows, constants, features.activation_A[batch_B] - bias_B)

    def _encoders(self, layer_B: list[int], feature_B: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder vectors [B, D] and biases [B] of features sorted by layer, deepest first."""
        found = [self.transcoders.encoder_rows(layer, feature_B[start:end]) for layer, start, end in _runs(layer_B)]
        return torch.cat([vectors for vectors, _ in found]), torch.cat([bias for _, bias in found])

    def _sweep(self, layer_B: list[int], position_B: Tensor, vector_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of nodes that read along `vector_BD` at a layer's input site, or at the final norm's output."""
        joined, constants, device = [], [], self.transcoders.device
        for layer, start, end in _runs(layer_B):
            where = self.model.unembed_VD.device
            if layer < self.model.shape.num_layers:
                where = self.model.layers[layer].device
            vector, position = vector_BD[start:end].to(where), position_B[start:end].to(where)
            if layer == self.model.shape.num_layers:
                gradient, bias = (
                    final_pull(self.model, self.tape, vector, position),
                    self.model.final_norm.bias_D,
                )
            else:
                gradient = input_pull(self.model, self.tape, layer, vector, position)
                bias = input_bias(self.model, self.tape, layer)
            joined.append(gradient.to(device))
            constants.append((vector @ bias if bias is not None else vector.new_zeros(len(vector))).to(device))
        batch = RowBatch(layer_B, position_B.to(device), torch.cat(joined), torch.cat(constants))
        rows_BC, constant_B = self.sweep.rows(batch)
        return rows_BC.to(device), constant_B.to(device)


def _runs(layer_B: list[int]) -> Iterator[tuple[int, int, int]]:
    """(layer, start, end) of each run of equal layers."""
    start = 0
    for end in range(1, len(layer_B) + 1):
        if end == len(layer_B) or layer_B[end] != layer_B[start]:
            yield layer_B[start], start, end
            start = end
