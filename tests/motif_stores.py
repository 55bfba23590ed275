"""Graphs at several layers and positions, made of chosen or random edges, for stores whose motifs are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from random_graphs import random_graph

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import ActiveTable, NodeKind, NodeTable

Place = tuple[int, int, int]
"""Layer, position and index of a feature."""


def placed_graph(
    prompt: str, edges: Mapping[tuple[Place, Place], float], num_layers: int, num_positions: int, **metadata: Any
) -> Graph:
    """The graph that has exactly these edges between features. Rows are the sums of their edges; tokens and the target
    are nodes without edges."""
    base = random_graph(
        prompt, num_layers=num_layers, num_positions=num_positions, num_active=0, num_targets=1, metadata=metadata
    )
    places = sorted({place for pair in edges for place in pair})
    number = {place: node for node, place in enumerate(places)}
    layer, position, feature = np.array(places, dtype=np.int64).reshape(-1, 3).T
    ones = np.ones(len(places), dtype=np.float32)
    active = ActiveTable(layer.astype(np.int16), position.astype(np.int32), feature.astype(np.int32), ones)
    tokens_P = np.arange(num_positions, dtype=np.int32)
    nodes = NodeTable.build(active, num_layers, tokens_P, np.array([num_positions - 1], dtype=np.int32))
    nodes = nodes.take(np.flatnonzero(nodes.kind_N != NodeKind.ERROR))
    order = sorted(edges, key=lambda pair: (number[pair[1]], number[pair[0]]))
    target_E = np.array([number[target] for _, target in order], dtype=np.int64)
    weight_E = np.array([edges[pair] for pair in order], dtype=np.float32)
    degree_N = np.bincount(target_E, minlength=len(nodes))
    row_N = np.bincount(target_E, np.abs(weight_E), len(nodes)).astype(np.float32)
    row_N[degree_N == 0] = np.nan
    return replace(
        base,
        tokens_P=tokens_P,
        token_strings=tuple(f"t{token}" for token in tokens_P.tolist()),
        nodes=nodes,
        indptr=np.concatenate([[0], np.cumsum(degree_N)]).astype(np.int64),
        source_E=np.array([number[source] for source, _ in order], dtype=np.int32),
        weight_E=weight_E,
        row_abs_sum_N=row_N,
        row_abs_sum_all_N=row_N,
        row_abs_dropped_N=np.where(degree_N > 0, 0, np.nan).astype(np.float32),
        constant_N=np.where(degree_N > 0, 0, np.nan).astype(np.float32),
        influence_N=(nodes.kind_N == NodeKind.FEATURE).astype(np.float32),
        active=active,
        constant_node=False,
    )


def random_edges(
    rng: np.random.Generator, shape: tuple[int, int, int], num_edges: int, reach: float = 1.0, spread: float = 0.5
) -> dict[tuple[Place, Place], float]:
    """Up to about `num_edges` random edges upwards and to no earlier position, in layers, positions and features.

    The odds of an edge are a product of how busy its nodes are and of a factor for their positions, smaller by a factor
    e for each `reach` positions. No motif is planted: all graphs with the same degrees between positions are equally
    likely.
    """
    layer, position, feature = (axis.reshape(-1) for axis in np.indices(shape))
    size = len(layer)
    apart = position[None] - position[:, None]
    chance = np.exp(-apart / reach) * ((apart >= 0) & (layer[:, None] < layer))
    chance *= rng.lognormal(0, spread, size)[:, None] * rng.lognormal(0, spread, size)
    odds = chance * num_edges / chance.sum()
    found = np.argwhere(rng.random((size, size)) < odds / (1 + odds))
    weight = rng.lognormal(0, 1, len(found)) * np.where(rng.random(len(found)) < 0.6, 1, -1)
    places = list(zip(layer.tolist(), position.tolist(), feature.tolist(), strict=True))
    return {(places[one], places[other]): float(own) for (one, other), own in zip(found, weight, strict=True)}
