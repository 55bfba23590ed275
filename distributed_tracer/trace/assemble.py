"""Assemble the rows of one prompt into its DenseGraph: the chosen columns in node order, influence and scores.

Axes: R row of a graph (features in node order, then targets), M node in dense order (features, errors, tokens: every
node but targets), N node, A active feature, F feature selected, C column picked, E edge, B row of a batch, K target,
L layer, P position, W number of edges walked, X norm scale (those of `transcoder_scales`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..graph.graph import Graph, Scores
from ..graph.nodes import NodeTable
from ..graph.norm_scales import NormScales
from ..prompt import Prompt
from ..threads import product
from .column_selection import Picked
from .dense_graph import DenseGraph
from .dense_influence import divisor, walk
from .encode import ActiveFeatures
from .frontier import Frontier
from .targets import ResolvedTargets

Floats = npt.NDArray[np.float64]


def assemble(
    prompt: Prompt,
    token_strings: tuple[str, ...],
    directions: ResolvedTargets,
    features: ActiveFeatures,
    frontier: Frontier,
    scale_XP: Tensor | None = None,
) -> DenseGraph:
    """Put the rows in node order, drop the columns of features that were not chosen, and score the graph that is left.

    `scale_XP` is from `transcoder_scales`; without it the graph has no norm scales.
    Raises PromptError if a row is not finite or does not add up to its node's value (see `Frontier.closing_error`).
    """
    assert prompt.tokens is not None
    tokens_P, num_layers = np.array(prompt.tokens, dtype=np.int32), features.columns.num_layers
    active, num_targets = features.table(), len(directions.targets)
    selected_F, order_F = frontier.features_F.sort()
    row_R = torch.cat([order_F + num_targets, frontier.node_R[:num_targets].argsort()])
    index_F = selected_F.numpy(force=True)
    active, selected = replace(active, computed_A=_marked(index_F, len(active))), active.take(index_F)
    nodes = NodeTable.build(selected, num_layers, tokens_P, np.array(directions.position_K, dtype=np.int32))
    count_L = np.bincount(selected.layer_A, minlength=num_layers).tolist()
    edges_RM, sum_3R = _dense(frontier, _picked(features, selected_F), row_R, num_layers, len(tokens_P))
    scored = _score(directions, frontier, edges_RM, sum_3R, row_R, count_L, len(tokens_P), scale_XP)
    bare = Graph(
        prompt_id=prompt.id,
        text=prompt.text,
        tokens_P=tokens_P,
        token_strings=token_strings,
        num_layers=num_layers,
        targets=directions.targets,
        nodes=nodes,
        indptr=np.zeros(len(nodes) + 1, dtype=np.int64),
        source_E=np.empty(0, dtype=np.int32),
        weight_E=np.empty(0, dtype=np.float32),
        **{name: _at_nodes(value_R, len(selected), len(nodes)) for name, value_R in scored.attributes_R.items()},
        influence_N=scored.influence_N.astype(np.float32),
        active=active,
        scores=scored.scores,
        constant_node=frontier.config.constant_node,
        metadata=dict(prompt.metadata),
        scales=scored.scales,
    )
    return DenseGraph(bare, edges_RM, scored.influence_M.float(), scored.in_sums_R, frontier.weight_K, count_L)


@dataclass(frozen=True, eq=False)
class _Scored:
    """Influence, scores and sums of the rows of a graph, in float64; tensors are on the device of the edges."""

    influence_M: Tensor
    influence_N: Floats
    in_sums_R: Tensor
    """What the constant adds to the sum of |edge| of each row."""
    attributes_R: dict[str, Floats]
    """The attributes of rows, by their names in Graph."""
    scores: Scores
    scales: NormScales | None


def _score(
    directions: ResolvedTargets,
    frontier: Frontier,
    edges_RM: Tensor,
    sum_3R: Tensor,
    row_R: Tensor,
    count_L: list[int],
    num_positions: int,
    scale_XP: Tensor | None,
) -> _Scored:
    """Follow the edges down from the targets, and read the results from the device in one transfer.

    `row_R` is the order of the rows of `edges_RM` among those of the frontier, `sum_3R` is from `_dense`, and `count_L`
    is the number of features in each layer.
    """
    constant_R = frontier.constant_R[row_R]
    in_sums_R = constant_R.abs() * frontier.config.constant_node
    sum_R = sum_3R[0] + in_sums_R
    walks = walk(edges_RM, sum_R, frontier.weight_K, count_L, num_positions)
    to_error_R, to_end_R, to_constant_R = torch.stack([sum_3R[1], sum_3R[1:].sum(0), in_sums_R]) / divisor(sum_R)
    ends_W2 = product(walks.mass_WR, torch.stack([to_end_R, to_constant_R], 1))
    on_device = {
        "row_abs_sum_N": sum_R,
        "constant_N": constant_R,
        "row_abs_sum_all_N": frontier.abs_sum_R[row_R],
        "row_abs_dropped_N": frontier.dropped_R[row_R],
    }
    frozen_XP = ends_W2.new_empty(0, num_positions) if scale_XP is None else scale_XP.double()
    total_M, to_error, ends, scale, *of_rows = _on_host(
        walks.total_M, to_error_R, ends_W2, frozen_XP, *on_device.values()
    )
    num_features, weight_K = sum(count_L), np.array([target.weight for target in directions.targets])
    influence_N = np.append(total_M, np.zeros(len(weight_K)))
    scores = _scores(
        total_M[num_features:].reshape(len(count_L) + 1, num_positions).sum(1),
        influence_N.sum() + weight_K.sum(),
        (to_error * np.append(total_M[:num_features], weight_K)).sum(),
        ends,
        frontier.closing_error(),
    )
    attributes_R = dict(zip(on_device, of_rows, strict=True))
    return _Scored(walks.total_M, influence_N, in_sums_R, attributes_R, scores, _norm_scales(scale))


def _norm_scales(scale_XP: Floats) -> NormScales | None:
    """Return the scales in float32; None if there are none."""
    scale_PX, num_layers = np.ascontiguousarray(scale_XP.T, dtype=np.float32), len(scale_XP) // 2
    if not num_layers:
        return None
    read_PL, write_PL, final_P1 = np.split(scale_PX, [num_layers, 2 * num_layers], axis=1)
    return NormScales(np.ascontiguousarray(read_PL), np.ascontiguousarray(write_PL), final_P1[:, 0].copy())


def _marked(index_F: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the given size that is true at some places."""
    mask = np.zeros(size, dtype=np.bool_)
    mask[index_F] = True
    return mask


def _on_host(*tensors: Tensor) -> list[Floats]:
    """Copy tensors of one dtype from the device to the host in one transfer."""
    flat = torch.cat([tensor.flatten() for tensor in tensors]).numpy(force=True)
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    return [part.reshape(tensor.shape) for part, tensor in zip(np.split(flat, ends[:-1]), tensors, strict=True)]


def _picked(features: ActiveFeatures, selected_F: Tensor) -> Picked:
    """Return the columns of all nodes but targets, in node order."""
    slot_C = features.columns.slot_C
    return Picked(features.columns, torch.cat([slot_C[selected_F], slot_C[len(features) :]]))


def _dense(
    frontier: Frontier, picked: Picked, row_R: Tensor, num_layers: int, num_positions: int
) -> tuple[Tensor, Tensor]:
    """Return the edges [R, M] in float32 with rows in the order of `row_R`, and sums of |edge| [3, R] in float64.

    The three sums of a row are those of all its edges, of those from errors, and of those from tokens.
    """
    place_R, num_columns = row_R.argsort(), len(picked.slot_C)
    edges_RM = torch.empty(len(row_R), num_columns, device=row_R.device)
    tokens = num_columns - num_positions
    errors = slice(tokens - num_layers * num_positions, tokens)
    sums: list[Tensor] = []
    first = 0
    for block in frontier.blocks:
        exact_BM = picked.rows(block.edges)
        edges_BM = exact_BM.float()
        parts = (exact_BM, edges_BM[:, errors], edges_BM[:, tokens:])
        sums.append(torch.stack([part_BM.abs().sum(1, dtype=torch.float64) for part_BM in parts]))
        edges_RM.index_copy_(0, place_R[first : first + len(block)], edges_BM)
        first += len(block)
    return edges_RM, torch.cat(sums, 1)[:, row_R]


def _at_nodes(value_R: Floats, num_features: int, num_nodes: int) -> npt.NDArray[np.float32]:
    """Spread an attribute of rows over all nodes [N]; it is NaN where a node has no row."""
    spread = np.full(num_nodes, np.nan, dtype=np.float32)
    spread[:num_features] = value_R[:num_features]
    spread[num_nodes - len(value_R) + num_features :] = value_R[num_features:]
    return spread


def _scores(ending_L: Floats, passing: float, into_errors: float, ends_W2: Floats, closing_error: float) -> Scores:
    """Compute the scores of a graph as in Ameisen et al. 2025, "Circuit Tracing", section on graph scores.

    `ending_L` is the influence of the errors of each layer, followed by that of the tokens. `passing` is the influence
    of all nodes, including the weights of the targets, and `into_errors` is the part of it that goes to errors in the
    next step. `ends_W2` is the influence that ends in errors and tokens, and the influence that ends in the constant,
    after 1, 2, ... edges.
    """
    error, token = ending_L[:-1].sum(), ending_L[-1]
    ends_W = ends_W2.sum(1)
    ends = ends_W.sum()
    return Scores(
        replacement=_share(token, token + error),
        completeness=_share(passing - into_errors, passing),
        constant_share=_share(ends_W2[:, 1].sum(), ends),
        error_share_L=tuple(_share(e, ends) for e in ending_L[:-1]),
        path_length_H=tuple(_share(h, ends) for h in np.trim_zeros(ends_W, "b")),
        closing_error=closing_error,
    )


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
