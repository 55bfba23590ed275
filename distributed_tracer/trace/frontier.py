"""Frontier: the rows so far, and which features to explain next, most influential first, in rounds.

R row computed so far, C column, A active feature, B row of a batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..config import TraceConfig
from ..errors import PromptError
from .rows import EdgeBlock
from .targets import Directions

_CHUNK = 256  # rows whose absolute values are held at once while ranking


class Frontier:
    """A growing [R, C] buffer of rows: the targets', then those of features in the order they were chosen."""

    def __init__(
        self,
        directions: Directions,
        num_active: int,
        num_columns: int,
        device: torch.device,
        config: TraceConfig,
    ) -> None:
        self.num_active, self.config, self.num_rows = num_active, config, 0
        self.num_features = min(config.max_feature_nodes or num_active, num_active)
        weights = [target.weight for target in directions.targets]
        self.weight_K = torch.tensor(weights, dtype=directions.vector_KD.dtype, device=device)
        size = len(weights) + self.num_features
        self.rows_RC = self.weight_K.new_zeros(size, num_columns)
        self.constant_R, self.abs_sum_R = self.weight_K.new_zeros(size), self.weight_K.new_zeros(size)
        self.closing_error = 0.0
        """Largest |sum of a full row + constant - its value|, relative to max(1, |value|)."""
        self.node_R = torch.zeros(size, dtype=torch.long, device=device)
        """Numbers of targets, then of active features."""

    def learn(self, block: EdgeBlock) -> None:
        """Add rows; the targets' must come first. Raises PromptError if a row is not finite."""
        assert not block.is_target or self.num_rows < len(self.weight_K), "targets come first"
        part = slice(self.num_rows, self.num_rows + len(block.rows_BC))
        self.rows_RC[part], self.constant_R[part] = block.rows_BC, block.constant_B
        closing_error = _closing_error(block)
        if not math.isfinite(closing_error):  # a NaN would be passed on for ever, and pass for no error at all
            raise PromptError("the model's values or the edges are not finite on this prompt; try dtype float32")
        self.closing_error = max(self.closing_error, closing_error)
        self.node_R[part] = block.node_B
        self.abs_sum_R[part] = block.rows_BC.abs().sum(1)
        if self.config.constant_node:
            self.abs_sum_R[part] += block.constant_B.abs()
        self.num_rows = part.stop

    @property
    def features_F(self) -> Tensor:
        """Active features that have rows, in the order of their rows."""
        return self.node_R[len(self.weight_K) : self.num_rows]

    def next_round(self) -> Tensor | None:
        """Numbers of the active features to explain next, or None when the budget is spent.

        The choice depends on the rows alone, never on how they were batched. Ties break by number.
        """
        num_done = self.num_rows - len(self.weight_K)
        if num_done >= self.num_features:
            return None
        if self.num_features == self.num_active:
            return torch.arange(self.num_active, device=self.weight_K.device)
        ranked = self.influence().argsort(descending=True, stable=True)
        visited = torch.zeros(self.num_active, dtype=torch.bool, device=ranked.device)
        visited[self.features_F] = True
        fresh = ranked[~visited[ranked]]
        return fresh[: min(self.config.round_size, self.num_features - num_done)]

    def influence(self) -> Tensor:
        """Influence of every active feature through the rows so far: [A].

        The walk needs the nodes that have rows only; all columns are read once, at its end.
        """
        num_targets, num_rows = len(self.weight_K), self.num_rows
        scale_R = self.abs_sum_R[:num_rows].clamp_min(torch.finfo(self.rows_RC.dtype).tiny).reciprocal()
        between_RF = self.rows_RC[:num_rows, self.features_F].abs()
        mass_R = self.weight_K.new_zeros(num_rows)
        mass_R[:num_targets] = self.weight_K[self.node_R[:num_targets]]
        passing_R = mass_R.clone()
        while bool(mass_R.any()):  # edges only lead downward, so this ends
            mass_R[num_targets:], mass_R[:num_targets] = (mass_R * scale_R) @ between_RF, 0
            passing_R += mass_R
        influence_A = self.weight_K.new_zeros(self.num_active)
        for start in range(0, num_rows, _CHUNK):
            part = slice(start, min(start + _CHUNK, num_rows))
            influence_A += (passing_R * scale_R)[part] @ self.rows_RC[part, : self.num_active].abs()
        return influence_A


def _closing_error(block: EdgeBlock) -> float:
    total_B = block.rows_BC.sum(1, dtype=torch.float64) + block.constant_B
    return float(((total_B - block.value_B).abs() / block.value_B.abs().clamp_min(1.0)).max())
