"""Prune a graph: keep the nodes and edges that carry a given share of influence.

This module works on graphs in numpy arrays, such as those read from a store. While a prompt is traced,
`trace/dense_pruning.py` applies the same rule on the device that has the rows. The rule is from Ameisen et al. 2025,
"Circuit Tracing", appendix on graph pruning. Axes: N node, E edge, I edge kept so far.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Real

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..text import short
from .graph import Graph
from .influence import Floats, edge_shares, influence
from .nodes import NodeKind

Mask = npt.NDArray[np.bool_]

ROUND_OFF = 2.0**-40
"""Edge scores count as equal if they differ by less than this, relative to their size, and a share counts as reached if
it is smaller by no more than this. Sums in float64 depend on their order, which differs between devices."""
NODE_ROUND_OFF = 2.0**-22
"""Influences count as equal if they differ by less than this, relative to their size. They are rounded to float32, so
equal ones may end up as neighbouring floats."""
_MOST = float(np.finfo(np.float32).max)


def prune(graph: Graph, node_threshold: float = 0.8, edge_threshold: float = 0.98) -> Graph:
    """Return the sub-graph of the nodes that cover `node_threshold` of influence and the edges that cover
    `edge_threshold` of edge score.

    Tokens and targets always stay, and so does every item that equals the last item needed, up to round-off. Then nodes
    without an outgoing edge and features without an incoming edge are removed until there are no more of them.
    Influence, row sums and scores stay those of the whole graph. Raises ConfigError for a threshold that is not in
    (0, 1], and for an imported graph whose influence or weights of targets or edges are not known or beyond float32.
    """
    return _take(graph, *kept_by_pruning(graph, node_threshold, edge_threshold), graph.target_E())


def kept_by_pruning(graph: Graph, node_threshold: float, edge_threshold: float) -> tuple[Mask, npt.NDArray[np.intp]]:
    """Return which nodes `prune` keeps [N], and the numbers of the edges that it keeps, ascending.

    The errors are those of `prune`.
    """
    check_thresholds(node_threshold, edge_threshold)
    _check_known(graph)
    kind_N, target_E, source_E = graph.nodes.kind_N, graph.target_E(), graph.source_E
    stays_N = (kind_N == NodeKind.TOKEN) | (kind_N == NodeKind.TARGET)
    influence_N = graph.influence_N.astype(np.float64)
    keep_N = stays_N | (influence_N >= _cut(influence_N, node_threshold, NODE_ROUND_OFF))
    edge_I = np.flatnonzero(keep_N[target_E] & keep_N[source_E])
    score_I = _edge_scores(graph, target_E[edge_I], source_E[edge_I], graph.weight_E[edge_I])
    edge_I = edge_I[score_I >= _cut(score_I, edge_threshold, ROUND_OFF)]
    target_I, source_I = target_E[edge_I], source_E[edge_I]
    keep_N = _without_dangling(keep_N, stays_N, kind_N == NodeKind.FEATURE, target_I, source_I)
    return keep_N, edge_I[keep_N[target_I] & keep_N[source_I]]


def check_thresholds(node_threshold: float, edge_threshold: float) -> None:
    """Raise ConfigError for a threshold that is not in (0, 1]."""
    for name, share in (("node_threshold", node_threshold), ("edge_threshold", edge_threshold)):
        if not isinstance(share, Real) or not 0.0 < share <= 1.0:
            raise ConfigError(f"{name} must be in (0, 1], not {share!r}")


def _check_known(graph: Graph) -> None:
    """Raise ConfigError if nothing says which nodes are influential."""
    values = {
        "the influence of {} nodes": graph.influence_N,
        "the weights of {} targets": np.array([target.weight for target in graph.targets]),
        "the weights of {} edges": graph.weight_E,
    }
    # weights of targets are float64: sums of larger ones overflow
    counts = {what: int(np.count_nonzero(~(np.abs(numbers) <= _MOST))) for what, numbers in values.items()}
    if any(counts.values()):
        raise ConfigError(
            f"the graph of {short(graph.prompt_id)} cannot be pruned, because these are not known or beyond float32: "
            + ", ".join(what.format(f"{count:,}") for what, count in counts.items() if count)
        )


def _cut(score: Floats, share: float, round_off: float) -> float:
    """Return the smallest score that stays: that of the last item needed to cover `share` of the sum, largest first.

    With a share of 1 every item that is not zero stays, even one that round-off loses in the sum.
    """
    descending = np.sort(score[score > 0])[::-1]
    if not len(descending):
        return 0.0
    if share == 1:
        return float(descending[-1])
    covered = np.cumsum(descending)
    last = min(int(np.searchsorted(covered / covered[-1], share * (1 - ROUND_OFF))), len(descending) - 1)
    return float(descending[last]) * (1 - round_off)


def _edge_scores(
    graph: Graph,
    target_E: npt.NDArray[np.int32],
    source_E: npt.NDArray[np.int32],
    weight_E: npt.NDArray[np.float32],
) -> Floats:
    """Return the score of each edge: its share of its row times the influence of the explained node.

    Both are computed among the kept nodes only.
    """
    num_nodes = len(graph.nodes)
    row_sum_N = np.bincount(target_E, weights=np.abs(weight_E), minlength=num_nodes).astype(np.float64)
    if graph.constant_node:
        row_sum_N += np.nan_to_num(np.abs(graph.constant_N)) * (row_sum_N > 0)
    share_E = edge_shares(target_E, weight_E, row_sum_N)
    start_N = graph.target_weights_N()
    passing_N = influence(target_E, source_E, share_E, start_N).total_N + start_N
    scores: Floats = share_E * passing_N[target_E]
    return scores


def _without_dangling(
    keep_N: Mask,
    stays_N: Mask,
    is_feature_N: Mask,
    target_I: npt.NDArray[np.int32],
    source_I: npt.NDArray[np.int32],
) -> Mask:
    while True:
        alive_I = keep_N[target_I] & keep_N[source_I]
        has_out_N, has_in_N = np.zeros_like(keep_N), np.zeros_like(keep_N)
        has_out_N[source_I[alive_I]] = True
        has_in_N[target_I[alive_I]] = True
        kept_N = keep_N & (stays_N | has_out_N) & (~is_feature_N | has_in_N)
        if (kept_N == keep_N).all():
            return kept_N
        keep_N = kept_N


def _take(graph: Graph, keep_N: Mask, edge_I: npt.NDArray[np.intp], target_E: npt.NDArray[np.int32]) -> Graph:
    number_N = np.cumsum(keep_N, dtype=np.int32) - 1
    in_degree_N = np.bincount(target_E[edge_I], minlength=len(keep_N))[keep_N]
    return replace(
        graph,
        nodes=graph.nodes.take(keep_N),
        indptr=np.concatenate([[0], np.cumsum(in_degree_N)]).astype(np.int64),
        source_E=number_N[graph.source_E[edge_I]].astype(np.int32),
        weight_E=graph.weight_E[edge_I],
        row_abs_sum_N=graph.row_abs_sum_N[keep_N],
        row_abs_sum_all_N=graph.row_abs_sum_all_N[keep_N],
        row_abs_dropped_N=graph.row_abs_dropped_N[keep_N],
        constant_N=graph.constant_N[keep_N],
        influence_N=graph.influence_N[keep_N],
    )
