"""Which features are active."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from distributed_tracer.transcoder.activation import Activation, Candidates, candidate_mask, merge


def active(pre: list[float], activation: Activation, threshold: list[float] | None = None) -> list[int]:
    """Features active at one position whose pre-activations are `pre`."""
    pre_PS = torch.tensor([pre])
    mask_PS = candidate_mask(pre_PS, activation, torch.tensor(threshold) if threshold else None)
    return merge([offered(pre_PS, mask_PS, 0, activation)])[1].tolist()


def offered(pre_PS: Tensor, mask_PS: Tensor, start: int, activation: Activation) -> Candidates:
    positions_A, features_A = mask_PS.nonzero(as_tuple=True)
    k = activation.k if activation.kind == "topk" else None
    return Candidates(positions_A, features_A + start, pre_PS[mask_PS], k)


def test_relu_keeps_what_is_positive() -> None:
    assert active([1.0, 0.0, -1.0, 1e-30], Activation("relu")) == [0, 3]


def test_jumprelu_keeps_what_is_greater_than_its_threshold_not_what_equals_it() -> None:
    assert active([1.0, 1.0, 1.0], Activation("jumprelu"), [0.5, 1.0, 1.5]) == [0]


def test_jumprelu_with_a_negative_threshold_keeps_negative_values_but_not_zero() -> None:
    assert active([-1.0, 0.0, -3.0], Activation("jumprelu"), [-2.0, -2.0, -2.0]) == [0]
    assert active([-1.0, 0.0, 3.0], Activation("jumprelu", positive_only=True), [-2.0, -2.0, -2.0]) == [2]


def test_topk_keeps_the_largest_even_if_negative() -> None:
    assert active([-3.0, -1.0, -2.0, 5.0], Activation("topk", k=3)) == [1, 2, 3]


def test_topk_after_relu_keeps_no_negative_value() -> None:
    assert active([-3.0, -1.0, -2.0, 5.0], Activation("topk", k=3, positive_only=True)) == [3]


def test_a_zero_among_the_largest_takes_a_place_but_is_not_active() -> None:
    assert active([0.0, -1.0, 4.0], Activation("topk", k=2)) == [2]


def test_of_equal_values_topk_takes_the_first_features() -> None:
    assert active([1.0, 2.0, 1.0, 2.0, 1.0], Activation("topk", k=3)) == [0, 1, 3]
    assert active([7.0] * 1000, Activation("topk", k=500)) == list(range(500))


@pytest.mark.parametrize("positive_only", [False, True])
@pytest.mark.parametrize("k", [1, 3, 6, 12])
@pytest.mark.parametrize("count", [2, 3, 7, 12])
def test_topk_of_merged_slices_is_topk_of_the_whole(k: int, count: int, positive_only: bool) -> None:
    activation = Activation("topk", k=k, positive_only=positive_only)
    generator = torch.Generator().manual_seed(k)
    for _ in range(20):
        pre_PS = torch.randint(-3, 4, (5, 12), generator=generator).float()  # ties and zeros abound
        whole = merge([offered(pre_PS, candidate_mask(pre_PS, activation, None), 0, activation)])
        edges = [12 * index // count for index in range(count + 1)]
        parts = []
        for start, stop in pairwise(edges):
            part_PS = pre_PS[:, start:stop]
            parts.append(offered(part_PS, candidate_mask(part_PS, activation, None), start, activation))
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(whole, merge(parts), strict=True))
        by_hand = [sorted(range(12), key=lambda s: (-row[s], s))[:k] for row in pre_PS.tolist()]
        kept = [(p, s) for p, best in enumerate(by_hand) for s in sorted(best) if pre_PS[p, s] != 0]
        kept = [(p, s) for p, s in kept if pre_PS[p, s] > 0 or not positive_only]
        assert list(zip(whole[0].tolist(), whole[1].tolist(), strict=True)) == kept


def test_candidates_merge_into_order_whatever_the_order_of_the_slices() -> None:
    first = Candidates(torch.tensor([0, 2]), torch.tensor([0, 1]), torch.tensor([1.0, 2.0]), None)
    second = Candidates(torch.tensor([0, 1]), torch.tensor([7, 5]), torch.tensor([3.0, 4.0]), None)
    positions_A, features_A, activations_A = merge([second, first])
    assert positions_A.tolist() == [0, 0, 1, 2]
    assert features_A.tolist() == [0, 7, 5, 1]
    assert activations_A.tolist() == [1.0, 3.0, 4.0, 2.0]


def test_of_equal_candidates_the_first_features_win_whatever_the_order_of_the_slices() -> None:
    first = Candidates(torch.tensor([0, 0]), torch.tensor([1, 3]), torch.tensor([5.0, 5.0]), 3)
    second = Candidates(torch.tensor([0, 0]), torch.tensor([6, 8]), torch.tensor([5.0, 5.0]), 3)
    assert merge([second, first])[1].tolist() == [1, 3, 6]
