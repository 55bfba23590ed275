"""The classic interventions: how features are chosen, and how often the demo does what they should make it do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from rounding import largest, nearly, of_model

sys.path.append(str(Path(__file__).parents[3] / "examples" / "interventions"))

import success_rates
from classics import Classic, Trial, about_cities, about_languages, about_words
from graphs import by_influence
from questions import Facts
from supernodes import activations, both, supernode, swap
from trials import Rate, case, successes

from distributed_tracer import Intervention, ReplacementModel

DEMO = Path(__file__).parents[3] / "demo"
KINDS = ("plt", "clt")


class Reader(ReplacementModel):
    """Remembers every prompt that it was given."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.read: set[str] = set()

    def intervene_many(self, cases: Sequence[Any], **options: Any) -> Any:
        self.read |= {text for text, _ in cases}
        return super().intervene_many(cases, **options)


@pytest.fixture(scope="module")
def readers() -> dict[str, Reader]:
    return {kind: Reader.load(str(DEMO / "model"), str(DEMO / "transcoders" / kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def every(readers: dict[str, Reader]) -> dict[str, dict[tuple[str, str], Classic]]:
    """Of both kinds of transcoders, by name and by what is expected."""
    facts = Facts()
    return {
        kind: {
            (classic.name, classic.expected): classic
            for about in (about_cities, about_words, about_languages)
            for classic in about(model, facts)
        }
        for kind, model in readers.items()
    }


def worked(model: ReplacementModel, classic: Classic, strength: float, every_nth: int = 4) -> Rate:
    return Rate.of(successes(model, classic.trials[::every_nth], strength))


def test_a_supernode_fires_with_it_and_not_without_it() -> None:
    with_it, without_it = np.zeros((4, 2, 1, 5), np.float32), np.zeros((8, 2, 1, 5), np.float32)
    with_it[:, 0, 0, 0] = 2.0  # in all prompts with it
    with_it[:3, 1, 0, 1] = 4.0  # in three quarters of them
    with_it[:2, 1, 0, 2] = 4.0  # in half: too few
    with_it[:, 1, 0, 3] = 1.0  # and in a quarter of those without it: too many
    without_it[:2, 1, 0, 3] = 1.0
    without_it[:1, 0, 0, 0] = 1.0
    assert supernode(with_it, without_it) == {(0, -1, 0): 2.0, (1, -1, 1): 3.0}
    assert supernode(with_it, without_it, range(1)) == {(0, -1, 0): 2.0}
    assert both({(0, -1, 0): 2.0, (1, -1, 1): 3.0}, {(1, -1, 1): 7.0}) == {(1, -1, 1): 3.0}


def test_strength_goes_from_nothing_over_an_exact_swap_to_more() -> None:
    off, on = {(0, -1, 1): 2.0, (0, -1, 2): 4.0}, {(0, -1, 2): 6.0, (1, -1, 3): 1.0}
    assert swap(off, on, 1.0) == [
        Intervention(0, -1, 1, times=0.0),
        Intervention(0, -1, 2, value=6.0),
        Intervention(1, -1, 3, value=1.0),
    ]
    assert swap(off, on, 2.0) == [
        Intervention(0, -1, 1, times=-1.0),
        Intervention(0, -1, 2, value=8.0),
        Intervention(1, -1, 3, value=2.0),
    ]
    assert swap(off, {}, 0.0) == [Intervention(0, -1, 1, times=1.0), Intervention(0, -1, 2, times=1.0)]


def test_rates_have_wilsons_interval() -> None:
    low, high = Rate(0, 400).interval
    assert low == 0
    of_95_percent = NormalDist().inv_cdf(0.975)
    assert high == nearly(of_95_percent**2 / (400 + of_95_percent**2), 10)
    assert str(Rate(7, 8)) == "88% [53%, 98%]"


def test_activations_are_those_of_the_graph(readers: dict[str, Reader]) -> None:
    text = "Fact: the capital of the state containing Dallas is"
    graph = readers["plt"].trace(text)
    fired = activations(readers["plt"], ["Fact: the capital of Texas is", text], positions=3)
    assert fired.shape == (2, 4, 3, 512)
    nodes = graph.nodes
    at = np.flatnonzero(np.isfinite(nodes.activation_N) & (nodes.position_N >= len(graph.tokens_P) - 3))
    found = fired[1, nodes.layer_N[at], nodes.position_N[at] - len(graph.tokens_P) + 3, nodes.feature_N[at]]
    assert len(at) > 20
    off = of_model(readers["plt"].model.shape, largest(nodes.activation_N[at]))
    np.testing.assert_allclose(found, nodes.activation_N[at], rtol=0, atol=off)


def test_features_are_chosen_without_a_look_at_what_is_tested(readers: dict[str, Reader]) -> None:
    facts = Facts()
    plt = readers["plt"]
    fresh = Reader(plt.model, plt.transcoders)
    found = [*about_cities(fresh, facts), *about_words(fresh, facts), *about_languages(fresh, facts)]
    held_out = {trial.text for classic in found for trial in classic.trials if trial.held_out}
    wordings = {word.asked() for words in facts.words.values() for word in words}
    assert len(held_out) == 100
    assert len(wordings) == 288
    assert len(fresh.read) > 800
    assert not fresh.read & (held_out | wordings)
    assert not any(city.name in text for city in facts.cities if city.held_out for text in fresh.read)


# At strength 1.5, about ten points below what examples/interventions/README.md says: shares of some 96 trials.
WORKS = {
    ("turn off 'say a capital'", "the state"): {"plt": 0.90, "clt": 0.90},
    ("turn off the state", "not its capital"): {"plt": 0.85, "clt": 0.90},
    ("one state for another", "the other's capital"): {"plt": 0.85, "clt": 0.80},
    ("the state for a country", "the country's capital"): {"plt": 0.80, "clt": 0.80},
    ("one word for another", "the other's opposite"): {"plt": 0.75, "clt": 0.85},
    ("small for big", "small"): {"plt": 0.25, "clt": 0.60},
    ("another word, from English", "its opposite, not in English"): {"plt": 0.65, "clt": 0.75},
    ("turn off 'in French'", "the English word"): {"plt": 0.75, "clt": 0.75},
    ("French for Chinese", "the Chinese word"): {"plt": 0.80, "clt": 0.90},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classic", WORKS, ids=" ".join)
def test_classics_work(
    classic: tuple[str, str], kind: str, readers: dict[str, Reader], every: dict[str, dict[tuple[str, str], Classic]]
) -> None:
    trials = every[kind][classic].trials
    asked = [trial for trial in trials if trial.held_out] or trials[:: len(trials) // 96]
    assert len({trial.text for trial in asked}) >= 96
    untouched, moved = (successes(readers[kind], asked, *how) for how in ((0.0,), (1.5, 1)))
    assert untouched.mean() <= 0.03, "it is what was expected already"
    assert moved.mean() <= 0.03, "one position earlier it does the same"
    assert successes(readers[kind], asked, 1.5).mean() >= WORKS[classic][kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_graphs_call_weak_is_weak(kind: str, readers: dict[str, Reader]) -> None:
    weak, strong = by_influence(readers[kind], Facts())
    sizes = [np.mean([len(trial.off) for trial in classic.trials]) for classic in (weak, strong)]
    assert sizes[0] > 7 * sizes[1]
    assert successes(readers[kind], weak.trials, 1.0).all()
    assert successes(readers[kind], strong.trials, 1.0).mean() < 0.2


def test_at_strength_nothing_the_prompt_is_as_it_is(
    readers: dict[str, Reader], every: dict[str, dict[tuple[str, str], Classic]]
) -> None:
    for kind, model in readers.items():
        cases = [case(classic.trials[7], 0.0) for classic in every[kind].values() if not classic.trials[7].on]
        assert len(cases) >= 3
        for effect in model.intervene_many(cases):
            off = of_model(model.model.shape, largest(effect.before.logits_V))
            torch.testing.assert_close(effect.after.logits_V, effect.before.logits_V, rtol=0, atol=off)


def test_what_is_wanted_and_what_is_not(readers: dict[str, Reader]) -> None:
    text = "Fact: the capital of the state containing Dallas is"
    trials = [
        Trial(text, {}, {}, wanted=[" Austin"]),
        Trial(text, {}, {}, wanted=[" Texas", " Boston"]),
        Trial(text, {}, {}, unwanted=[" Austin"]),
        Trial(text, {}, {}, unwanted=[" Texas"]),
    ]
    assert successes(readers["plt"], trials, 1.0).tolist() == [True, False, False, True]


@pytest.mark.slow
def test_the_example_runs_and_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(success_rates, "STRENGTHS", (1.0,))
    monkeypatch.setattr(success_rates, "SHOWN", (1.0, 1.0))
    success_rates.main(["--every", "20", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "Birmingham is Montgomery (100%) -> Alabama" in printed
    assert "held out" in printed
    lines = (tmp_path / "rates.csv").read_text("utf-8").splitlines()
    assert lines[0] == "transcoders,classic,expected,facts,strength,successes,trials,low,high"
    assert any(line.startswith("plt,one state for another,the other's capital,held out,1.0,") for line in lines)
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
