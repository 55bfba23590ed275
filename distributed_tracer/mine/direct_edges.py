"""direct_edges: each edge of a graph as the sum of what is carried directly, by linear skips, and by attention.

Axes: E edge, P position, L layer, N node, X edge that is examined, R row of a graph, F feature, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from .feature_vectors import FeatureVectors, Floats, pair_products

WITHOUT_SCALES = (
    "the frozen norm scales are not stored (imported, or stored by an early version), so that direct and "
    "attention-mediated parts of edges at one position are not known: trace the prompts again into a new store"
)


@dataclass(frozen=True, eq=False)
class EdgeParts:
    """The parts of every edge of a graph, in the order of its edges, in float64 [E].

    direct + skip + attention = weight. NaN is not known.
    """

    direct_E: Floats
    """What the target reads of what the source writes, at the same position; 0 between different positions."""
    skip_E: Floats
    """What linear skips of the transcoders between them carry at this position; 0 without such skips."""
    attention_E: Floats
    """What attention carries: all of an edge between different positions, and else the rest."""
    unknown: str = ""
    """Why no edge at one position could be split; empty if those between features could."""


def direct_edges(graph: Graph, vectors: FeatureVectors) -> EdgeParts:
    """Split every edge of a graph into what is carried directly, by linear skips, and by attention.

    `vectors` are those of the transcoders with which the graph was traced. Edges between features are split, and edges
    between different positions, which attention alone carries. Edges at one position from errors and tokens and into
    targets are not known (NaN): they need the errors, the embedding and the unembedding. So are all edges at one
    position if the graph has no norm scales; `unknown` then says what to do. Raises ConfigError for transcoders with
    another number of layers.
    """
    if vectors.shape.num_layers != graph.num_layers:
        raise ConfigError(
            f"the transcoders have {vectors.shape.num_layers} layers, and the graph's model has {graph.num_layers}"
        )
    nodes, target_E, weight_E = graph.nodes, graph.target_E(), graph.weight_E.astype(np.float64)
    is_same_E = nodes.position_N[target_E] == nodes.position_N[graph.source_E]
    direct_E, skip_E = (np.where(is_same_E, np.nan, 0.0) for _ in range(2))
    is_feature_N = nodes.kind_N == NodeKind.FEATURE
    split_X = np.flatnonzero(is_same_E & is_feature_N[target_E] & is_feature_N[graph.source_E])
    if graph.scales is not None:
        ends = graph.source_E[split_X].astype(np.int64), target_E[split_X].astype(np.int64)
        direct_E[split_X] = _direct(graph, vectors, *ends)
        skip_E[split_X] = _skip(graph, vectors, *ends) if vectors.shape.has_skip else 0.0
    unknown = WITHOUT_SCALES if graph.scales is None and is_same_E.any() else ""
    return EdgeParts(direct_E, skip_E, weight_E - (direct_E + skip_E), unknown)


def _direct(
    graph: Graph, vectors: FeatureVectors, source_X: npt.NDArray[np.int64], target_X: npt.NDArray[np.int64]
) -> Floats:
    """Return the direct parts of edges between features at one position."""
    nodes, scales = graph.nodes, graph.scales
    assert scales is not None
    part_X = np.zeros(len(source_X))
    layer_X, reader_X = nodes.layer_N[source_X], nodes.layer_N[target_X]
    for reader in np.unique(reader_X).tolist():
        features, read_of = np.unique(nodes.feature_N[target_X[reader_X == reader]], return_inverse=True)
        read_FD = vectors.read(reader, features)
        for layer in np.unique(layer_X[reader_X == reader]).tolist():
            own = (reader_X == reader) & (layer_X == layer)
            row_of = read_of[layer_X[reader_X == reader] == layer]
            written, column_of = np.unique(nodes.feature_N[source_X[own]], return_inverse=True)
            position_X = nodes.position_N[source_X[own]]
            sum_X = np.zeros(len(row_of))
            for to in vectors.writes_below(layer, reader):
                product_X = _pair_products_once(vectors.written(layer, written, to), read_FD, column_of, row_of)
                sum_X += scales.write_PL[position_X, to].astype(np.float64) * product_X
            activation_X = nodes.activation_N[source_X[own]].astype(np.float64)
            part_X[own] = activation_X * scales.read_PL[position_X, reader].astype(np.float64) * sum_X
    return part_X


def _pair_products_once(a_FD: Floats, b_FD: Floats, a_X: npt.NDArray[np.intp], b_X: npt.NDArray[np.intp]) -> Floats:
    """Return `pair_products`, each pair computed once: features often meet at several positions."""
    pairs, pair_X = np.unique(a_X.astype(np.int64) * max(1, len(b_FD)) + b_X, return_inverse=True)
    a, b = np.divmod(pairs, max(1, len(b_FD)))
    return pair_products(a_FD, b_FD, a, b)[pair_X]


def _skip(
    graph: Graph, vectors: FeatureVectors, source_X: npt.NDArray[np.int64], target_X: npt.NDArray[np.int64]
) -> Floats:
    """Return what linear skips carry of edges between features at one position: the gradient of each target passes
    down through them, and attention is left out."""
    nodes, scales = graph.nodes, graph.scales
    assert scales is not None
    target_R, row_X = np.unique(target_X, return_inverse=True)
    reader_R, position_R = nodes.layer_N[target_R], nodes.position_N[target_R]
    own_RD = np.zeros((len(target_R), vectors.shape.d_model))
    for reader in np.unique(reader_R).tolist():
        rows = np.flatnonzero(reader_R == reader)
        scale = scales.read_PL[position_R[rows], reader].astype(np.float64)
        own_RD[rows] = vectors.read(reader, nodes.feature_N[target_R[rows]]) * scale[:, None]
    carried_RD = np.zeros_like(own_RD)
    part_X, layer_X = np.zeros(len(source_X)), nodes.layer_N[source_X]
    for layer in range(int(reader_R.max(initial=0)) - 1, -1, -1):
        for source_layer in np.unique(layer_X[layer_X <= layer]).tolist():
            if layer not in vectors.shape.writes_to(source_layer):
                continue
            own = np.flatnonzero((layer_X == source_layer) & (reader_R[row_X] > layer))
            features, column_of = np.unique(nodes.feature_N[source_X[own]], return_inverse=True)
            product = pair_products(vectors.written(source_layer, features, layer), carried_RD, column_of, row_X[own])
            scale = scales.write_PL[nodes.position_N[source_X[own]], layer].astype(np.float64)
            part_X[own] += nodes.activation_N[source_X[own]].astype(np.float64) * scale * product
        rows = np.flatnonzero(reader_R > layer)
        passed = vectors.through_skip(layer, own_RD[rows] + carried_RD[rows])
        if passed is not None:
            read, write = (of[position_R[rows], layer].astype(np.float64) for of in (scales.read_PL, scales.write_PL))
            carried_RD[rows] += (read * write)[:, None] * passed
    return part_X
