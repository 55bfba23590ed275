"""Position folds: runs of positions of a long prompt at which nothing of a graph is influential.

A drawing may show each of them as one narrow column. Axes: N node, P position.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .. import plain_values
from ..errors import ConfigError
from .context import NodeKey
from .edge_strength import has_influence_shares
from .graph import Graph
from .node_keys import node_numbers
from .nodes import NodeKind


class PositionFold(NamedTuple):
    """Neighbouring positions that may be folded into one."""

    first: int
    last: int
    """The last position; it is folded, too."""
    num_nodes: int
    """Number of nodes at these positions, tokens included."""
    largest_share: float
    """The largest influence of one of these nodes, in the unit of the threshold."""


def position_folds(
    graph: Graph, threshold: float = 0.001, keep: Iterable[int | NodeKey] = (), min_length: int = 2
) -> list[PositionFold]:
    """Return the runs of at least `min_length` positions without a node of more influence than `threshold`.

    The threshold is a share of the weight of all targets; in a graph that was imported from a viewer's file, of the
    influence of all nodes, which is all that the file says. Positions of targets and of the nodes in `keep`, given by
    number or key, such as pinned ones, are never folded; nor are positions of nodes whose influence is not known, and
    if the weight of a target is not known, none is. Raises ConfigError for a threshold that is not from 0 to 1, a
    length of less than 1, and nodes that the graph does not have.
    """
    threshold = plain_values.finite(threshold, "a threshold", ConfigError)
    if not 0 <= threshold <= 1:
        raise ConfigError(f"a threshold is a share from 0 to 1, not {threshold:g}")
    if plain_values.integer(min_length, "a length", ConfigError) < 1:
        raise ConfigError(f"a fold has at least 1 position, not {min_length}")
    nodes, whole = graph.nodes, 1.0 if has_influence_shares(graph) else float(graph.target_weights_N().sum())
    share_N = graph.influence_N.astype(np.float64) / whole if whole > 0 else np.full(len(nodes), np.nan)
    stays_N = (nodes.kind_N == NodeKind.TARGET) | ~(share_N <= threshold)  # NaN is not known, and stays
    stays_N[node_numbers(graph, keep)] = True
    stays_P = np.zeros(len(graph.tokens_P), dtype=np.bool_)
    stays_P[nodes.position_N[stays_N]] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[True], stays_P, [True]])))  # where runs begin and end
    folds = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        inside = (nodes.position_N >= first) & (nodes.position_N < end)
        if end - first >= min_length:
            folds.append(PositionFold(first, end - 1, int(inside.sum()), float(share_N[inside].max(initial=0.0))))
    return folds
