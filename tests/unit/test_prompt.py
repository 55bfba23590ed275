"""What a target may look like, and what an id depends on."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from distributed_tracer.errors import CorpusError, TracerError
from distributed_tracer.prompt import Prompt, TargetSpec, hash_prompt


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        (17, TargetSpec(token=17)),
        ("Austin", TargetSpec(token="Austin")),
        (" Austin -  Texas", TargetSpec(token=" Austin", minus=" Texas", label=" Austin -  Texas")),
        (" - ", TargetSpec(token=" - ")),
        ({"token": 3, "minus": "x", "position": -2}, TargetSpec(token=3, minus="x", position=-2)),
        ({"token": 3, "feature": None, "weight": None}, TargetSpec(token=3)),
        ({"feature": [1, 2, 3], "weight": 2}, TargetSpec(feature=(1, 2, 3), weight=2.0)),
        ({"direction": [1, 0.5], "label": "up"}, TargetSpec(direction=(1.0, 0.5), label="up")),
    ],
)
def test_targets_parse_to_what_was_asked_and_back(value: object, spec: TargetSpec) -> None:
    assert TargetSpec.parse(value) == spec
    assert TargetSpec.parse(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "must be a token id, a string or an object, not True"),
        (None, "must be a token id, a string or an object, not None"),
        (1.5, "must be a token id, a string or an object, not 1.5"),
        (-1, "'token' of a target must be a token id or a string that is not empty, not -1"),
        ("", "must not be an empty string"),
        ({}, "needs exactly one of token, feature, direction"),
        ({"token": 1, "feature": [0, 0, 0]}, "needs exactly one of token, feature, direction"),
        ({"feature": [0, 0, 0], "minus": 1}, "with 'minus' needs 'token'"),
        ({"token": 1, "size": 2}, "unknown field 'size' in a target; known: direction, feature"),
        ({"token": True}, "'token' of a target must be"),
        ({"token": "a", "minus": ""}, "'minus' of a target must be"),
        ({"feature": "123"}, "'feature' of a target must be three integers"),
        ({"feature": [1, 2]}, "'feature' of a target must be three integers"),
        ({"feature": [1.0, 2, 3]}, "'feature' of a target must be three integers"),
        ({"direction": "12"}, "'direction' of a target must be a list of finite numbers"),
        ({"direction": []}, "'direction' of a target must be a list of finite numbers"),
        ({"direction": [float("nan")]}, "'direction' of a target must be a list of finite numbers"),
        ({"direction": [10**400]}, "'direction' of a target must be a list of finite numbers"),
        ({"token": 1, "position": 1.5}, "'position' of a target must be an integer, not 1.5"),
        ({"token": 1, "weight": -1}, "'weight' of a target must be a finite number from 0, not -1"),
        ({"token": 1, "label": 5}, "'label' of a target must be a string, not 5"),
    ],
)
def test_a_malformed_target_says_what_was_expected(value: object, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        TargetSpec.parse(value)
    assert message in str(caught.value)


def test_a_huge_malformed_target_gives_a_short_message() -> None:
    with pytest.raises(CorpusError) as caught:
        TargetSpec.parse({"feature": ["\x1b" * 10_000] * 10_000})
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)


def test_the_id_of_a_prompt_depends_on_everything_asked_and_on_nothing_else() -> None:
    asked = [
        hash_prompt("a", None),
        hash_prompt("b", None),
        hash_prompt(None, [97]),
        hash_prompt("a", None, [TargetSpec(token=1)]),
        hash_prompt("a", None, [TargetSpec(token=2)]),
    ]
    assert len(set(asked)) == len(asked)
    assert hash_prompt("a", None, [TargetSpec(token=1)]) == hash_prompt("a", None, [TargetSpec.parse(1)])
    assert hash_prompt("a", None) == "465f6273e337ac09"  # ids are in stores: a change would orphan them


PAIR = "\ud83d\ude00"  # two characters of Python, which JSON makes one
"""Half a surrogate pair twice: what a text is of where bytes or JSON were decoded wrongly."""


@pytest.mark.parametrize("text", [PAIR, "a\ud800", "\udfff."])
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda text: Prompt(text, "x"), "id"),
        (lambda text: Prompt("a", text), "text"),
        (lambda text: Prompt("a", "x", metadata={text: 1}), "metadata"),
        (lambda text: Prompt("a", "x", metadata={"a": [{"b": (1, text)}]}), "metadata"),
        (lambda text: TargetSpec(token=text), "'token' of a target"),
        (lambda text: TargetSpec(token=1, minus=text), "'minus' of a target"),
        (lambda text: TargetSpec(token=1, label=text), "'label' of a target"),
        (lambda text: TargetSpec.parse({"token": 1, "label": text}), "'label' of a target"),
        (lambda text: hash_prompt(text, None), "text"),
    ],
)
def test_halves_of_surrogate_pairs_are_refused_wherever_text_comes_in(
    make: Callable[[str], object], what: str, text: str
) -> None:
    with pytest.raises(TracerError, match=f"^wrong {what}.*: found half a surrogate pair, U\\+D"):
        make(text)


def test_characters_above_the_first_plane_are_text() -> None:
    prompt = Prompt("\U0001f600", "\U0001f600", (1,), (TargetSpec(token="\U0001f600"),), {"\U0001f600": "\U0001f600"})
    assert json.loads(json.dumps(prompt.id)) == prompt.id
