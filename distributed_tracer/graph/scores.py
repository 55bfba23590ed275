"""Influence of every node, replacement and completeness score, where influence ends and over how many edges.

Formulas: Ameisen et al. 2025, "Circuit Tracing", section on graph scores. N node, E edge, H edges walked, L layer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .graph import Scores
from .influence import Floats, Influence, Ints, edge_shares, influence
from .nodes import Kind, NodeTable


def score(
    nodes: NodeTable,
    num_layers: int,
    target_E: Ints,
    source_E: Ints,
    weight_E: npt.NDArray[np.float32],
    row_abs_sum_N: Floats,
    constant_N: Floats,
    start_N: Floats,
    closing_error: float,
) -> tuple[Floats, Scores]:
    """Influence [N] and scores of a whole graph.

    `row_abs_sum_N` and `constant_N` are zero where there is no row (and where the constant takes no part);
    `start_N` holds the targets' weights.
    """
    share_E = edge_shares(target_E, weight_E, row_abs_sum_N)
    found = influence(target_E, source_E, share_E, start_N)
    is_error, is_token = nodes.kind_N == Kind.ERROR, nodes.kind_N == Kind.TOKEN
    error, token = found.total_N[is_error].sum(), found.total_N[is_token].sum()
    from_errors_N = np.bincount(target_E, weights=share_E * is_error[source_E], minlength=len(nodes))
    passing_N = found.total_N + start_N
    constant_H = _to_constant(found, start_N, row_abs_sum_N, constant_N)
    ends_H = constant_H + np.append(found.walked_HN[:, is_error | is_token].sum(1), 0)
    ends = ends_H.sum()
    errors_L = np.bincount(nodes.layer_N[is_error], weights=found.total_N[is_error], minlength=num_layers)
    return found.total_N, Scores(
        replacement=_share(token, token + error),
        completeness=_share(float(((1 - from_errors_N) * passing_N).sum()), passing_N.sum()),
        constant_share=_share(constant_H.sum(), ends),
        error_share_L=tuple(_share(e, ends) for e in errors_L),
        path_length_H=tuple(_share(h, ends) for h in np.trim_zeros(ends_H, "b")),
        closing_error=closing_error,
    )


def _to_constant(found: Influence, start_N: Floats, row_abs_sum_N: Floats, constant_N: Floats) -> Floats:
    """Influence that ends in the constant after 1, 2, ... edges: one more entry than there are walks."""
    share_N = np.divide(np.abs(constant_N), row_abs_sum_N, out=np.zeros(len(start_N)), where=row_abs_sum_N > 0)
    ends: Floats = np.vstack([start_N, found.walked_HN]) @ share_N
    return ends


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
