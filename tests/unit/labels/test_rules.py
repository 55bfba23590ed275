"""Labels by rule: planted patterns are found, and profiles without any get no label."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import pytest

from distributed_tracer.graph.labels import Label
from distributed_tracer.labels.rules import promoted_token, rule_labels, rule_texts, shared_context
from distributed_tracer.profile.feature_profile import Context, FeatureProfile, WeightedToken


def context(text: Sequence[str], position: int, prompt: str = "p", quantile: int = 0) -> Context:
    activations = tuple(float(place == position) for place in range(len(text)))
    return Context(quantile, prompt, position, 0, tuple(text), activations)


def contexts(texts: Sequence[str], word: str, before: int = 0) -> list[Context]:
    """One context of each text, whose tokens are its words, active `before` tokens before the word."""
    split = [text.split("|") for text in texts]
    return [context(words, words.index(word) - before, str(number)) for number, words in enumerate(split)]


def profile(layer: int = 0, feature: int = 0, **known: object) -> FeatureProfile:
    return FeatureProfile(layer, feature, 9, 9, 100, 10, 1.0, 0.5, **known)  # type: ignore[arg-type]


def promoted(*tokens: tuple[str, float]) -> tuple[WeightedToken, ...]:
    return tuple(WeightedToken(number, token, weight) for number, (token, weight) in enumerate(tokens))


STATES = [f" {name}" for name in ("Texas", "Ohio", "Utah", "Iowa", "Maine", "Idaho")]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([(" Austin", 3.0), (" Dallas", 1.4)], " Austin"),
        ([(" Austin", 3.0), (" Dallas", 1.6)], None),
        ([(" Austin", 3.0), ("Austin", 2.9), (" AUSTIN", 2.0), (" Dallas", 1.0)], " Austin"),
        ([(" Austin", 3.0), ("Austin", 2.9)], None),  # nothing to compare with
        ([(" Austin", 0.0), (" Dallas", -1.0)], None),
        ([(" Austin", 0.5), (" Dallas", -1.0)], " Austin"),
        ([], None),
    ],
)
def test_the_promoted_token_is_the_one_that_stands_out(tokens: list[tuple[str, float]], expected: str | None) -> None:
    assert promoted_token(promoted(*tokens)) == expected


def test_contexts_that_agree_at_the_token_and_before_it_name_the_phrase() -> None:
    texts = [f"{start}| the| capital| of|{state}" for start, state in zip("abcdef", STATES, strict=True)]
    assert shared_context(contexts(texts, " of")) == "after ' the capital of'"
    assert shared_context(contexts([f"{name}|{text}" for name in "xy" for text in texts], " the")) == "fires on ' the'"


def test_contexts_that_agree_before_the_token_only_say_so() -> None:
    texts = [f"{start}| capital| of|{state}" for start, state in zip("abcdef", STATES, strict=True)]
    found = [context(text.split("|"), 3, str(number)) for number, text in enumerate(texts)]
    assert shared_context(found) == "fires on the token after ' capital of'"


def test_four_of_five_contexts_must_agree_and_repetitions_count_once() -> None:
    texts = [f"{start}| Texas" for start in "abcdefgh"]
    odd = [context(["x", " Ohio"], 1, "odd"), context(["y", " Utah"], 1, "odd"), context(["z", " Iowa"], 1, "odd")]
    assert shared_context(contexts(texts, " Texas") + odd[:2]) == "fires on ' Texas'"
    assert shared_context(odd + contexts(texts, " Texas")) is None
    assert shared_context(contexts(texts[:4], " Texas")) is None, "too few"
    repeated = [context(["a", " Texas"], 1, str(number)) for number in range(10)]
    assert shared_context(repeated) is None, "one text is one piece of evidence"


def test_the_strongest_quantiles_are_compared_first() -> None:
    weak = [context([start, " Ohio"], 1, start, quantile=1) for start in "abcdefghij"]
    strong = [context([start, " Texas"], 1, start, quantile=0) for start in "abcdefghij"]
    assert shared_context([*weak, *strong]) == "fires on ' Texas'"


def test_a_feature_may_get_a_label_of_either_rule() -> None:
    made = profile(
        promoted=promoted((" Austin", 3.0), (" Dallas", 1.0)),
        contexts=tuple(contexts([f"{start}| Texas" for start in "abcdef"], " Texas")),
    )
    assert list(rule_texts(made)) == ["says ' Austin'", "fires on ' Texas'"]
    assert rule_labels([made]) == [
        (0, 0, Label("says ' Austin'", "rule")),
        (0, 0, Label("fires on ' Texas'", "rule")),
    ]


def test_a_text_that_fits_many_features_is_left_out() -> None:
    tokens = promoted((" the", 3.0), (" a", 1.0))
    few = [profile(feature=number, promoted=tokens) for number in range(5)]
    assert len(rule_labels(few)) == 5
    assert rule_labels([*few, profile(feature=5, promoted=tokens)]) == []
    others = [profile(layer=1, feature=number) for number in range(1000)]
    assert len(rule_labels([*few, profile(feature=5, promoted=tokens), *others])) == 6


def test_profiles_without_any_pattern_get_no_label() -> None:
    """Random directions in the space of a model, and random places in random texts."""
    rng = np.random.default_rng(0)
    words = [f" {a}{b}" for a in string.ascii_lowercase for b in string.ascii_lowercase]
    unembed_VD = rng.standard_normal((len(words), 64))
    profiles = []
    for number in range(300):
        weight_V = unembed_VD @ rng.standard_normal(64)
        best = np.argsort(-weight_V)[:10]
        texts = [rng.choice(words, 12).tolist() for _ in range(12)]
        found = tuple(context(text, int(rng.integers(4, 12)), str(place)) for place, text in enumerate(texts))
        tokens = promoted(*((words[place], float(weight_V[place])) for place in best))
        profiles.append(profile(feature=number, promoted=tokens, contexts=found))
    assert rule_labels(profiles) == []
    assert rule_labels([profile()]) == [], "nothing is known"


def test_a_token_that_would_steer_a_terminal_is_escaped() -> None:
    (text,) = rule_texts(profile(promoted=promoted(("\x1b[31m", 3.0), ("x", 1.0))))
    assert text == r"says '\x1b[31m'"
