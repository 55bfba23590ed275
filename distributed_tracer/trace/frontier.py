"""Frontier: the rows computed so far, and the choice of the features to explain next.

Features are chosen in rounds, the most influential first.

Axes: R row of a graph (computed so far), A active feature, B row of a batch, F feature that has a row, K target,
L layer, Z slot.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..config import TraceConfig
from ..errors import PromptError
from ..threads import product
from ..transcoder.activation import largest
from .encode import ActiveFeatures
from .rows import EdgeBlock
from .targets import ResolvedTargets


class Frontier:
    """The blocks of rows computed so far: those of the targets, then those of features in the order of their choice."""

    def __init__(
        self, directions: ResolvedTargets, features: ActiveFeatures, config: TraceConfig, max_closing_error: float
    ) -> None:
        self.features, self.config, self._max_closing_error = features, config, max_closing_error
        self.num_active, self.num_rows = len(features), 0
        self.num_features = min(config.max_feature_nodes or self.num_active, self.num_active)
        self.blocks: list[EdgeBlock] = []
        device = features.layer_A.device
        weights = [target.weight for target in directions.targets]
        self.weight_K = torch.tensor(weights, dtype=torch.float64, device=device)
        size = len(weights) + self.num_features
        self.node_R = torch.zeros(size, dtype=torch.long, device=device)
        """The number of each row's node: first the numbers of targets, then those of active features."""
        self.constant_R, self.abs_sum_R, self.dropped_R = (self.weight_K.new_zeros(size) for _ in range(3))
        self._closing, self._missed = self.weight_K.new_zeros(()), self.weight_K.new_zeros(())
        ranks = self.num_features < self.num_active
        shape = (size, self.num_features) if ranks else (0, 0)
        dtype = torch.promote_types(features.source_vectors.dtype, torch.float32)
        self._feature_edges_RF = torch.zeros(shape, dtype=dtype, device=device)
        self._taken: list[int] = []  # for each block, how many columns of it are filled

    def add_rows(self, block: EdgeBlock) -> None:
        """Add a block of rows. The rows of the targets must come first. Nothing in this method waits for a GPU."""
        assert not block.is_target or self.num_rows < len(self.weight_K), "targets come first"
        part = slice(self.num_rows, self.num_rows + len(block))
        off_B, size_B = (block.sum_B + block.constant_B - block.value_B).abs(), block.value_B.abs().clamp_min(1.0)
        self._closing = torch.maximum(self._closing, (off_B / size_B).max())
        all_B = block.abs_sum_B + block.constant_B.abs()
        self._missed = torch.maximum(self._missed, (off_B / torch.maximum(size_B, all_B)).max())
        self.node_R[part], self.constant_R[part] = block.node_B, block.constant_B
        self.abs_sum_R[part], self.dropped_R[part] = block.abs_sum_B, block.dropped_B
        if self.config.constant_node:
            self.abs_sum_R[part] += block.constant_B.abs()
        self.blocks.append(block)
        self._taken.append(0)
        self.num_rows = part.stop

    def closing_error(self) -> float:
        """Return the largest |sum of a full row + constant - its value|, relative to max(1, |value|).

        Raises PromptError if a row is not finite, because a NaN would spread to later results and would not count as an
        error in any comparison. Raises PromptError also if a row misses its value by more than is allowed, because
        something then acts in this model that no edge represents.
        """
        closing_error, missed = torch.stack([self._closing, self._missed]).tolist()
        if not math.isfinite(closing_error):
            raise PromptError(
                "the model's values or the edges are not finite on this prompt; try --forward-dtype float32"
            )
        if missed > self._max_closing_error:
            raise PromptError(
                f"edges do not add up to the values that they explain: {missed:.2g} of a row's sum is missing, and "
                f"rounding explains {self._max_closing_error:.2g}, so that something acts in this model on this prompt "
                "that no edge stands for; --max-closing-error lets such graphs pass"
            )
        return float(closing_error)

    @property
    def features_F(self) -> Tensor:
        """The numbers of the active features that have rows, in the order of their rows."""
        return self.node_R[len(self.weight_K) : self.num_rows]

    def next_round(self) -> Tensor | None:
        """Return the numbers of the active features to explain next, or None when the budget is spent.

        The choice depends on the rows alone and never on how they were batched. Ties are broken by number.
        """
        self.closing_error()  # raises between rounds, at the latest
        num_done = self.num_rows - len(self.weight_K)
        if num_done >= self.num_features:
            return None
        if self.num_features == self.num_active:
            return torch.arange(self.num_active, device=self.weight_K.device)
        influence_A = self.influence()
        influence_A.index_fill_(0, self.features_F, -1.0)  # an assignment would wait for a GPU
        count = min(self.config.features_per_round, self.num_features - num_done)
        found_F = largest(influence_A[None], count)[0].nonzero()[:, 0]
        return found_F[influence_A[found_F].argsort(descending=True, stable=True)]

    def influence(self) -> Tensor:
        """Return the influence of every active feature through the rows so far: [A], in the precision of the edges.

        How much each row passes on is computed among the nodes that have rows. Only then are all columns read, once.
        """
        weight_R = self._weights().to(self._feature_edges_RF.dtype)
        influence_Z = weight_R.new_zeros(self.features.columns.num_slots)
        start = 0
        for block in self.blocks:
            block.edges.add_weighted(weight_R[start : start + len(block)], influence_Z)
            start += len(block)
        return influence_Z[self.features.columns.slot_A]

    def _weights(self) -> Tensor:
        """Return what every row passes on per |edge|: the influence of its node (or the weight of its target) divided
        by the row's sum, [R] float64.

        Edges lead to lower layers only, so one pass over the rows suffices, from the features of the last layer down.
        """
        self._take_between()
        num_targets, features_F = len(self.weight_K), self.features_F
        layer_F = self.features.layer_A[features_F]
        order_F = layer_F.argsort(descending=True, stable=True)
        row_R = torch.cat([torch.arange(num_targets, device=order_F.device), order_F + num_targets])
        scale_R = self.abs_sum_R[row_R].clamp_min_(torch.finfo(torch.float32).tiny).reciprocal_()
        passed_R = torch.zeros_like(scale_R)
        passed_R[:num_targets] = self.weight_K[self.node_R[:num_targets]] * scale_R[:num_targets]
        start = num_targets
        layer_L1 = torch.arange(self.features.columns.num_layers, device=layer_F.device)[:, None]
        for count in reversed((layer_F == layer_L1).sum(1).tolist()):  # bincount would wait for a GPU once more
            end = start + count
            above_R1, here_F = row_R[:start, None], order_F[start - num_targets : end - num_targets]
            between_RF = self._feature_edges_RF[above_R1, here_F].to(torch.float64)
            influence_F = product(passed_R[None, :start], between_RF)[0]
            torch.mul(influence_F, scale_R[start:end], out=passed_R[start:end])
            start = end
        return torch.empty_like(passed_R).index_copy_(0, row_R, passed_R)

    def _take_between(self) -> None:
        """Fill in the edges between nodes that have rows: new rows, and new columns of old rows."""
        slot_F, start = self.features.columns.slot_A[self.features_F], 0
        for number, block in enumerate(self.blocks):
            part, taken = slice(start, start + len(block)), self._taken[number]
            self._feature_edges_RF[part, taken : len(slot_F)] = block.edges.take(slot_F[taken:]).abs()
            self._taken[number], start = len(slot_F), part.stop
