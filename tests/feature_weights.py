"""Transcoders with weights that a test chooses, and graphs of which it chooses where features are active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from random_graphs import random_graph
from torch import Tensor

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import ActiveTable, NodeKind, NodeTable
from distributed_tracer.graph.norm_scales import NormScales
from distributed_tracer.mine.feature_vectors import FeatureVectors
from distributed_tracer.shapes import TranscoderShape

Site = tuple[int, int, int]
"""Layer, position and index of an active feature."""
Edges = Mapping[tuple[Site, Site], float]


class ChosenTranscoders:
    """Per-layer transcoders that read and write at the residual stream, with given vectors."""

    def __init__(self, encoders: list[Tensor], decoders: list[Tensor]) -> None:
        self._encoders, self._decoders = encoders, decoders
        sizes = tuple(len(rows) for rows in encoders)
        width = encoders[0].shape[1]
        self.shape = TranscoderShape(
            "plt", len(sizes), width, sizes, "hook_resid_mid", "hook_mlp_out", "relu", False, 2 * width * sum(sizes)
        )

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        return self._encoders[layer][features_F], torch.zeros(len(features_F))

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        assert output_layer == layer
        return self._decoders[layer][features_F]

    def skip(self, layer: int) -> Tensor | None:
        return None


def vectors_with(virtual: np.ndarray) -> FeatureVectors:
    """Two layers of features whose virtual weights are those of the matrix [features of layer 0, of layer 1]."""
    weights = torch.from_numpy(np.asarray(virtual, dtype=np.float64))
    first, second = weights.shape
    nothing = torch.zeros(second, second, dtype=torch.float64)
    encoders = [torch.zeros(first, second, dtype=torch.float64), torch.eye(second, dtype=torch.float64)]
    transcoders: Any = ChosenTranscoders(encoders, [weights, nothing])
    return FeatureVectors(transcoders)


def graph_with(
    prompt: str,
    sites: Mapping[Site, float],
    edges: Edges | None = None,
    num_positions: int = 2,
    read: float | None = 1.0,
    **metadata: Any,
) -> Graph:
    """A graph of two layers with these active features, all of which are nodes, and these edges among them.

    All norm scales are 1, except those of reading, which are `read`; None for an early version, without scales.
    """
    base = random_graph(
        prompt, num_layers=2, num_positions=num_positions, num_active=0, metadata=metadata, pruned=False
    )
    order = sorted(sites)
    layer, position, feature = np.array(order, dtype=np.int64).reshape(-1, 3).T
    activation = np.array([sites[site] for site in order], dtype=np.float32)
    active = ActiveTable(layer.astype(np.int16), position.astype(np.int32), feature.astype(np.int32), activation)
    last = np.full(len(base.targets), num_positions - 1, dtype=np.int32)
    nodes = NodeTable.build(active, 2, base.tokens_P, last)
    number = {site: node for node, site in enumerate(order)}  # features are the first nodes
    into: list[list[tuple[int, float]]] = [[] for _ in range(len(nodes))]
    for (source, target), weight in (edges or {}).items():
        into[number[target]].append((number[source], weight))
    flat = [edge for row in into for edge in sorted(row)]
    zeros = np.zeros(len(nodes), dtype=np.float32)
    ones = np.ones((num_positions, 2), dtype=np.float32)
    scales = None if read is None else NormScales(ones * np.float32(read), ones, ones[:, 0])
    assert (nodes.kind_N[: len(order)] == NodeKind.FEATURE).all()
    return replace(
        base,
        nodes=nodes,
        indptr=np.cumsum([0, *(len(row) for row in into)]).astype(np.int64),
        source_E=np.array([source for source, _ in flat], dtype=np.int32),
        weight_E=np.array([weight for _, weight in flat], dtype=np.float32),
        **dict.fromkeys(("row_abs_sum_N", "row_abs_sum_all_N", "row_abs_dropped_N", "constant_N"), zeros),
        influence_N=zeros,
        active=active,
        scales=scales,
    )
