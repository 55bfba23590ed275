"""A reference for whole graphs made of rows: edges one by one, influence and scores by numpy and scipy, on the host.

Axes: R row of a graph, N node, F feature selected, E edge, W number of edges walked, K target, L layer,
B row of a batch, C column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distributed_tracer.graph.graph import Graph, Scores
from distributed_tracer.graph.influence import Floats, Influence, Ints, edge_shares, influence
from distributed_tracer.graph.nodes import NodeKind, NodeTable
from distributed_tracer.prompt import Prompt
from distributed_tracer.trace.encode import ActiveFeatures
from distributed_tracer.trace.frontier import Frontier
from distributed_tracer.trace.targets import ResolvedTargets


def whole_graph(
    prompt: Prompt,
    token_strings: tuple[str, ...],
    directions: ResolvedTargets,
    features: ActiveFeatures,
    frontier: Frontier,
) -> Graph:
    """Return the graph that `assemble(...).whole()` must equal."""
    assert prompt.tokens is not None
    tokens_P, num_layers = np.array(prompt.tokens, dtype=np.int32), features.columns.num_layers
    active, num_targets = features.table(), len(directions.targets)
    selected_F, order_F = frontier.features_F.sort()
    row_R = torch.cat([order_F + num_targets, frontier.node_R[:num_targets].argsort()])
    positions_K = np.array(directions.position_K, dtype=np.int32)
    nodes = NodeTable.build(active.take(selected_F.numpy(force=True)), num_layers, tokens_P, positions_K)
    node_R = np.concatenate([np.arange(len(selected_F)), np.arange(len(nodes) - num_targets, len(nodes))])

    count_R, source_E, weight_E, abs_sum_R = _edges(frontier, _node_slots(features, selected_F), row_R)
    constant_R = frontier.constant_R[row_R]
    if frontier.config.constant_node:
        abs_sum_R = abs_sum_R + constant_R.abs()
    target_E = np.repeat(node_R.astype(np.int32), count_R)

    row_abs_sum_N, constant_N, all_N, dropped_N = (
        _at_nodes(value_R, node_R, len(nodes))
        for value_R in (abs_sum_R, constant_R, frontier.abs_sum_R[row_R], frontier.dropped_R[row_R])
    )
    start_N = np.zeros(len(nodes))
    start_N[len(nodes) - num_targets :] = [target.weight for target in directions.targets]
    influence_N, scores = score(
        nodes,
        num_layers,
        target_E,
        source_E,
        weight_E,
        np.nan_to_num(row_abs_sum_N),
        np.nan_to_num(constant_N) * frontier.config.constant_node,
        start_N,
        frontier.closing_error(),
    )
    return Graph(
        prompt_id=prompt.id,
        text=prompt.text,
        tokens_P=tokens_P,
        token_strings=token_strings,
        num_layers=num_layers,
        targets=directions.targets,
        nodes=nodes,
        indptr=np.concatenate([[0], np.cumsum(np.bincount(node_R, count_R, len(nodes)))]).astype(np.int64),
        source_E=source_E,
        weight_E=weight_E,
        row_abs_sum_N=row_abs_sum_N.astype(np.float32),
        row_abs_sum_all_N=all_N.astype(np.float32),
        row_abs_dropped_N=dropped_N.astype(np.float32),
        constant_N=constant_N.astype(np.float32),
        influence_N=influence_N.astype(np.float32),
        active=active,
        scores=scores,
        constant_node=frontier.config.constant_node,
        metadata=dict(prompt.metadata),
    )


def _node_slots(features: ActiveFeatures, selected_F: Tensor) -> Tensor:
    slot_C = features.columns.slot_C
    return torch.cat([slot_C[selected_F], slot_C[len(features) :]])


def _edges(
    frontier: Frontier, slot_N: Tensor, row_R: Tensor
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32], Tensor]:
    """Return, for rows in the order asked for, numbers of non-zero edges, sources, weights, and sums of |edge|."""
    counts: list[int] = []
    sources: list[Tensor] = []
    weights: list[Tensor] = []
    sums: list[Tensor] = []
    for block in frontier.blocks:
        edges_BN = block.edges.take(slot_N)
        sums.append(edges_BN.abs().sum(1, dtype=torch.float64))
        row_E, source_E = edges_BN.nonzero(as_tuple=True)
        count_B = row_E.bincount(minlength=len(block)).tolist()
        counts += count_B
        sources += source_E.int().cpu().split_with_sizes(count_B)
        weights += edges_BN[row_E, source_E].float().cpu().split_with_sizes(count_B)
    order = row_R.tolist()
    of_sources, of_weights = (torch.cat([parts[row] for row in order]).numpy() for parts in (sources, weights))
    return np.array(counts)[order], of_sources, of_weights, torch.cat(sums)[row_R]


def _at_nodes(value_R: Tensor, node_R: npt.NDArray[np.int64], num_nodes: int) -> npt.NDArray[np.float64]:
    """Return row attributes at their nodes, NaN where a node has no row."""
    spread = np.full(num_nodes, np.nan)
    spread[node_R] = value_R.numpy(force=True)
    return spread


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
    """Return influence [N] and scores of a whole graph.

    `row_abs_sum_N` and `constant_N` are zero where there is no row (and where the constant takes no part);
    `start_N` holds the targets' weights.
    """
    share_E = edge_shares(target_E, weight_E, row_abs_sum_N)
    found = influence(target_E, source_E, share_E, start_N)
    is_error, is_token = nodes.kind_N == NodeKind.ERROR, nodes.kind_N == NodeKind.TOKEN
    error, token = found.total_N[is_error].sum(), found.total_N[is_token].sum()
    from_errors_N = np.bincount(target_E, weights=share_E * is_error[source_E], minlength=len(nodes))
    passing_N = found.total_N + start_N
    constant_W = _to_constant(found, start_N, row_abs_sum_N, constant_N)
    ends_W = constant_W + np.append(found.walked_WN[:, is_error | is_token].sum(1), 0)
    ends = ends_W.sum()
    errors_L = np.bincount(nodes.layer_N[is_error], weights=found.total_N[is_error], minlength=num_layers)
    return found.total_N, Scores(
        replacement=_share(token, token + error),
        completeness=_share(float(((1 - from_errors_N) * passing_N).sum()), passing_N.sum()),
        constant_share=_share(constant_W.sum(), ends),
        error_share_L=tuple(_share(e, ends) for e in errors_L),
        path_length_H=tuple(_share(h, ends) for h in np.trim_zeros(ends_W, "b")),
        closing_error=closing_error,
    )


def _to_constant(found: Influence, start_N: Floats, row_abs_sum_N: Floats, constant_N: Floats) -> Floats:
    """Return influence that ends in the constant after 1, 2, ... edges: one more entry than there are walks."""
    share_N = np.divide(np.abs(constant_N), row_abs_sum_N, out=np.zeros(len(start_N)), where=row_abs_sum_N > 0)
    ends: Floats = np.vstack([start_N, found.walked_WN]) @ share_N
    return ends


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
