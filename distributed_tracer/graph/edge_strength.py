"""Strength of edges: what each edge adds to the node that it explains, and how much influence it passes on.

Axes: N node, E edge.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from .graph import Graph
from .nodes import NodeKind

Rows = Literal["whole", "stored"]
"""What a row is normalised by: its sum before pruning, or that of the edges that the graph has."""
_ROWS = ("whole", "stored")


def normalisers(graph: Graph, rows: Rows) -> npt.NDArray[np.float64]:
    """Return what each row is normalised by [N]: NaN where that is not known or where there is no row, with
    `rows="whole"`.

    Raises ConfigError for another way to normalise.
    """
    if rows not in _ROWS:
        raise ConfigError(unknown("way to normalise rows", rows, _ROWS))
    if rows == "stored":
        return np.bincount(graph.target_E(), np.abs(graph.weight_E), len(graph.nodes)).astype(np.float64)
    return graph.row_abs_sum_N.astype(np.float64)


def row_sums(graph: Graph) -> npt.NDArray[np.float64]:
    """Return the sum of |edge| of each node's row [N], zero for nodes without one.

    Where the sum before pruning is unknown, as in an imported graph, it is that of the edges that the graph has.
    """
    known_N = graph.row_abs_sum_N.astype(np.float64)
    own_N = np.bincount(graph.target_E(), _sizes(graph), len(graph.nodes))
    return np.where(np.isfinite(known_N) & (known_N > 0), known_N, own_N)


def has_influence(graph: Graph) -> bool:
    """Whether the influence of any feature, error or token is known. Imported graphs may have none."""
    return bool(np.isfinite(graph.influence_N[graph.nodes.kind_N != NodeKind.TARGET]).any())


def has_influence_shares(graph: Graph) -> bool:
    """Whether the influence of nodes is a share of that of all nodes, as in graphs that were imported from files of
    viewers. In other graphs it is a part of the weights of the targets."""
    return graph.metadata.get("imported_influence") == "shares"


def passing_influence(graph: Graph) -> npt.NDArray[np.float64]:
    """Return what flows through each node [N]: its influence, or the weight of a target.

    An unknown influence counts as 0; in a graph of which no influence is known, all nodes count the same.
    """
    if len(graph.nodes) and not has_influence(graph):
        return np.ones(len(graph.nodes))
    return np.nan_to_num(graph.influence_N.astype(np.float64)) + np.nan_to_num(graph.target_weights_N())


def passed_influence(graph: Graph) -> npt.NDArray[np.float64]:
    """Return for each edge [E] the influence that it passes on: its share of its row times the influence of the
    explained node."""
    target_E = graph.target_E()
    passed_E: npt.NDArray[np.float64] = _sizes(graph) / np.maximum(row_sums(graph), 1e-30)[target_E]
    return passed_E * passing_influence(graph)[target_E]


def _sizes(graph: Graph) -> npt.NDArray[np.float64]:
    """Return |edge|, with zero for weights that are not finite."""
    sizes_E: npt.NDArray[np.float64] = np.abs(graph.weight_E.astype(np.float64))
    return np.where(np.isfinite(sizes_E), sizes_E, 0.0)
