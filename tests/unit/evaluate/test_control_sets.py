"""Control sets match a given set, and a set that was itself drawn at random has any rank among them."""

from __future__ import annotations

import numpy as np
from scipy import stats

from distributed_tracer.evaluate.control_sets import STRATUM, Ints, PromptFeatures
from distributed_tracer.graph.nodes import ActiveTable

PROMPTS, TESTS, CONTROLS, ALPHA = 12, 400, 39, 0.05
LAYERS, PER_LAYER = 3, 120


def active_of(rng: np.random.Generator, share: float = 0.7) -> ActiveTable:
    """Active features of a prompt, some at two positions, each with an activation."""
    sites = [(layer, feature) for layer in range(LAYERS) for feature in range(PER_LAYER) if rng.random() < share]
    twice = sorted((layer, position, feature) for layer, feature in sites for position in range(1 + (feature % 3 == 0)))
    layer_A, position_A, feature_A = np.array(twice).T
    activation_A = rng.exponential(1.0, len(twice)).astype(np.float32)
    return ActiveTable(layer_A.astype(np.int16), position_A.astype(np.int32), feature_A.astype(np.int32), activation_A)


def sites_of(features: PromptFeatures, chosen: Ints) -> set[tuple[int, int]]:
    return {*zip(features.layer_F[chosen].tolist(), features.feature_F[chosen].tolist(), strict=True)}


def test_controls_have_as_many_features_of_each_layer_and_of_like_activations() -> None:
    features = PromptFeatures.of(active_of(np.random.default_rng(0)))
    largest = np.zeros(len(features.layer_F))
    np.maximum.at(largest, features.row_A, features.active.activation_A)
    for stratum in np.unique(features.stratum_F):
        own = features.stratum_F == stratum
        assert own.sum() >= STRATUM
        (layer,) = {*features.layer_F[own].tolist()}
        same_layer = features.layer_F == layer
        between = same_layer & (largest >= largest[own].min()) & (largest <= largest[own].max())
        assert (between == own).all(), "a stratum has all features of its layer between its smallest and its largest"
    off = ((0, 3), (0, 4), (0, 50), (2, 7), (2, 99), (1, 5))
    chosen = features.numbers(off)
    assert sites_of(features, chosen) == {*off} & sites_of(features, np.arange(len(features.layer_F)))
    controls = features.controls(chosen, 50, seed=0)
    for control in controls:
        assert sorted(features.stratum_F[control]) == sorted(features.stratum_F[chosen])
        assert len({*control.tolist()}) == len(chosen)
    again = features.controls(chosen, 50, seed=0)
    assert all(np.array_equal(one, other) for one, other in zip(controls, again, strict=True))
    other_seed = features.controls(chosen, 50, seed=1)
    assert not all(np.array_equal(one, other) for one, other in zip(controls, other_seed, strict=True))


def test_every_feature_of_a_stratum_is_as_likely_to_be_a_control() -> None:
    features = PromptFeatures.of(active_of(np.random.default_rng(0)))
    stratum = features.stratum_F[10]
    own = np.flatnonzero(features.stratum_F == stratum)
    controls = features.controls(own[:1], 8_000, seed=3)
    counts = np.bincount([int(control[0]) for control in controls], minlength=len(features.layer_F))[own]
    assert counts.sum() == 8_000
    assert stats.chisquare(counts).pvalue > 1 / 1_000, "with a fixed seed, this is one draw"


def test_a_control_is_the_same_features_in_prompts_that_have_the_same_features() -> None:
    rng = np.random.default_rng(0)
    one = active_of(rng, 1.0)
    other = ActiveTable(one.layer_A, one.position_A, one.feature_A, one.activation_A * np.float32(3.0))
    first, second = PromptFeatures.of(one), PromptFeatures.of(other)
    pairs = zip(first.controls(np.array([5, 6]), 20, 0), second.controls(np.array([5, 6]), 20, 0), strict=True)
    assert all(sites_of(first, a) == sites_of(second, b) for a, b in pairs)


def test_random_sets_are_not_above_their_controls_more_often_than_chance_but_would_be_if_controls_avoided_them() -> (
    None
):
    """Effects are those of single features, added up: few features have nearly all of it, the same in all prompts."""
    rng = np.random.default_rng(0)
    effects = rng.pareto(0.7, (LAYERS, PER_LAYER))
    prompts = [PromptFeatures.of(active_of(rng)) for _ in range(PROMPTS)]
    ours, avoiding = [], []
    for number in range(TESTS):
        off = tuple((0, int(feature)) for feature in rng.choice(PER_LAYER, 30, replace=False))
        total = np.zeros(2)
        of_controls = np.zeros((2, CONTROLS))
        for features in prompts:
            effect_F = effects[features.layer_F, features.feature_F]
            chosen = features.numbers(off)
            total += effect_F[chosen].sum()
            of_controls[0] += [effect_F[one].sum() for one in features.controls(chosen, CONTROLS, seed=number)]
            rest = PromptFeatures(
                features.active,
                features.row_A,
                features.layer_F,
                features.feature_F,
                np.where(np.isin(np.arange(len(effect_F)), chosen), -1, features.stratum_F),
            )
            of_controls[1] += _avoiding(features, rest, chosen, effect_F, number)
        for found, one, controls in zip((ours, avoiding), total, of_controls, strict=True):
            found.append((1 + (controls >= one).sum()) / (1 + CONTROLS))
    rate = float(np.mean(np.array(ours) <= ALPHA))
    most = stats.binom.ppf(0.999, TESTS, ALPHA) / TESTS
    assert rate <= most
    assert np.mean(np.array(avoiding) <= ALPHA) > 2 * most


def _avoiding(
    features: PromptFeatures, rest: PromptFeatures, chosen: Ints, effect_F: np.ndarray, seed: int
) -> list[float]:
    """The effects of controls that share no feature with the set: what most published controls are."""
    of = features.stratum_F[chosen]
    others = np.concatenate(
        [np.flatnonzero(rest.stratum_F == stratum)[: (of == stratum).sum()] for stratum in np.unique(of)]
    )
    return [effect_F[one].sum() for one in rest.controls(others, CONTROLS, seed)]
