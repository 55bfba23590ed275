"""Is a prompt computed the same alone, beside prompts of other lengths, and after them?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from frozen import LENGTHS, TOKENS, Case, build
from rounding import apart, of_tiny_model
from tiny import hf_model
from torch import Tensor

from distributed_tracer.errors import InterventionError
from distributed_tracer.intervene.intervene import InterventionCase as Asked
from distributed_tracer.intervene.intervene import intervene
from distributed_tracer.intervene.intervention import Intervention
from distributed_tracer.model.forward_cache import run_with_cache

CHANGED = (Intervention(1, -1, 5, value=40.0),)


@pytest.fixture(params=LENGTHS)
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Case]:
    architecture, flags = LENGTHS[request.param]
    return request.param, build(tmp_path, architecture, "plt-relu-skip", **flags)


def by_the_library(name: str, tokens: Sequence[int]) -> Tensor:
    """The last logits of a model that has never seen anything else."""
    architecture, flags = LENGTHS[name]
    hf = hf_model(architecture, **flags).double()
    with torch.no_grad():
        return hf(input_ids=torch.tensor([tokens])).logits[0, -1]


def test_prompts_of_many_lengths_at_once_are_each_alone(asked: tuple[str, Case]) -> None:
    name, of = asked
    cases = [Asked(TOKENS[:end], CHANGED) for end in (6, 10, 9, 6, 7, 8)]
    together = intervene(cases, of.model, of.transcoders, with_active=True)
    for one, among in zip(cases, together, strict=True):
        assert among.tokens == one.tokens
        (alone,) = intervene([one], of.model, of.transcoders)
        expected = by_the_library(name, one.tokens)
        torch.testing.assert_close(among.before.logits_V, expected, rtol=0, atol=of_tiny_model(expected))
        off = of_tiny_model(alone.after.logits_V, dtype=torch.float64)
        torch.testing.assert_close(among.after.logits_V, alone.after.logits_V, rtol=0, atol=off)
        assert apart(among.after.logits_V, among.before.logits_V, off)


def test_a_prompt_is_traced_the_same_whatever_was_traced_before(asked: tuple[str, Case]) -> None:
    name, of = asked
    for end in (10, 8, 7, 6, 9):
        cache = run_with_cache(of.model, TOKENS[:end], "mlp.hook_in", "mlp.hook_out")
        expected = by_the_library(name, TOKENS[:end])
        torch.testing.assert_close(cache.logits[end - 1], expected, rtol=0, atol=of_tiny_model(expected))


def test_what_is_seen_of_a_pass_is_refused_for_prompts_that_need_several(tmp_path: Path) -> None:
    architecture, flags = LENGTHS["longrope"]
    of = build(tmp_path, architecture, "plt-relu-skip", **flags)
    cases = [Asked(TOKENS[:6], ()), Asked(TOKENS, ())]
    with pytest.raises(InterventionError, match="phi3 model depend on a prompt's length, and these prompts need 2"):
        intervene(cases, of.model, of.transcoders, observe=lambda layer, x: None)
    assert len(intervene(cases[:1], of.model, of.transcoders, observe=lambda layer, x: None)) == 1
