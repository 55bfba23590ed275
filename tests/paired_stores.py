"""Graphs of two stores over the same prompts, in which it is known which features and edges are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from random_graphs import random_graph

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import ActiveTable, NodeKind, NodeTable

LAYERS = 3
Site = tuple[int, int]
"""Layer and index of a feature."""


@dataclass(frozen=True)
class World:
    """What a model computes on some prompts: activations by feature, prompt and position, and edges between features.

    Activations are [features, prompts, positions]; features of a layer have the indices from 0 to `features_per_layer`
    - 1. Weights are [features, features], target by source.
    """

    activation: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    features_per_layer: int

    def site(self, feature: int) -> Site:
        return divmod(feature, self.features_per_layer)


def random_world(
    seed: int, num_prompts: int = 60, num_positions: int = 6, features_per_layer: int = 12, density: float = 0.25
) -> World:
    """Features that are active at random prompts, at all positions from a random one on, so that positions of a prompt
    are not independent. Edges go from lower to higher layers."""
    rng = np.random.default_rng(seed)
    num = LAYERS * features_per_layer
    is_active = rng.random((num, num_prompts, 1)) < density
    begin = rng.integers(1, num_positions, (num, 1, 1))
    size = rng.exponential(1.0, (num, num_prompts, 1)) * rng.uniform(0.8, 1.2, (num, num_prompts, num_positions))
    activation = np.where(is_active & (np.arange(num_positions) >= begin), size + 0.1, 0.0)
    layer = np.arange(num) // features_per_layer
    is_edge = (layer[:, None] == layer[None, :] + 1) & (rng.random((num, num)) < 0.25)
    weight = np.where(is_edge, rng.standard_normal((num, num)), 0.0)
    return World(activation, weight, features_per_layer)


def permuted(world: World, seed: int, replaced: Sequence[int] = ()) -> tuple[World, dict[Site, Site]]:
    """The same world with other numbers of features within layers, and which site became which.

    Features `replaced` get the activations of another world, so that they have no counterpart.
    """
    rng = np.random.default_rng(seed)
    order = np.concatenate(
        [layer * world.features_per_layer + rng.permutation(world.features_per_layer) for layer in range(LAYERS)]
    )
    num, num_prompts, num_positions = world.activation.shape
    other = random_world(seed + 1_000, num_prompts, num_positions, world.features_per_layer)
    activation = world.activation.copy()
    activation[[*replaced]] = other.activation[[*replaced]]
    scale = rng.uniform(0.5, 2.0, num)  # units of activations differ between transcoders
    names = {world.site(int(old)): world.site(new) for new, old in enumerate(order)}
    moved = World(
        (activation * scale[:, None, None])[order], world.weight[np.ix_(order, order)], world.features_per_layer
    )
    return moved, names


def graphs(world: World, tokens: Sequence[Sequence[str]] | None = None, **metadata: Sequence[Any]) -> list[Graph]:
    """A graph for each prompt, whose nodes are the features that are active at the last position, and all tokens."""
    return [
        _graph(
            world,
            prompt,
            None if tokens is None else tokens[prompt],
            {name: of[prompt] for name, of in metadata.items()},
        )
        for prompt in range(world.activation.shape[1])
    ]


def _graph(world: World, prompt: int, tokens: Sequence[str] | None, metadata: Mapping[str, Any]) -> Graph:
    own = world.activation[:, prompt]
    num_positions = own.shape[1]
    name = f"p{prompt:03d}"
    strings = tuple(tokens or (f" {name}-{position}" for position in range(num_positions)))
    base = random_graph(
        name, num_layers=LAYERS, num_positions=num_positions, num_active=0, num_targets=1, metadata=dict(metadata)
    )
    feature, position = np.nonzero(own)
    layer, index = np.divmod(feature, world.features_per_layer)
    order = np.lexsort((index, position, layer))
    active = ActiveTable(
        layer[order].astype(np.int16),
        position[order].astype(np.int32),
        index[order].astype(np.int32),
        own[feature[order], position[order]].astype(np.float32),
    )
    last = active.take(np.flatnonzero(active.position_A == num_positions - 1))
    tokens_P = np.arange(num_positions, dtype=np.int32)
    nodes = NodeTable.build(last, LAYERS, tokens_P, np.array([num_positions - 1], dtype=np.int32))
    nodes = nodes.take(np.flatnonzero(nodes.kind_N != NodeKind.ERROR))
    is_feature = nodes.kind_N == NodeKind.FEATURE
    number = nodes.layer_N.astype(np.int64) * world.features_per_layer + nodes.feature_N
    sources, weights = [], []
    for node in range(len(nodes)):
        weight = np.zeros(len(nodes))
        if is_feature[node]:
            weight[is_feature] = world.weight[number[node], number[is_feature]]
        sources.append(np.flatnonzero(weight).astype(np.int32))
        weights.append(weight[weight != 0].astype(np.float32))
    degree = np.array([len(source) for source in sources])
    row_sum = np.array([np.abs(weight).sum() for weight in weights], dtype=np.float32)
    row_N = np.where(degree > 0, row_sum, np.nan).astype(np.float32)
    zeros_N = np.where(degree > 0, 0.0, np.nan).astype(np.float32)
    return replace(
        base,
        text="".join(strings),
        tokens_P=tokens_P,
        token_strings=strings,
        nodes=nodes,
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=np.concatenate(sources),
        weight_E=np.concatenate(weights),
        row_abs_sum_N=row_N,
        row_abs_sum_all_N=row_N,
        row_abs_dropped_N=zeros_N,
        constant_N=zeros_N,
        influence_N=is_feature.astype(np.float32),
        active=active,
        constant_node=False,
    )
