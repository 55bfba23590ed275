"""Strongest paths: the chains of edges along which most influence flows from tokens to a target, in one graph.

Axes: N node, E edge, I path of a node, strongest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.columns import KINDS
from ..graph.edge_strength import Rows, normalisers
from ..graph.graph import Graph
from ..graph.influence import edge_shares
from ..names import unknown
from ..table import Table
from ..text import short


def strongest_paths(
    graph: Graph,
    k: int = 10,
    *,
    target: int | None = None,
    begin: str | Sequence[str] = "token",
    rows: Rows = "whole",
) -> Table:
    """Return the `k` paths with the largest share, from nodes of the kinds in `begin` to a target, strongest first.

    The share of a path is the weight of its target times the product, over its edges, of |edge| divided by the
    normaliser of the row (`row_abs_sum`). It is the part of the influence of the first node that flows along this path:
    in a graph that was not pruned, the shares of all paths that begin in a node add up to its influence. Columns:
    share, sign (that of the product of the edges: 1 or -1), edges (their number), nodes (list of node numbers from the
    first node to the target) and path (their names). `target` is the number of one of the graph's targets; default all.
    With `rows="stored"`, an edge's share is that of the edges that are stored, and not of the whole row before pruning.
    The answer is exact. Raises ConfigError for an unknown kind or target, if `k` is not positive, and for an imported
    graph of which the sums of rows or the weights of targets are not known; RuntimeError for a graph with a cycle.
    """
    kinds = [begin] if isinstance(begin, str) else list(begin)
    for kind in kinds:
        if kind not in KINDS[:-1]:
            raise ConfigError(unknown("kind of node that a path may begin with", kind, KINDS[:-1]))
    if isinstance(k, bool) or k < 1:
        raise ConfigError(f"k must be at least 1, not {k}")
    if target is not None and not 0 <= target < len(graph.targets):
        raise ConfigError(f"target {target} is not among the {len(graph.targets)} of {graph.prompt_id!r}, from 0")
    start_N = graph.target_weights_N()
    if target is not None:
        start_N[~((graph.nodes.kind_N == KINDS.index("target")) & (graph.nodes.feature_N == target))] = 0.0
    share_E = edge_shares(graph.target_E(), graph.weight_E, _row_sums(graph, rows, start_N))
    share_NI, edge_NI, rank_NI = _best(graph, share_E, start_N, k)
    wanted = np.isin(graph.nodes.kind_N, [KINDS.index(kind) for kind in kinds])
    share_NI = np.where(wanted[:, None], share_NI, 0.0)
    order = np.argsort(-share_NI, axis=None, kind="stable")[: min(k, np.count_nonzero(share_NI))]
    paths = [_walk(graph, edge_NI, rank_NI, *divmod(int(place), k)) for place in order]
    return Table(
        {
            "share": share_NI.ravel()[order],
            "sign": np.array([sign for _, sign in paths], dtype=np.int8),
            "edges": np.array([len(nodes) - 1 for nodes, _ in paths], dtype=np.int64),
            "nodes": [nodes for nodes, _ in paths],
            "path": [" → ".join(map(graph.node_label, nodes)) for nodes, _ in paths],
        }
    )


def _row_sums(graph: Graph, rows: Rows, start_N: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what each row is normalised by. Raises ConfigError if it is not known, nor the weight of each target."""
    sums_N = normalisers(graph, rows)
    num_rows = int(np.isnan(sums_N[np.diff(graph.indptr) > 0]).sum())
    if num_rows or np.isnan(start_N).any():
        raise ConfigError(
            f"the shares of paths in the graph of {short(graph.prompt_id)} are not known: nor are the sums of "
            f"{num_rows:,} of its rows and the weights of {int(np.isnan(start_N).sum()):,} of its targets. Without "
            f"sums, rows='stored' takes shares of the edges that are stored"
        )
    return sums_N


def _best(
    graph: Graph, share_E: npt.NDArray[np.float64], start_N: npt.NDArray[np.float64], k: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the largest shares [N, I] of the paths from each node to the targets, and how each path goes on.

    A path goes on along an edge, with the path of some rank of the edge's target: int [N, I] each, -1 at targets.
    """
    target_E, source_E = graph.target_E(), graph.source_E
    size = len(graph.nodes)
    by_source = np.argsort(source_E, kind="stable")
    first_N = np.searchsorted(source_E[by_source], np.arange(size + 1))
    share_NI = np.zeros((size, k))
    share_NI[:, 0] = start_N
    edge_NI, rank_NI = np.full((size, k), -1), np.full((size, k), -1)
    for node in _targets_first(graph, target_E):
        edges = by_source[first_N[node] : first_N[node + 1]]
        if not len(edges):
            continue
        found = np.concatenate([share_NI[node, :1], (share_NI[target_E[edges]] * share_E[edges, None]).ravel()])
        best = np.argsort(-found, kind="stable")[:k]
        best = best[found[best] > 0]
        taken = slice(len(best))
        share_NI[node] = 0.0
        share_NI[node, taken] = found[best]
        goes_on = best > 0
        edge_NI[node, taken] = np.where(goes_on, edges[(best - 1) // k], -1)
        rank_NI[node, taken] = np.where(goes_on, (best - 1) % k, -1)
    return share_NI, edge_NI, rank_NI


def _targets_first(graph: Graph, target_E: npt.NDArray[np.int32]) -> list[int]:
    """Return all nodes in an order in which the target of every edge is before its source."""
    layer_N = graph.nodes.layer_N
    if (layer_N[graph.source_E] < layer_N[target_E]).all():
        return [int(node) for node in np.argsort(-layer_N, kind="stable")]
    after: dict[int, set[int]] = {node: set() for node in range(len(layer_N))}
    for source, target, _ in graph.edges():
        after[source].add(target)
    try:
        return list(TopologicalSorter(after).static_order())
    except CycleError:
        raise RuntimeError(f"the graph of {graph.prompt_id!r} has a cycle, so it has paths without an end") from None


def _walk(
    graph: Graph, edge_NI: npt.NDArray[np.int64], rank_NI: npt.NDArray[np.int64], node: int, rank: int
) -> tuple[list[int], int]:
    """Return the nodes of one path, and the sign of the product of its edges."""
    target_E, nodes, sign = graph.target_E(), [node], 1
    while (edge := int(edge_NI[node, rank])) >= 0:
        node, rank = int(target_E[edge]), int(rank_NI[node, rank])
        nodes.append(node)
        sign = -sign if graph.weight_E[edge] < 0 else sign
    return nodes, sign
