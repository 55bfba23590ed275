"""Activation functions: ReLU, JumpReLU and TopK decide which features are active, and TopK does so across shards.

Axes: P position, S feature of the dictionary (kept here), A active feature or candidate for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """The activation function of a layer.

    JumpReLU keeps a pre-activation that is greater than its feature's threshold. TopK keeps the `k` largest
    pre-activations of a position, and among equal ones those with the lower index. Both keep negative values, too,
    unless `positive_only` is true: the TopK of circuit-tracer keeps them, while that of sparsify applies ReLU first. A
    feature with a value of exactly zero is never active.
    """

    kind: Literal["relu", "jumprelu", "topk"]
    k: int = 0
    positive_only: bool = False


@dataclass(frozen=True, eq=False)
class Candidates:
    """The features of one layer in one shard that may be active, as far as the owner of the shard can tell.

    Positions [A] and features [A] are int64 and sorted by (position, feature). The active features are those whose
    activation is not zero and which, if `k` is given, are among the k largest over all shards.
    """

    positions_A: Tensor
    features_A: Tensor
    activations_A: Tensor
    k: int | None


def candidate_mask(pre_PS: Tensor, activation: Activation, threshold_S: Tensor | None) -> Tensor:
    """Return a boolean mask [P, S] of the candidates of a shard.

    With TopK, zeros are candidates, too, because they take the places of negative values among the k largest.
    """
    if activation.kind == "relu":
        return pre_PS > 0
    if activation.kind == "jumprelu":
        assert threshold_S is not None
        mask_PS = pre_PS > threshold_S
    else:
        mask_PS = largest(pre_PS, activation.k)
    return mask_PS & (pre_PS > 0) if activation.positive_only else mask_PS


def merge(slices: Sequence[Candidates]) -> tuple[Tensor, Tensor, Tensor]:
    """Return positions [A], features [A] and activations [A] of the active features, given the candidates of all shards
    of a layer.

    They are sorted by (position, feature).
    """
    k = slices[0].k
    if len(slices) == 1 and k is None:  # the candidates are sorted already
        found = slices[0]
        place_A = found.activations_A.nonzero()[:, 0]  # a mask as index would wait for a GPU each time
        return found.positions_A[place_A], found.features_A[place_A], found.activations_A[place_A]
    positions_A = torch.cat([part.positions_A for part in slices])
    features_A = torch.cat([part.features_A for part in slices])
    activations_A = torch.cat([part.activations_A for part in slices])
    keep_A = activations_A != 0
    if k is not None:
        ranked_A = _lexsort(positions_A, -activations_A, features_A)
        sorted_A = positions_A[ranked_A]
        rank_A = torch.arange(len(ranked_A), device=ranked_A.device) - torch.searchsorted(sorted_A, sorted_A)
        keep_A[ranked_A[rank_A >= k]] = False
    order_A = _lexsort(positions_A, features_A)
    order_A = order_A[keep_A[order_A]]
    return positions_A[order_A], features_A[order_A], activations_A[order_A]


def largest(pre_PS: Tensor, k: int) -> Tensor:
    """Return a boolean mask of the k largest entries of each row. Among equal entries the lower index comes first.

    `torch.topk` alone does not define which of equal values it takes.
    """
    k = min(k, pre_PS.shape[1])
    if k == 0:
        return torch.zeros_like(pre_PS, dtype=torch.bool)
    last_P1 = pre_PS.topk(k, dim=1).values[:, -1:]
    above_PS, equal_PS = pre_PS > last_P1, pre_PS == last_P1
    places_P1 = k - above_PS.sum(dim=1, keepdim=True)
    return above_PS | (equal_PS & (equal_PS.cumsum(dim=1, dtype=torch.int32) <= places_P1))


def _lexsort(*keys_A: Tensor) -> Tensor:
    """Return the permutation [A] that sorts by the first key, then by the second, and so on."""
    order_A = torch.arange(len(keys_A[0]), device=keys_A[0].device)
    for key_A in reversed(keys_A):
        order_A = order_A[key_A[order_A].argsort(stable=True)]
    return order_A
