"""Chance of acting together: the rate of false findings is kept with and without clusters, and ignored clusters show.

Axes: F feature, I site, X pair of features.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rounding import nearly
from scipy import stats

from distributed_tracer.mine.activity import LayerActivity
from distributed_tracer.mine.chance import LEAST_EXPECTED, Chance, p_fewer, p_more
from distributed_tracer.mine.statistics import q_values

CLUSTERS, PROMPTS, POSITIONS, FEATURES = 30, 12, 8, 40


def activity_of(is_active: np.ndarray) -> tuple[Any, LayerActivity]:
    """The activity of features [features, clusters, prompts, positions], all of one layer."""
    number, clusters, prompts, positions = is_active.shape
    flat = is_active.reshape(number, -1)
    column_A, site_A = flat.nonzero()
    start = np.searchsorted(column_A, np.arange(number + 1))
    layer = LayerActivity(np.arange(number), start, site_A, np.ones(len(site_A)))
    size = clusters * prompts * positions
    cluster_I, position_I = np.arange(size) // (prompts * positions), np.arange(size) % positions
    activity = SimpleNamespace(
        is_live_I=np.ones(size, dtype=bool),
        rank_I=np.arange(size) // positions,
        cluster_I=cluster_I,
        cell_I=cluster_I * positions + position_I,
    )
    return activity, layer


def drawn(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Features that are independent of each other: activity may be alike in a cluster, a prompt or a template."""
    shape = (FEATURES, CLUSTERS, PROMPTS, POSITIONS)
    if kind == "sites":
        return rng.random(shape) < rng.choice([0.05, 0.2], FEATURES)[:, None, None, None]
    of_all = {"clusters": (1, 1), "prompts": (PROMPTS, 1), "templates": (1, POSITIONS)}[kind]
    return (rng.random((FEATURES, CLUSTERS, *of_all)) < 0.3) & (rng.random(shape) < 0.5)


def p_values(is_active: np.ndarray, corrected: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """p-values of too few and of too many common sites of all pairs."""
    activity, layer = activity_of(is_active)
    chance = Chance.of(activity)
    pairs = chance.self_pairs(activity, layer)
    a_X, b_X = np.triu_indices(len(is_active), 1)
    flat = is_active.reshape(len(is_active), -1).astype(np.int64)
    both_X = (flat @ flat.T)[a_X, b_X]
    expected_X, inflation_X = chance.expected(pairs, pairs, a_X, b_X)
    inflation_X = inflation_X if corrected else np.ones_like(inflation_X)
    return p_fewer(both_X, expected_X, inflation_X), p_more(both_X, expected_X, inflation_X)


@pytest.mark.parametrize("kind", ["sites", "clusters", "prompts", "templates"])
def test_independent_features_keep_the_rate_of_false_findings_whatever_the_clusters(kind: str) -> None:
    rng, repetitions = np.random.default_rng(1), 30
    rejected, tested, found = 0, 0, 0
    for _ in range(repetitions):
        fewer, more = p_values(drawn(kind, rng))
        rejected += int((fewer < 0.05).sum() + (more < 0.05).sum())
        tested += int((~np.isnan(fewer)).sum()) + len(more)
        found += bool((q_values(fewer) <= 0.05).any()) + bool((q_values(more) <= 0.05).any())
    assert rejected / tested <= 0.06
    assert found <= stats.binom.ppf(0.999, 2 * repetitions, 0.05)  # all are false, so FDR is the chance of any


@pytest.mark.parametrize("kind", ["clusters", "templates"])
def test_ignoring_clusters_finds_features_that_avoid_each_other_where_there_are_none(kind: str) -> None:
    rng = np.random.default_rng(2)
    found = [bool((q_values(p_values(drawn(kind, rng), corrected=False)[0]) <= 0.05).any()) for _ in range(10)]
    assert sum(found) >= 9


def test_a_planted_pair_that_is_never_together_is_found_in_clusters_and_a_planted_union_is_seen() -> None:
    rng = np.random.default_rng(3)
    is_active = drawn("prompts", rng)
    is_active[1] = (rng.random(is_active[1].shape) < 0.3) & ~is_active[0]
    is_active[3] = is_active[2] & (rng.random(is_active[2].shape) < 0.8)
    fewer, more = (q_values(p) for p in p_values(is_active))
    place = {pair: number for number, pair in enumerate(zip(*np.triu_indices(FEATURES, 1), strict=True))}
    assert set(np.flatnonzero(fewer <= 0.05)) == {place[0, 1]}
    assert place[2, 3] in set(np.flatnonzero(more <= 0.05))


def test_where_few_common_sites_are_expected_never_together_is_unknown_and_together_is_not() -> None:
    rng = np.random.default_rng(4)
    is_active = rng.random((2, 5, 4, 10)) < 0.1
    is_active[1] &= ~is_active[0]
    fewer, more = p_values(is_active)
    assert np.isnan(fewer[0])
    assert more[0] == 1.0
    is_active[1] = is_active[0]
    assert p_values(is_active)[1][0] < 0.05


def test_without_clusters_the_tests_are_those_of_poisson_counts() -> None:
    count, mean, one = np.arange(20), np.full(20, LEAST_EXPECTED + 2), np.ones(20)
    assert p_fewer(count, mean, one).tolist() == nearly(stats.poisson.cdf(count, mean).tolist(), 100)
    assert p_more(count, mean, one).tolist() == nearly(stats.poisson.sf(count - 1, mean).tolist(), 100)


@pytest.mark.parametrize("kind", ["clusters", "prompts", "templates"])
def test_the_variance_of_common_sites_is_that_of_many_drawings(kind: str) -> None:
    rng, residuals, variances, expectations = np.random.default_rng(5), [], [], []
    for _ in range(40):
        is_active = drawn(kind, rng)
        activity, layer = activity_of(is_active)
        chance = Chance.of(activity)
        pairs, (a_X, b_X) = chance.self_pairs(activity, layer), np.arange(FEATURES).reshape(2, -1)
        expected_X, inflation_X = chance.expected(pairs, pairs, a_X, b_X)
        both_X = (is_active[a_X] & is_active[b_X]).reshape(len(a_X), -1).sum(1)
        residuals.append(both_X - expected_X)
        variances.append(expected_X * inflation_X)
        expectations.append(expected_X)
    true = np.concatenate(residuals).var()
    error = 5 * np.sqrt(2 / (40 * FEATURES / 2))  # five standard errors of a variance
    assert abs(true / np.mean(variances) - 1) < error
    assert true > 1.3 * np.mean(expectations)
