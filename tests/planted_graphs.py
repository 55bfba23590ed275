"""Graphs made of chosen edges between features, at one position, for stores in which it is known what is alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from random_graphs import random_graph

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import ActiveTable, NodeKind, NodeTable

Site = tuple[int, int]
"""Layer and index of a feature."""
Edges = dict[tuple[Site, Site], float]
"""The weight of each edge, by source and target."""


def planted_graph(prompt: str, tokens: Sequence[int], edges: Edges, **metadata: Any) -> Graph:
    """The graph that has exactly these edges from feature to feature. Every feature has influence 1, and the row sums
    are those of its edges. The target and the tokens are nodes without edges."""
    base = random_graph(
        prompt, num_layers=4, num_positions=len(tokens), num_active=0, num_targets=1, metadata=metadata, text=prompt
    )
    sites = sorted({site for pair in edges for site in pair})
    number = {site: place for place, site in enumerate(sites)}
    layer, feature = (np.array([site[axis] for site in sites], dtype=np.int64) for axis in (0, 1))
    last = np.full(len(sites), len(tokens) - 1, dtype=np.int32)
    ones = np.ones(len(sites), dtype=np.float32)
    active = ActiveTable(layer.astype(np.int16), last, feature.astype(np.int32), ones)
    tokens_P = np.array(tokens, dtype=np.int32)
    nodes = NodeTable.build(active, 4, tokens_P, np.array([len(tokens) - 1], dtype=np.int32))
    nodes = nodes.take(np.flatnonzero(nodes.kind_N != NodeKind.ERROR))
    order = sorted(edges, key=lambda pair: (number[pair[1]], number[pair[0]]))
    degree = np.bincount([number[target] for _, target in order], minlength=len(nodes))
    weight = np.array([edges[pair] for pair in order], dtype=np.float32)
    row_sum = np.bincount([number[target] for _, target in order], np.abs(weight), len(nodes)).astype(np.float32)
    return replace(
        base,
        tokens_P=tokens_P,
        token_strings=tuple(f"t{token}" for token in tokens),
        nodes=nodes,
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=np.array([number[source] for source, _ in order], dtype=np.int32),
        weight_E=weight,
        row_abs_sum_N=np.where(degree > 0, row_sum, np.nan).astype(np.float32),
        row_abs_sum_all_N=np.where(degree > 0, row_sum, np.nan).astype(np.float32),
        row_abs_dropped_N=np.where(degree > 0, 0, np.nan).astype(np.float32),
        constant_N=np.where(degree > 0, 0, np.nan).astype(np.float32),
        influence_N=(nodes.kind_N == NodeKind.FEATURE).astype(np.float32),
        active=active,
        constant_node=False,
    )


def random_edges(
    rng: np.random.Generator, count: int, first: int = 0, num_features: int = 40
) -> dict[tuple[Site, Site], float]:
    """Random edges between features of adjacent layers, numbered from `first`, with weights of both signs."""
    found: Edges = {}
    for _ in range(count):
        layer = int(rng.integers(0, 3))
        source, target = ((layer + step, first + int(rng.integers(0, num_features))) for step in (0, 1))
        found[source, target] = float(rng.lognormal(0.0, 0.5) * rng.choice([-1.0, 1.0]))
    return found
