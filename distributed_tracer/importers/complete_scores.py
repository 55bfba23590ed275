"""complete_scores: influence and scores of a graph whose every edge is known, as `trace` computes them.

Axes: N node, E edge, L layer, W number of edges walked.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph.graph import Graph, Scores
from ..graph.influence import edge_shares, influence
from ..graph.nodes import NodeKind


def with_complete_scores(graph: Graph) -> Graph:
    """Return the graph with the sums of its rows, influence, and the scores that follow from them.

    The graph must have every node and every edge of the active features, and no constant. `row_abs_sum_all_N` is known
    only if all active features are nodes; the constant and the closing error stay unknown.
    """
    kind_N, target_E = graph.nodes.kind_N, graph.target_E()
    has_row_N = (kind_N == NodeKind.FEATURE) | (kind_N == NodeKind.TARGET)
    weights_E = np.abs(graph.weight_E.astype(np.float64))
    sum_N = np.bincount(target_E, weights=weights_E, minlength=len(kind_N)).astype(np.float64)
    share_E, start_N = edge_shares(target_E, graph.weight_E, sum_N), graph.target_weights_N()
    walked = influence(target_E, graph.source_E, share_E, start_N)
    row_N = np.where(has_row_N, sum_N, np.nan).astype(np.float32)
    nodes_are_all = len(graph.active) == np.count_nonzero(kind_N == NodeKind.FEATURE)
    is_error_N, is_token_N = kind_N == NodeKind.ERROR, kind_N == NodeKind.TOKEN
    from_error_N = np.bincount(target_E, weights=share_E * is_error_N[graph.source_E], minlength=len(kind_N))
    passing_N = walked.total_N + start_N
    error_L = np.bincount(
        graph.nodes.layer_N[is_error_N], weights=walked.total_N[is_error_N], minlength=graph.num_layers
    )
    token, ends_W = walked.total_N[is_token_N].sum(), walked.walked_WN[:, is_error_N | is_token_N].sum(axis=1)
    scores = Scores(
        replacement=_share(token, token + error_L.sum()),
        completeness=_share((passing_N * (1 - from_error_N)).sum(), passing_N.sum()),
        constant_share=0.0,
        error_share_L=tuple(_share(error, ends_W.sum()) for error in error_L),
        path_length_H=tuple(_share(length, ends_W.sum()) for length in np.trim_zeros(ends_W, "b")),
        closing_error=float("nan"),
    )
    return replace(
        graph,
        row_abs_sum_N=row_N,
        row_abs_sum_all_N=row_N if nodes_are_all else np.full_like(row_N, np.nan),
        row_abs_dropped_N=np.where(has_row_N, 0, np.nan).astype(np.float32),
        influence_N=walked.total_N.astype(np.float32),
        scores=scores,
    )


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
