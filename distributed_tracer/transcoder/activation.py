"""Which features are active: ReLU, JumpReLU and TopK, and how TopK is decided when features are kept in slices.

P position · S features kept here · A active feature (or candidate)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """A layer's activation function.

    JumpReLU keeps a pre-activation that is greater than its feature's threshold. TopK keeps the `k` largest of a
    position, of equal ones those with the lower index. Both keep negative values too, unless `positive_only`:
    circuit-tracer's TopK does, sparsify's applies ReLU first. A value of exactly zero is never active.
    """

    kind: Literal["relu", "jumprelu", "topk"]
    k: int = 0
    positive_only: bool = False


@dataclass(frozen=True, eq=False)
class Candidates:
    """What one slice can say about one layer: every feature that may be active, as far as its holder can tell.

    Positions [A] and features [A] are int64 and sorted by (position, feature). Active are those that are not zero
    and, with `k`, among the k largest over all slices.
    """

    positions_A: Tensor
    features_A: Tensor
    activations_A: Tensor
    k: int | None


def candidate_mask(pre_PS: Tensor, activation: Activation, threshold_S: Tensor | None) -> Tensor:
    """Boolean [P, S]: what a slice offers. TopK offers zeros too: they take places of negative values."""
    if activation.kind == "relu":
        return pre_PS > 0
    if activation.kind == "jumprelu":
        assert threshold_S is not None
        mask_PS = pre_PS > threshold_S
    else:
        mask_PS = largest(pre_PS, activation.k)
    return mask_PS & (pre_PS > 0) if activation.positive_only else mask_PS


def merge(slices: Sequence[Candidates]) -> tuple[Tensor, Tensor, Tensor]:
    """Positions [A], features [A] and activations [A] that are active, given what all slices of a layer offer."""
    k = slices[0].k
    if len(slices) == 1 and k is None:  # sorted already
        found, keep_A = slices[0], slices[0].activations_A != 0
        return found.positions_A[keep_A], found.features_A[keep_A], found.activations_A[keep_A]
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
    """The k largest of each row. `torch.topk` alone leaves open which of equal values it takes."""
    k = min(k, pre_PS.shape[1])
    if k == 0:
        return torch.zeros_like(pre_PS, dtype=torch.bool)
    last_P1 = pre_PS.topk(k, dim=1).values[:, -1:]
    above_PS, equal_PS = pre_PS > last_P1, pre_PS == last_P1
    places_P1 = k - above_PS.sum(dim=1, keepdim=True)
    return above_PS | (equal_PS & (equal_PS.cumsum(dim=1, dtype=torch.int32) <= places_P1))


def _lexsort(*keys_A: Tensor) -> Tensor:
    """Order [A] by the first key, then the second, and so on."""
    order_A = torch.arange(len(keys_A[0]), device=keys_A[0].device)
    for key_A in reversed(keys_A):
        order_A = order_A[key_A[order_A].argsort(stable=True)]
    return order_A
