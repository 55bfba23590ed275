"""Numbers of numpy and torch are numbers; what is none is refused wherever it comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BatchEncoding

from distributed_tracer import Intervention, Prompt, TargetSpec, plain_values
from distributed_tracer.errors import InputError, InterventionError, PromptError, TargetError
from distributed_tracer.intervene.intervene import InterventionCase
from distributed_tracer.intervene.supernode import Supernode


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, torch.tensor, np.array])
def test_a_number_means_the_same_of_whatever_library(kind: Callable[[int], Any]) -> None:
    one, three = kind(1), kind(3)
    plain = Intervention(1, 3, 3, value=3.0)
    assert Intervention(one, three, three, value=three) == plain
    assert Intervention(one, slice(one, three), three, times=one) == Intervention(1, slice(1, 3), 3, times=1.0)
    assert type(Intervention(one, three, three, value=three).feature) is int
    assert TargetSpec(feature=(one, three, three), weight=one) == TargetSpec(feature=(1, 3, 3), weight=1.0)
    assert TargetSpec(token=three, minus=one, position=one) == TargetSpec(token=3, minus=1, position=1)
    supernode = Supernode("s", [(one, three, three)], activations=[one])  # type: ignore[arg-type]
    assert supernode == Supernode("s", ((1, 3, 3),), activations=(1.0,))  # type: ignore[arg-type]
    assert Prompt("a", metadata={"n": three}).metadata == {"n": 3}


@pytest.mark.parametrize(
    "ids",
    [
        [1, 2, 3],
        [[1, 2, 3]],
        range(1, 4),
        np.array([1, 2, 3], np.uint16),
        [np.int32(1), torch.tensor(2), 3],
        torch.tensor([[1, 2, 3]]),
        BatchEncoding({"input_ids": torch.tensor([[1, 2, 3]]), "attention_mask": torch.ones(1, 3)}),
        {"input_ids": [1, 2, 3]},
    ],
    ids=str,
)
def test_token_ids_may_be_what_a_tokenizer_returns(ids: Any) -> None:
    assert Prompt("a", tokens=ids).tokens == InterventionCase(ids, ()).tokens == (1, 2, 3)
    assert all(type(token) is int for token in InterventionCase(ids, ()).tokens)


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (b"abc", "sequence of numbers, not b'abc'"),
        ("abc", "sequence of numbers, not 'abc'"),
        (7, "sequence of numbers, not 7"),
        ([1.0, 2], "position 0 must be an integer, not 1.0"),
        ([1, True], "position 1 must be an integer, not True"),
        ([1, -2], "position 1 must be an integer from 0, not -2"),
        (torch.tensor([1.0]), "must be an integer, not 1.0"),
        (np.array([True]), "must be an integer, not True"),
        ([[1, 2], [3, 4]], "token ids of 2 prompts where one is asked for"),
        (torch.ones(2, 3, dtype=torch.long), "token ids of 2 prompts"),
        (torch.ones(1, 1, 3, dtype=torch.long), "must be an integer, not "),
        ({"ids": [1]}, "under the key input_ids"),
        ({"input_ids": [1, 0], "attention_mask": [1, 0]}, "padded"),
    ],
    ids=str,
)
def test_what_are_no_token_ids_of_one_prompt_is_refused(ids: Any, reason: str) -> None:
    for take in (lambda: Prompt("a", tokens=ids), lambda: InterventionCase(ids, ())):
        with pytest.raises(PromptError) as caught:
            take()
        assert reason in str(caught.value)


@pytest.mark.parametrize("wrong", [1.0, True, "1", None, np.float32(1), np.bool_(True), torch.tensor([1, 2]), [1]])
def test_what_is_no_integer_is_refused(wrong: Any) -> None:
    for place in ((wrong, 1, 1), (1, wrong, 1), (1, 1, wrong), (1, slice(wrong if wrong is not None else "", 3), 1)):
        with pytest.raises(InterventionError, match="must be an integer"):
            Intervention(*place, value=1.0)
    with pytest.raises(TargetError, match="three integers"):
        TargetSpec(feature=(0, wrong, 0))


@pytest.mark.parametrize("wrong", [range(2, 4), [2, 3], (2, 3)])
def test_a_position_is_an_integer_or_a_slice(wrong: Any) -> None:
    with pytest.raises(InterventionError, match=r"an integer or a slice, as in slice\(3, 6\)"):
        Intervention(0, wrong, 1, value=1.0)


@pytest.mark.parametrize("wrong", ["3", True, float("nan"), float("inf"), 10**400, torch.ones(2), None])
def test_what_is_no_finite_number_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="x must be a finite number"):
        plain_values.finite(wrong, "x", ValueError)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: InterventionCase([1], Intervention(0, 1, 2, 1.0)), "must be a sequence of them"),  # type: ignore[arg-type]
        (lambda: InterventionCase([1], [(0, 1, 2)]), "must be an Intervention, not (0, 1, 2)"),  # type: ignore[arg-type, list-item]
        (lambda: Supernode("s", (), children="ab"), "a sequence of names, not 'ab'"),  # type: ignore[arg-type]
        (lambda: Supernode("s", ["abc"]), "layer, position and feature, not 'abc'"),  # type: ignore[arg-type, list-item]
        (lambda: Prompt("a", targets="Austin"), "a list of targets, not 'Austin'"),  # type: ignore[arg-type]
        (lambda: Prompt("a", text=b"x"), "wrong text: found b'x'"),  # type: ignore[arg-type]
        (lambda: Prompt(""), "empty id"),
        (lambda: Prompt("\ud83d\ude00", text="x"), "wrong id: found half a surrogate pair, U+D83D"),
        (lambda: Prompt("a", text="\ud800"), "wrong text: found half a surrogate pair"),
        (lambda: Prompt("a", metadata={"b": {1, 2}}), "wrong metadata 'b'"),
        (lambda: Prompt("a", metadata={1: 2}), "text as keys"),  # type: ignore[dict-item]
        (lambda: Prompt("a", "x", messages=(("user", "y"),)), "not both"),
        (lambda: TargetSpec(), "exactly one of token, feature, direction"),
        (lambda: TargetSpec(direction=torch.ones(2, 2)), "a list of finite numbers"),  # type: ignore[arg-type]
    ],
)
def test_what_stands_for_something_else_is_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert reason in str(caught.value)


def test_names_of_targets_and_directions_of_tensors_are_taken() -> None:
    prompt = Prompt("a", targets=["Austin - Texas", 5, TargetSpec(direction=torch.tensor([1, 0.5]))])  # type: ignore[arg-type]
    assert prompt.targets[0] == TargetSpec(token="Austin", minus="Texas", label="Austin - Texas")
    assert prompt.targets[1:] == (TargetSpec(token=5), TargetSpec(direction=(1.0, 0.5)))
