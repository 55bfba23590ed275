"""Compute the rows of nodes in batches: each batch becomes an EdgeBlock.

A row is the gradient of one node. It starts as a vector in the residual stream, and one sweep computes all the rows of
a batch.

Axes: B row of a batch, N node of a round, A active feature, F feature chosen, K target, P position, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, count, islice, repeat
from typing import Literal, Protocol

import torch
from torch import Tensor

from ..model.forward_cache import ForwardCache
from ..model.frozen import freeze, input_bias, residual_gradient
from ..model.hooks import FINAL
from ..model.model import Model
from ..plan.sizing import num_sweep_rows
from ..threads import multiply
from ..transcoder.base import Transcoders
from .batching import batches
from .device import to_device_async
from .edges import Edges
from .encode import ActiveFeatures
from .prefix import Prefix
from .sparse_edges import keep_top_mass
from .sweep import RowBatch, Sweep
from .targets import ResolvedTargets

_AT_ONCE = 4096  # nodes whose encoder vectors are held together


@dataclass(frozen=True, eq=False)
class EdgeBlock:
    """The incoming edges of the nodes of one batch."""

    node_B: Tensor
    """The numbers of the nodes among the active features, or among the targets if `is_target`."""
    is_target: bool
    edges: Edges
    constant_B: Tensor
    """What each node receives from biases and from everything that the zeroed positions write."""
    value_B: Tensor
    """What the row and its constant must add up to: the node's pre-activation (or the target's value) without the
    node's own bias."""
    sum_B: Tensor
    abs_sum_B: Tensor
    """The sum of the absolute values of all edges. This and `sum_B`, the sum of the edges, are float64 and include
    the edges that were dropped later."""
    dropped_B: Tensor
    """The sum of |edge| over the edges that were dropped."""

    def __len__(self) -> int:
        return len(self.node_B)


BatchFilter = Callable[[int], bool]
"""Function that is given a batch's number within its round, and returns whether that batch is to be computed. It is
called in order, just before each batch."""


def every_batch(_: int) -> bool:
    """Return True, so that every batch is computed."""
    return True


class RowSource(Protocol):
    """An object that computes the rows of one prompt.

    It yields blocks in the order of the batches, which depends on the prompt alone.
    """

    def of_targets(self, directions: ResolvedTargets) -> Iterator[EdgeBlock]:
        """Yield the rows of every target, batch by batch."""
        ...

    def of_features(self, chosen_F: Tensor) -> Iterator[EdgeBlock]:
        """Yield the rows of active features, batch by batch."""
        ...


OpenRows = Callable[[Model, ForwardCache, Transcoders, ActiveFeatures, int | Literal["auto"], float], RowSource]


@dataclass(frozen=True, eq=False)
class _PreparedNodes:
    """Nodes with the gradients with which they join the sweep, in the order in which they are swept."""

    layers: list[int]
    node_N: Tensor
    position_N: Tensor
    vector_ND: Tensor
    constant_N: Tensor
    value_N: Tensor

    def batch(self, part: slice, num_positions: int) -> RowBatch:
        """Return the nodes of one batch, which are those in the range `part`."""
        return RowBatch(self.layers[part], num_positions, self.position_N[part], self.vector_ND[part])


class RowComputer:
    """Compute the rows of one prompt's nodes, at most `sweep_rows` at a time.

    With `keep_row_mass` below 1, only the largest edges of each row that carry this share of its sum are kept.
    """

    def __init__(
        self,
        model: Model,
        cache: ForwardCache,
        transcoders: Transcoders,
        features: ActiveFeatures,
        sweep_rows: int | Literal["auto"] = "auto",
        keep_row_mass: float = 1.0,
    ) -> None:
        self.model, self.cache, self.transcoders, self.features = model, cache, transcoders, features
        self.keep_row_mass, self.dtype = keep_row_mass, features.source_vectors.dtype
        self.sweep_rows = num_sweep_rows(
            sweep_rows, model.shape, len(cache.tokens_P), self.dtype.itemsize, transcoders.device.type
        )
        work_dtype = torch.promote_types(self.dtype, torch.float32)
        prefix, layers = Prefix(cache, features.columns.prefix_length, work_dtype), []
        for layer in range(model.shape.num_layers):
            frozen = freeze(model, cache, layer, transcoders.skip(layer), work_dtype)
            prefix.advance(frozen, features.source_vectors.constant_for(layer))
            layers.append(frozen.after_prefix(prefix.size, self.dtype))
        self.sweep = Sweep(layers, prefix, features.source_vectors)

    def of_targets(self, directions: ResolvedTargets) -> Iterator[EdgeBlock]:
        """Yield the rows of every target, batch by batch."""
        device = self.transcoders.device
        value_K = torch.tensor([target.value for target in directions.targets], dtype=directions.bias_K.dtype)
        value_K = value_K.to(device) - directions.bias_K.to(device)
        for group, cuts in self._groups(directions.layer_K, directions.position_K):
            layers, positions = ([of[k] for k in group] for of in (directions.layer_K, directions.position_K))
            number_N = to_device_async(group, device)
            vector_ND = directions.vector_KD[number_N.to(directions.vector_KD.device)]
            by_layer = _by_layer(layers, device)
            prepared = self._prepare(layers, by_layer, positions, number_N, vector_ND, value_K[number_N])
            yield from self._sweep(prepared, cuts, positions, repeat(True), is_target=True)

    def of_features(self, chosen_F: Tensor, accept: BatchFilter = every_batch) -> Iterator[EdgeBlock]:
        """Yield the rows of active features, batch by batch, for the batches for which `accept` returns True."""
        features, numbers = self.features, count()
        layer_F, position_F = self._sites(chosen_F)
        for group, cuts in self._groups(layer_F, position_F):
            layers, positions = ([of[f] for f in group] for of in (layer_F, position_F))
            number_N = chosen_F[to_device_async(group, chosen_F.device)]
            by_layer = _by_layer(layers, number_N.device)
            vector_ND, bias_N = self._encoders(layers, by_layer, features.feature_A[number_N])
            value_N = features.activation_A[number_N] - bias_N
            prepared = self._prepare(layers, by_layer, positions, number_N, vector_ND, value_N)
            wanted = map(accept, islice(numbers, len(cuts)))
            yield from self._sweep(prepared, cuts, positions, wanted, is_target=False)

    def num_batches(self, chosen_F: Tensor) -> int:
        """Return the number of batches in which the rows of these features are computed."""
        return sum(len(cuts) for _, cuts in self._groups(*self._sites(chosen_F)))

    def _sites(self, chosen_F: Tensor) -> list[list[int]]:
        """Return the layers and the positions of active features."""
        features = self.features
        sites: list[list[int]] = torch.stack([features.layer_A[chosen_F], features.position_A[chosen_F]]).tolist()
        return sites

    def _groups(self, layers: list[int], positions: list[int]) -> Iterator[tuple[list[int], list[int]]]:
        """Yield groups of batches: the nodes of a group in one list, and where each batch ends in it."""
        nodes: list[int] = []
        cuts: list[int] = []
        for batch in batches(layers, positions, self.sweep_rows, self.transcoders.device.type):
            if nodes and len(nodes) + len(batch) > _AT_ONCE:
                yield nodes, cuts
                nodes, cuts = [], []
            nodes = nodes + batch
            cuts = [*cuts, len(nodes)]
        if nodes:
            yield nodes, cuts

    def _encoders(self, layers: list[int], by_layer: tuple[Tensor, Tensor], feature_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder vectors [N, D] and biases [N] of features. `by_layer` is what `_by_layer` returns."""
        order, back = by_layer
        feature_N = feature_N[order]
        found = [self.transcoders.encoder_rows(layer, feature_N[part]) for layer, part in _runs(layers)]
        return torch.cat([vectors for vectors, _ in found])[back], torch.cat([bias for _, bias in found])[back]

    def _prepare(
        self,
        layers: list[int],
        by_layer: tuple[Tensor, Tensor],
        positions: list[int],
        node_N: Tensor,
        vector_ND: Tensor,
        value_N: Tensor,
    ) -> _PreparedNodes:
        """Prepare nodes that read along `vector_ND` at a layer's input site, or at the final norm's output."""
        device = node_N.device
        position_N, (order, back) = to_device_async(positions, device), by_layer
        vector_ND, sorted_N = vector_ND.to(device)[order], position_N[order]
        gradients, constants = [], []
        for layer, part in _runs(layers):
            gradient, constant = self._enter(layer, vector_ND[part], sorted_N[part])
            gradients.append(gradient.to(device, self.dtype, non_blocking=True))
            constants.append(constant.to(device, non_blocking=True))
        gradient_ND, constant_N = torch.cat(gradients)[back], torch.cat(constants)[back]
        return _PreparedNodes(layers, node_N, position_N, gradient_ND, constant_N, value_N)

    def _enter(self, layer: int, vector_ND: Tensor, position_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the residual stream [N, D] and what the norm's bias adds [N], for nodes of one
        layer."""
        if layer < self.model.shape.num_layers:
            device, bias = self.model.layers[layer].device, input_bias(self.model, self.cache, layer)
        else:
            device, bias = self.cache.scales_P1[(layer, FINAL)].device, self.model.final_norm.bias_D
        vector_ND = vector_ND.to(device, non_blocking=True)
        position_N = position_N.to(device, non_blocking=True)
        constant_N = vector_ND.new_zeros(len(vector_ND)) if bias is None else multiply(vector_ND, bias)
        if layer < self.model.shape.num_layers:
            return residual_gradient(self.model, self.cache, layer, vector_ND, position_N), constant_N
        scale_P1 = self.cache.scales_P1[(layer, FINAL)]
        return self.model.final_norm.vjp(vector_ND, scale_P1[position_N]), constant_N

    def _sweep(
        self,
        prepared: _PreparedNodes,
        cuts: Sequence[int],
        positions: list[int],
        wanted: Iterable[bool],
        is_target: bool,
    ) -> Iterator[EdgeBlock]:
        for part in compress(map(slice, [0, *cuts], cuts), wanted):
            reached, constant_B = self.sweep.rows(prepared.batch(part, max(positions[part]) + 1))
            sum_B, abs_sum_B = reached.sums()
            edges: Edges = reached
            dropped_B = torch.zeros_like(abs_sum_B)
            if self.keep_row_mass < 1:
                edges, kept_B = keep_top_mass(reached, self.keep_row_mass)
                dropped_B = (abs_sum_B - kept_B).clamp_min_(0)
            constant_B = constant_B + prepared.constant_N[part]
            node_B, value_B = prepared.node_N[part], prepared.value_N[part]
            yield EdgeBlock(node_B, is_target, edges, constant_B, value_B, sum_B, abs_sum_B, dropped_B)


def _by_layer(layers: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the permutation that sorts nodes by layer, and its inverse. Both are made on the host."""
    order = sorted(range(len(layers)), key=layers.__getitem__)
    inverse = sorted(range(len(layers)), key=order.__getitem__)
    both_2N = to_device_async([order, inverse], device)
    return both_2N[0], both_2N[1]


def _runs(layers: list[int]) -> Iterator[tuple[int, slice]]:
    """Yield every layer that occurs, with the range of its nodes among the nodes sorted by layer."""
    start = 0
    for layer in sorted(set(layers)):
        end = start + layers.count(layer)
        yield layer, slice(start, end)
        start = end
