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
        for batch in self._batches(directions.layer_K, directions.position_K):
            layers, positions = ([of[k] for k in batch] for of in (directions.layer_K, directions.position_K))
            rows, constants = self._sweep(layers, positions, directions.vector_KD[batch])
            value_B = torch.tensor([directions.targets[k].value for k in batch], dtype=rows.dtype)
            value_B = value_B.to(rows.device) - directions.bias_K[batch].to(rows.device)
            yield EdgeBlock(torch.tensor(batch, device=rows.device), True, rows, constants, value_B)

    def of_features(self, chosen_F: Tensor) -> Iterator[EdgeBlock]:
        """Rows of active features."""
        features = self.features
        layer_F, position_F = torch.stack([features.layer_A[chosen_F], features.position_A[chosen_F]]).tolist()
        for batch in self._batches(layer_F, position_F):
            layers, positions = ([of[f] for f in batch] for of in (layer_F, position_F))
            number_B = chosen_F[batch]
            vector_BD, bias_B = self._encoders(layers, features.feature_A[number_B])
            rows, constants = self._sweep(layers, positions, vector_BD)
            yield EdgeBlock(number_B, False, rows, constants, features.activation_A[number_B] - bias_B)

    def _batches(self, layers: list[int], positions: list[int]) -> Iterator[list[int]]:
        """Numbers of nodes, `sweep_rows` at a time: those of similar positions together, deepest first."""
        by_position = sorted(range(len(layers)), key=lambda node: (positions[node], -layers[node], node))
        for start in range(0, len(by_position), self.sweep_rows):
            yield sorted(by_position[start : start + self.sweep_rows], key=lambda node: (-layers[node], node))

    def _encoders(self, layer_B: list[int], feature_B: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder vectors [B, D] and biases [B] of features sorted by layer, deepest first."""
        found = [self.transcoders.encoder_rows(layer, feature_B[start:end]) for layer, start, end in _runs(layer_B)]
        return torch.cat([vectors for vectors, _ in found]), torch.cat([bias for _, bias in found])

    def _sweep(self, layer_B: list[int], position_B: list[int], vector_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of nodes that read along `vector_BD` at a layer's input site, or at the final norm's output."""
        joined, constants, device = [], [], self.transcoders.device
        for layer, start, end in _runs(layer_B):
            where = self.model.unembed_VD.device
            if layer < self.model.shape.num_layers:
                where = self.model.layers[layer].device
            vector, position = vector_BD[start:end].to(where), torch.tensor(position_B[start:end], device=where)
            if layer == self.model.shape.num_layers:
                gradient = final_pull(self.model, self.tape, vector, position)
                bias = self.model.final_norm.bias_D
            else:
                gradient = input_pull(self.model, self.tape, layer, vector, position)
                bias = input_bias(self.model, self.tape, layer)
            joined.append(gradient.to(device))
            constants.append((vector @ bias if bias is not None else vector.new_zeros(len(vector))).to(device))
        batch = RowBatch(layer_B, position_B, torch.cat(joined), torch.cat(constants))
        rows_BC, constant_B = self.sweep.rows(batch)
        return rows_BC.to(device), constant_B.to(device)


def _runs(layer_B: list[int]) -> Iterator[tuple[int, int, int]]:
    """(layer, start, end) of each run of equal layers."""
    start = 0
    for end in range(1, len(layer_B) + 1):
        if end == len(layer_B) or layer_B[end] != layer_B[start]:
            yield layer_B[start], start, end
            start = end
