"""Scores of a subgraph: how much of the model's answer the chosen features explain if all others count as errors.

The definition is that of Neuronpedia's graph page (`score.worker.ts`, of 2025). A feature that is not chosen is merged
into the error of its layer and position: its effects on other nodes are added to those of the error, with their signs,
and its own row is removed. Then rows are normalised again and both scores are computed from the new edges as those of a
whole graph are: the replacement score is the influence of tokens, divided by that of tokens and errors; the
completeness is the influence-weighted share of incoming |edges| that does not come from errors (Ameisen et al. 2025,
"Circuit Tracing", on graph pruning and on the evaluation of graphs).

Axes: N node, E edge, P position, X node, and after the nodes the error of each layer and position.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from ..errors import ConfigError
from ..names import unknown
from .context import NodeKey
from .graph import Graph
from .influence import Floats, edge_shares, influence
from .node_keys import node_numbers
from .nodes import NodeKind

PrunedErrors = Literal["keep", "drop"]
_PRUNED_ERRORS = ("keep", "drop")


class SubgraphScores(NamedTuple):
    """Scores of a subgraph, and how much of the whole graph they rest on. NaN is unknown."""

    replacement: float
    completeness: float
    stored_share: float
    """The share of the whole rows, before pruning, that the graph's edges have: see `stored_share`."""


def subgraph_scores(
    graph: Graph, nodes: Iterable[int | NodeKey], pruned_errors: PrunedErrors = "keep"
) -> SubgraphScores:
    """Return the scores of the subgraph that has, of the features of the graph, only those among `nodes`.

    Nodes are given by number or by key. All tokens, errors and targets take part, whether they are among `nodes` or
    not. If all features are given and the graph was not pruned, the scores are the graph's own.

    The scores are of the edges that the graph has. Pruning removed others, of which nobody knows whether they come from
    tokens, features or errors, so that the scores of a pruned graph, also with all of its features, differ from those
    of the whole one; `stored_share` says how much is left. If the constant takes part in the graph's normalisation, it
    counts as in the graph's own scores: in the sums of rows, and not as an error.

    A feature may have to be merged into an error that pruning removed. With `pruned_errors="keep"` that error is there
    again, with these effects alone. Neuronpedia drops such features together with their effects, so that less counts
    as an error: `pruned_errors="drop"` does so, too. Neuronpedia computes the scores of the whole graph if nothing is
    pinned; here, all features are merged then.

    Scores are NaN if the weight of a target or of an edge is not known or not finite, and if no influence reaches a
    token or an error. Raises ConfigError for nodes that the graph does not have, RuntimeError for a graph with a cycle.
    """
    if pruned_errors not in _PRUNED_ERRORS:
        raise ConfigError(unknown("way to treat pruned errors", pruned_errors, _PRUNED_ERRORS))
    is_merged_N = graph.nodes.kind_N == NodeKind.FEATURE
    is_merged_N[node_numbers(graph, nodes)] = False
    start_N = graph.target_weights_N()
    if not (np.isfinite(graph.weight_E).all() and np.isfinite(start_N).all()):
        return SubgraphScores(float("nan"), float("nan"), stored_share(graph))
    target_E, source_E, weight_E = _merged(graph, is_merged_N, pruned_errors)
    num_nodes, size = len(graph.nodes), len(graph.nodes) + graph.num_layers * len(graph.tokens_P)
    start_X = np.append(start_N, np.zeros(size - num_nodes))
    sum_X: Floats = np.bincount(target_E, np.abs(weight_E), size).astype(np.float64)
    sum_X[:num_nodes] += _constants(graph)
    share_E = edge_shares(target_E, weight_E, sum_X)
    total_X = influence(target_E, source_E, share_E, start_X).total_N
    is_error_E = source_E >= num_nodes
    error, token = total_X[num_nodes:].sum(), total_X[graph.nodes.where(NodeKind.TOKEN)].sum()
    from_error_X = np.bincount(target_E[is_error_E], share_E[is_error_E], size)
    passing_X = total_X + start_X
    return SubgraphScores(
        _share(token, token + error),
        _share(((1 - from_error_X) * passing_X).sum(), passing_X.sum()),
        stored_share(graph),
    )


def stored_share(graph: Graph) -> float:
    """Return the share of the rows before pruning that the graph's edges have, as a mean over nodes by influence.

    A row's part is the sum of its |edge| (and |constant|, if it takes part), divided by the row's sum before pruning.
    The result is 1 for a graph that was not pruned, up to round-off. It is NaN if a weight, an influence or the sum of
    a row is not known, as in graphs that were imported after pruning.
    """
    size = len(graph.nodes)
    passing_N = graph.influence_N.astype(np.float64) + graph.target_weights_N()
    with np.errstate(invalid="ignore"):
        own_N = np.bincount(graph.target_E(), np.abs(graph.weight_E.astype(np.float64)), size) + _constants(graph)
        whole_N = graph.row_abs_sum_N.astype(np.float64)
    has_row_N = (graph.nodes.kind_N == NodeKind.FEATURE) | (graph.nodes.kind_N == NodeKind.TARGET)
    weight_N = np.where(has_row_N & (whole_N != 0), passing_N, 0.0)  # NaN is not 0: an unknown sum takes part
    part_N = np.divide(own_N, whole_N, out=np.zeros(size), where=has_row_N & (whole_N != 0))
    share = _share(float(weight_N @ part_N), float(weight_N.sum()))
    return min(share, 1.0) if np.isfinite(share) else float("nan")


def _constants(graph: Graph) -> Floats:
    """Return what the constant adds to the sum of each row [N]; 0 if it does not take part."""
    constants: Floats = np.abs(np.nan_to_num(graph.constant_N.astype(np.float64)))
    return constants if graph.constant_node else np.zeros_like(constants)


def _merged(
    graph: Graph, is_merged_N: npt.NDArray[np.bool_], pruned_errors: PrunedErrors
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Floats]:
    """Return targets, sources and weights of the new edges; the sources of those from errors are numbers from N on."""
    nodes, target_E, source_E = graph.nodes, graph.target_E(), graph.source_E
    error_N = len(nodes) + nodes.layer_N.astype(np.int64) * len(graph.tokens_P) + nodes.position_N
    is_error_N = nodes.kind_N == NodeKind.ERROR
    is_dropped_N = is_merged_N & ~np.isin(error_N, error_N[is_error_N]) & (pruned_errors == "drop")
    new_N = np.where(is_merged_N | is_error_N, error_N, np.arange(len(nodes)))
    stays_E = ~is_merged_N[target_E] & ~is_dropped_N[source_E]
    ends = (target_E[stays_E], new_N[source_E[stays_E]])
    size = len(nodes) + graph.num_layers * len(graph.tokens_P)
    new_XX = coo_array((graph.weight_E[stays_E].astype(np.float64), ends), shape=(size, size)).tocsr().tocoo()
    target, source = (end.astype(np.int32) for end in new_XX.coords)
    return target, source, new_XX.data


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
