"""Prune a dense graph on its device: find the nodes and edges that carry a given share of influence.

The rule is from Ameisen et al. 2025, "Circuit Tracing", appendix on graph pruning; `graph/prune.py` applies it to
stored graphs. Ties are not broken: an item that equals the last item needed, up to round-off, stays too, on every
device.

R row (features in node order, then targets), M column (features, errors, tokens: every node but targets), I row kept,
J column kept, E edge kept, B row of a block, K target, L layer. X is any axes. `running_sums` has its own I, N and B.
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

    column_J: npt.NDArray[np.int64]
    """The numbers of the nodes that are left. Targets are not listed, because they all stay."""
    count_I: npt.NDArray[np.int64]
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
    column_J = keep_M.nonzero()[:, 0]
    number_J = column_J.numpy(force=True)
    bounds_L = np.searchsorted(number_J, np.cumsum([0, *count_L]))
    kept_L, left = np.diff(bounds_L).tolist(), int(bounds_L[-1])

    row_I = torch.cat([column_J[:left], torch.arange(num_features, len(edges_RM), device=column_J.device)])
    edges_IJ = _submatrix(edges_RM, row_I, column_J)
    score_IJ = _edge_scores(edges_IJ, constant_R[row_I], weight_K, kept_L)
    keep_IJ = (edges_IJ != 0).logical_and_(score_IJ >= cut(score_IJ, edge_threshold, ROUND_OFF))
    del score_IJ
    keep_J = _leading_somewhere(keep_IJ, kept_L, len(column_J) - num_positions)
    keep_I = torch.cat([keep_J[:left], keep_J.new_ones(len(weight_K))])
    keep_IJ.logical_and_(keep_I[:, None]).logical_and_(keep_J)

    row_E, place_E = keep_IJ.nonzero(as_tuple=True)
    source_E = (keep_J.cumsum(0, dtype=torch.int32) - 1)[place_E]
    weight_E = edges_IJ[row_E, place_E]
    facts = torch.cat([keep_J.long(), keep_IJ.count_nonzero(1)]).numpy(force=True)
    left_J, count_I = facts[: len(number_J)].astype(bool), facts[len(number_J) :]
    edge_2E = torch.stack([source_E, weight_E.view(torch.int32)]).numpy(force=True)
    has_row_I = np.append(left_J[:left], np.ones(len(weight_K), bool))
    return Kept(number_J[left_J], count_I[has_row_I], edge_2E[0], edge_2E[1].view(np.float32))


def _submatrix(edges_RM: Tensor, row_I: Tensor, column_J: Tensor) -> Tensor:
    if edges_RM.device.type != "cpu":
        return edges_RM[row_I[:, None], column_J]
    edges_IJ = edges_RM.new_empty(len(row_I), len(column_J))  # filled by rows, then columns: far faster on a CPU
    for first in range(0, len(row_I), _ROWS):
        rows_BM = edges_RM.index_select(0, row_I[first : first + _ROWS])
        torch.index_select(rows_BM, 1, column_J, out=edges_IJ[first : first + _ROWS])
    return edges_IJ


def cut(score_X: Tensor, share: float, round_off: float) -> Tensor:
    """Return the smallest score that stays: that of the last item needed to cover `share` of the sum, largest first.

    Items of at most `1 - share` times the mean score are not considered, because together they are less than what may
    be left out. With a share of 1 every item that is not zero stays: sums would omit the items that round-off loses,
    and which ones these are depends on the order of the additions.
    """
    whole = total(score_X)
    descending = _descending(score_X, whole * ((1 - share) / max(1, score_X.numel())))
    if not len(descending):
        return score_X.new_zeros(())
    if share == 1:
        return descending[-1]
    covered = running_sums(descending) if descending.device.type != "cpu" else descending.cumsum(0)
    last = (covered.div_(whole) < share * (1 - ROUND_OFF)).count_nonzero().clamp_max(len(descending) - 1)
    return descending.take(last) * (1 - round_off)


def _descending(score_X: Tensor, above: Tensor) -> Tensor:
    """Return the scores above a number, in descending order.

    numpy does it on a CPU, because the functions of torch would also make an index for each score and take twice as
    long.
    """
    if score_X.device.type != "cpu":
        return score_X.masked_select(score_X > above).sort(descending=True).values
    scores = score_X.numpy()
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

    One long `cumsum` on a GPU adds in an order that differs from call to call. Here I is the item, N its block and B
    its place in the block.
    """
    padded_NB = torch.nn.functional.pad(x_I, (0, -len(x_I) % _BLOCK)).view(-1, _BLOCK)
    within_NB = padded_NB.cumsum(1)
    ends_N = within_NB[:, -1]
    before_N = torch.stack([ends_N, ends_N]).cumsum(1)[0] - ends_N  # two rows, because a single one would count as long
    return (within_NB + before_N[:, None]).flatten()[: len(x_I)]


def _edge_scores(edges_IJ: Tensor, constant_I: Tensor, weight_K: Tensor, kept_L: Sequence[int]) -> Tensor:
    """Return the score of each edge: its share of its row times the influence of the explained node.

    Both are computed among the kept nodes only.
    """
    num_rows, left = len(edges_IJ), sum(kept_L)
    score_IJ = edges_IJ.double().abs_()
    sum_I = score_IJ.sum(1)
    sum_I += constant_I.float().abs() * (sum_I > 0)
    score_IJ.div_(divisor(sum_I)[:, None])
    passing_I = sum_I.new_zeros(num_rows)
    passing_I[left:] = weight_K
    for _, here, above in downwards(kept_L, num_rows):
        if here.stop > here.start:
            passing_I[here] = product(passing_I[None, above], score_IJ[above, here])[0]
    return score_IJ.mul_(passing_I[:, None])


def _leading_somewhere(keep_IJ: Tensor, kept_L: Sequence[int], num_removable: int) -> Tensor:
    """Return which columns stay when nodes without outgoing edges and features without incoming edges are removed until
    there are no more of them.

    These are the nodes on a path from an error or a token to a target, which two passes over the layers find.
    """
    bit_IJ, left = keep_IJ.view(torch.uint8), sum(kept_L)  # a maximum of bytes is ten times as fast as `any`
    leads_I = bit_IJ.new_ones(len(bit_IJ))  # whether the row's node leads to a target
    fed_J = bit_IJ.new_ones(bit_IJ.shape[1])  # whether a path from an error or a token leads to the column's node
    layers = list(downwards(kept_L, len(bit_IJ)))
    for _, here, above in layers:
        leads_I[here] = (bit_IJ[above, here] * leads_I[above, None]).amax(0)
    for _, here, _ in reversed(layers):
        fed_J[here] = (bit_IJ[here] * fed_J).amax(1)
    errors, keep_J = slice(left, num_removable), fed_J
    keep_J[:left] *= leads_I[:left]
    keep_J[errors] = (bit_IJ[:, errors] * leads_I[:, None]).amax(0)
    return keep_J.bool()
