"""Prune a dense graph on its device: find the nodes and edges that carry a given share of influence.

The rule is from Ameisen et al. 2025, "Circuit Tracing", appendix on graph pruning; `graph/prune.py` applies it to
stored graphs. Ties are not broken: an item that equals the last item needed, up to round-off, stays too, on every
device.

Axes: R row of a graph (features in node order, then targets), M node in dense order (features, errors, tokens: every
node but targets), X row kept, Y column kept, E edge kept, B row of a batch, K target, L layer, I item that has a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..graph.prune import NODE_ROUND_OFF, ROUND_OFF
from ..threads import one_thread, product
from .dense_influence import divisor, downwards

_BLOCK, _ROWS = 1024, 64


@dataclass(frozen=True, eq=False)
class Kept:
    """The nodes and edges of a pruned graph, as numpy arrays on the host."""

    column_Y: npt.NDArray[np.int64]
    """The numbers of the nodes that are left. Targets are not listed, because they all stay."""
    count_X: npt.NDArray[np.int64]
    """The number of edges in every row that is left."""
    source_E: npt.NDArray[np.int32]
    """The source of each edge, as a number among the nodes that are left."""
    weight_E: npt.NDArray[np.float32]


def keep(
    edges_RM: Tensor,
    influence_M: Tensor,
    constant_R: Tensor,
    weight_K: Tensor,
    count_L: Sequence[int],
    num_positions: int,
    node_threshold: float,
    edge_threshold: float,
) -> Kept:
    """Prune a dense graph, and return the nodes and edges that stay.

    `constant_R` is zero if the constant does not take part. `influence_M` is in float32, as it is stored.
    """
    num_features, num_columns = sum(count_L), edges_RM.shape[1]
    keep_M = influence_M >= cut(influence_M.double(), node_threshold, NODE_ROUND_OFF)
    keep_M[num_columns - num_positions :] = True  # tokens
    column_Y = keep_M.nonzero()[:, 0]
    number_Y = column_Y.numpy(force=True)
    bounds_L = np.searchsorted(number_Y, np.cumsum([0, *count_L]))
    kept_L, left = np.diff(bounds_L).tolist(), int(bounds_L[-1])

    row_X = torch.cat([column_Y[:left], torch.arange(num_features, len(edges_RM), device=column_Y.device)])
    edges_XY = _submatrix(edges_RM, row_X, column_Y)
    score_XY = _edge_scores(edges_XY, constant_R[row_X], weight_K, kept_L)
    keep_XY = (edges_XY != 0).logical_and_(score_XY >= cut(score_XY, edge_threshold, ROUND_OFF))
    del score_XY
    keep_Y = _leading_somewhere(keep_XY, kept_L, len(column_Y) - num_positions)
    keep_X = torch.cat([keep_Y[:left], keep_Y.new_ones(len(weight_K))])
    keep_XY.logical_and_(keep_X[:, None]).logical_and_(keep_Y)

    row_E, place_E = keep_XY.nonzero(as_tuple=True)
    source_E = (keep_Y.cumsum(0, dtype=torch.int32) - 1)[place_E]
    weight_E = edges_XY[row_E, place_E]
    facts = torch.cat([keep_Y.long(), keep_XY.count_nonzero(1)]).numpy(force=True)
    left_Y, count_X = facts[: len(number_Y)].astype(bool), facts[len(number_Y) :]
    edge_2E = torch.stack([source_E, weight_E.view(torch.int32)]).numpy(force=True)
    has_row_X = np.append(left_Y[:left], np.ones(len(weight_K), bool))
    return Kept(number_Y[left_Y], count_X[has_row_X], edge_2E[0], edge_2E[1].view(np.float32))


def _submatrix(edges_RM: Tensor, row_X: Tensor, column_Y: Tensor) -> Tensor:
    if edges_RM.device.type != "cpu":
        return edges_RM[row_X[:, None], column_Y]
    edges_XY = edges_RM.new_empty(len(row_X), len(column_Y))  # filled by rows, then columns: far faster on a CPU
    for first in range(0, len(row_X), _ROWS):
        rows_BM = edges_RM.index_select(0, row_X[first : first + _ROWS])
        torch.index_select(rows_BM, 1, column_Y, out=edges_XY[first : first + _ROWS])
    return edges_XY


def cut(score_I: Tensor, share: float, round_off: float) -> Tensor:
    """Return the smallest score that stays: that of the last item needed to cover `share` of the sum, largest first.

    Items of at most `1 - share` times the mean score are not considered, because together they are less than what may
    be left out. With a share of 1 every item that is not zero stays: sums would omit the items that round-off loses,
    and which ones these are depends on the order of the additions.
    """
    whole = total(score_I)
    descending = _descending(score_I, whole * ((1 - share) / max(1, score_I.numel())))
    if not len(descending):
        return score_I.new_zeros(())
    if share == 1:
        return descending[-1]
    covered = running_sums(descending) if descending.device.type != "cpu" else descending.cumsum(0)
    last = (covered.div_(whole) < share * (1 - ROUND_OFF)).count_nonzero().clamp_max(len(descending) - 1)
    return descending.take(last) * (1 - round_off)


def _descending(score_I: Tensor, above: Tensor) -> Tensor:
    """Return the scores above a number, in descending order.

    numpy does it on a CPU, because the functions of torch would also make an index for each score and take twice as
    long.
    """
    if score_I.device.type != "cpu":
        return score_I.masked_select(score_I > above).sort(descending=True).values
    scores = score_I.numpy()
    high = scores[scores > above.numpy()]
    high.sort()
    return torch.from_numpy(high).flip(0)


def total(x: Tensor) -> Tensor:
    """Return the sum of all entries, which is the same bit for bit for any number of threads."""
    if x.device.type != "cpu":
        return x.sum()
    with one_thread():  # with several threads, each would add up a part
        return x.sum()


def running_sums(x_I: Tensor) -> Tensor:
    """Return the running sums of floats on a GPU, computed block by block.

    One long `cumsum` on a GPU adds in an order that differs from call to call.

    Axes: I item, X block of items, Y place in a block.
    """
    padded_XY = torch.nn.functional.pad(x_I, (0, -len(x_I) % _BLOCK)).view(-1, _BLOCK)
    within_XY = padded_XY.cumsum(1)
    ends_X = within_XY[:, -1]
    before_X = torch.stack([ends_X, ends_X]).cumsum(1)[0] - ends_X  # two rows, because a single one would count as long
    return (within_XY + before_X[:, None]).flatten()[: len(x_I)]


def _edge_scores(edges_XY: Tensor, constant_X: Tensor, weight_K: Tensor, kept_L: Sequence[int]) -> Tensor:
    """Return the score of each edge: its share of its row times the influence of the explained node.

    Both are computed among the kept nodes only.
    """
    num_rows, left = len(edges_XY), sum(kept_L)
    score_XY = edges_XY.double().abs_()
    sum_X = score_XY.sum(1)
    sum_X += constant_X.float().abs() * (sum_X > 0)
    score_XY.div_(divisor(sum_X)[:, None])
    passing_X = sum_X.new_zeros(num_rows)
    passing_X[left:] = weight_K
    for _, here, above in downwards(kept_L, num_rows):
        if here.stop > here.start:
            passing_X[here] = product(passing_X[None, above], score_XY[above, here])[0]
    return score_XY.mul_(passing_X[:, None])


def _leading_somewhere(keep_XY: Tensor, kept_L: Sequence[int], num_removable: int) -> Tensor:
    """Return which columns stay when nodes without outgoing edges and features without incoming edges are removed until
    there are no more of them.

    These are the nodes on a path from an error or a token to a target, which two passes over the layers find.
    """
    bit_XY, left = keep_XY.view(torch.uint8), sum(kept_L)  # a maximum of bytes is ten times as fast as `any`
    leads_X = bit_XY.new_ones(len(bit_XY))  # whether the row's node leads to a target
    fed_Y = bit_XY.new_ones(bit_XY.shape[1])  # whether a path from an error or a token leads to the column's node
    layers = list(downwards(kept_L, len(bit_XY)))
    for _, here, above in layers:
        leads_X[here] = (bit_XY[above, here] * leads_X[above, None]).amax(0)
    for _, here, _ in reversed(layers):
        fed_Y[here] = (bit_XY[here] * fed_Y).amax(1)
    errors, keep_Y = slice(left, num_removable), fed_Y
    keep_Y[:left] *= leads_X[:left]
    keep_Y[errors] = (bit_XY[:, errors] * leads_X[:, None]).amax(0)
    return keep_Y.bool()
