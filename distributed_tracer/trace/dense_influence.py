"""Influence through dense rows, and where it ends: the sum over k of w·Â^k, where Â is |A| with rows normalised to 1.

The formula is from Ameisen et al. 2025, "Circuit Tracing", appendix on graph pruning. Edges lead to lower layers only,
so one pass from the features of the last layer down is enough: as many products as there are layers, and no wait for a
GPU.

Axes: R row of a graph (features in node order, then targets), F feature, M node in dense order (features, errors,
tokens: every node but targets), W number of edges walked (from a target), K target, L layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..threads import product


@dataclass(frozen=True, eq=False)
class Walks:
    """The mass that arrives from the targets, in float64."""

    mass_WR: Tensor
    """The mass at the node of every row, after 0, 1, ..., number of layers edges."""
    total_M: Tensor
    """The mass at the node of every column, summed over walks of any length, which is the node's influence."""


def walk(edges_RM: Tensor, sum_R: Tensor, weight_K: Tensor, count_L: Sequence[int], num_positions: int) -> Walks:
    """Follow the edges down from the targets, whose weights are `weight_K`.

    `count_L` is the number of features in each layer. A row whose normaliser `sum_R` is zero passes nothing on.
    """
    num_rows, num_layers, num_features = len(edges_RM), len(count_L), sum(count_L)
    mass_WR = sum_R.new_zeros(num_layers + 1, num_rows)
    mass_WR[0, num_features:] = weight_K
    pass_WR, divisor_R = torch.zeros_like(mass_WR), divisor(sum_R)
    pass_WR[0, num_features:] = weight_K / divisor_R[num_features:]
    total_M = sum_R.new_zeros(edges_RM.shape[1])
    for layer, here, above in downwards(count_L, num_rows):
        steps = num_layers - layer  # a row above has walked fewer edges
        if here.stop > here.start:
            mass_WF = product(pass_WR[:steps, above], edges_RM[above, here].abs().double())
            mass_WR[1 : steps + 1, here] = mass_WF
            pass_WR[1 : steps + 1, here] = mass_WF / divisor_R[here]
        errors = slice(num_features + layer * num_positions, num_features + (layer + 1) * num_positions)
        total_M[errors] = product(pass_WR[:steps, above].sum(0)[None], edges_RM[above, errors].abs().double())[0]
    total_M[:num_features] = mass_WR[:, :num_features].sum(0)
    tokens = slice(num_features + num_layers * num_positions, None)
    total_M[tokens] = product(pass_WR.sum(0)[None], edges_RM[:, tokens].abs().double())[0]
    return Walks(mass_WR, total_M)


def downwards(count_L: Sequence[int], num_rows: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield every layer from the last to the first: its number, the range of its features, and the rows above it."""
    end = sum(count_L)
    for layer in reversed(range(len(count_L))):
        start = end - count_L[layer]
        yield layer, slice(start, end), slice(end, num_rows)
        end = start


def divisor(sum_R: Tensor) -> Tensor:
    """Return the number by which each row is divided: its sum, or 1 where the sum is zero and so are all its edges."""
    return torch.where(sum_R > 0, sum_R, 1.0)
