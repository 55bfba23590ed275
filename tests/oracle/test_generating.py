"""Is what is generated with a cache what the slow way says: one intervention for every token, on all before it?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from frozen import FULL, LENGTHS, TOKENS, Case, build

from distributed_tracer.errors import InterventionError
from distributed_tracer.intervene.generate import generate
from distributed_tracer.intervene.intervene import InterventionCase as Asked
from distributed_tracer.intervene.intervene import intervene
from distributed_tracer.intervene.intervention import Intervention

TEMPERATURE = 0.2  # random models hardly prefer anything
PERSISTENT = (
    Intervention(1, slice(3, None), 5, value=400.0),
    Intervention(0, slice(-2, None), 7, times=3.0),
    Intervention(2, -1, 3, value=-300.0),
    Intervention(1, slice(1, -3), 9, value=200.0),
)
AT_ITS_PLACE = (PERSISTENT[0], Intervention(0, slice(8, None), 7, times=3.0), Intervention(2, 9, 3, value=-300.0))
SLOWLY = (*AT_ITS_PLACE, Intervention(1, slice(1, 7), 9, value=200.0))


def slowly(
    of: Case,
    count: int,
    seed: int,
    interventions: tuple[Intervention, ...],
    prompt: tuple[int, ...] = TOKENS,
    **options: Any,
) -> list[int]:
    """Sampled without a cache."""
    tokens, lottery = list(prompt), torch.Generator().manual_seed(seed)
    for _ in range(count):
        (effect,) = intervene([Asked(tuple(tokens), interventions)], of.model, of.transcoders, **options)
        probability_V = (effect.after.logits_V / TEMPERATURE).softmax(0)
        tokens.append(int(torch.multinomial(probability_V, 1, generator=lottery)))
    return tokens[len(prompt) :]


@pytest.mark.parametrize(("architecture", "flavour"), FULL)
def test_every_token_is_that_of_an_intervention_on_all_before_it(
    architecture: str, flavour: str, case: Callable[[str, str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    of = case(architecture, flavour)
    monkeypatch.setattr("distributed_tracer.intervene.generate._ending_tokens", lambda model: set())
    assert len(TOKENS) == 10
    for options in ({}, {"freeze_attention": False}, {"constrained_layers": range(1, 3)}):
        asked = Asked(TOKENS, PERSISTENT)
        found = generate(asked, of.model, of.transcoders, max_new_tokens=6, temperature=TEMPERATURE, seed=1, **options)
        assert list(found) == slowly(of, 6, 1, SLOWLY, **options)
    plain = generate(Asked(TOKENS, ()), of.model, of.transcoders, max_new_tokens=6, temperature=TEMPERATURE, seed=1)
    assert list(plain) == slowly(of, 6, 1, ())
    assert plain != found, "the interventions do something"


@pytest.mark.parametrize("name", [name for name in LENGTHS if name != "dynamic"])
def test_generating_goes_on_over_the_length_at_which_a_model_changes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture, flags = LENGTHS[name]
    of = build(tmp_path, architecture, "plt-relu-skip", **flags)
    monkeypatch.setattr("distributed_tracer.intervene.generate._ending_tokens", lambda model: set())
    prompt, changed = TOKENS[:5], (Intervention(1, slice(3, None), 5, value=40.0),)
    asked = Asked(prompt, changed)
    found = generate(asked, of.model, of.transcoders, max_new_tokens=8, temperature=TEMPERATURE, seed=1)
    assert list(found) == slowly(of, 8, 1, changed, prompt)


def test_it_ends_where_a_text_ends_and_greedily_takes_the_most_likely(
    case: Callable[[str, str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    of = case("llama", "plt-relu-skip")
    asked = Asked(TOKENS, ())
    (first, *_) = generate(asked, of.model, of.transcoders, max_new_tokens=4)
    (effect,) = intervene([asked], of.model, of.transcoders)
    assert first == int(effect.after.logits_V.argmax())
    monkeypatch.setattr(of.model.hf.generation_config, "eos_token_id", [first, 2])
    assert generate(asked, of.model, of.transcoders, max_new_tokens=4) == (first,)


@pytest.mark.parametrize(
    ("interventions", "options", "says"),
    [
        ((Intervention(0, -11, 0, 1.0),), {}, "position -11 "),
        ((Intervention(0, 12, 0, 1.0),), {}, "position 12 "),
        ((), {"max_new_tokens": 55}, "leaves room for 54 more, not 55: the model takes 64"),
        ((), {"max_new_tokens": 0}, "at least 1"),
        ((), {"temperature": float("nan")}, "temperature must be a finite number"),
        ((), {"constrained_layers": range(4)}, "not among the 3 layers"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    interventions: tuple[Intervention, ...], options: dict[str, Any], says: str, case: Callable[[str, str], Case]
) -> None:
    of = case("llama", "plt-relu-skip")
    with pytest.raises(InterventionError, match=says):
        generate(Asked(TOKENS, interventions), of.model, of.transcoders, **options)
