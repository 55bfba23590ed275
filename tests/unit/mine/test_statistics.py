"""The statistics agree with scipy, say what they do not know, and keep the error rates that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from rounding import nearly
from scipy import stats

from distributed_tracer.mine.statistics import (
    Floats,
    cluster_means,
    halves,
    paired_t,
    q_values,
    replicated_share,
    two_part,
    welch,
)

TERMS = 10_000
"""As many roundings as sums, quantiles and gamma functions have together, with much to spare."""
REPETITIONS = 200
Q = 0.05


def clustered(rng: np.random.Generator, num_clusters: int, num_prompts: int, num_features: int) -> Floats:
    """Values [clusters, prompts, features] of which half of the variance is between clusters."""
    return rng.standard_normal((num_clusters, 1, num_features)) + rng.standard_normal(
        (num_clusters, num_prompts, num_features)
    )


def with_gaps(rng: np.random.Generator, num_units: int, num_features: int = 30) -> Floats:
    values = rng.exponential(1.0, (num_units, num_features))
    values[rng.random(values.shape) < 0.2] = np.nan
    return values


def test_welch_agrees_with_scipy_also_where_values_are_not_known() -> None:
    rng = np.random.default_rng(0)
    a, b = with_gaps(rng, 9), 1 + 2 * with_gaps(rng, 14)
    ours = welch(a, b)
    theirs = stats.ttest_ind(a, b, equal_var=False, nan_policy="omit")
    interval = theirs.confidence_interval(0.95)
    for own, other in ((ours.t, theirs.statistic), (ours.p, theirs.pvalue), (ours.df, theirs.df)):
        assert own.tolist() == nearly(other.tolist(), TERMS)
    assert ours.low.tolist() == nearly(interval.low.tolist(), TERMS)
    assert ours.high.tolist() == nearly(interval.high.tolist(), TERMS)
    assert ours.units_a.tolist() == (~np.isnan(a)).sum(0).tolist()


def test_the_paired_test_agrees_with_scipy_and_takes_pairs_whose_sides_are_both_known() -> None:
    rng = np.random.default_rng(1)
    a, b = with_gaps(rng, 12), 1 + with_gaps(rng, 12)
    ours, theirs = paired_t(a, b), stats.ttest_rel(a, b, nan_policy="omit")
    assert ours.t.tolist() == nearly(np.asarray(theirs.statistic).tolist(), TERMS)
    assert ours.p.tolist() == nearly(np.asarray(theirs.pvalue).tolist(), TERMS)
    assert ours.units_a.tolist() == ours.units_b.tolist() == (~np.isnan(a - b)).sum(0).tolist()
    assert (ours.mean_a - ours.mean_b).tolist() == nearly(ours.difference.tolist(), TERMS)


def test_the_effect_size_is_without_bias_and_its_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(2)
    found = welch(0.5 + rng.standard_normal((12, 20_000)), rng.standard_normal((12, 20_000)))
    assert abs(found.g.mean() - 0.5) < 5 * found.g.std() / np.sqrt(20_000)
    assert 0.94 < ((found.g_low <= 0.5) & (found.g_high >= 0.5)).mean() < 0.97
    alone = paired_t(0.5 + rng.standard_normal((12, 20_000)), np.zeros((12, 20_000)))
    assert abs(alone.g.mean() - 0.5) < 5 * alone.g.std() / np.sqrt(20_000)
    assert 0.92 < ((alone.g_low <= 0.5) & (alone.g_high >= 0.5)).mean() < 0.97


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.0, 1.0, 1.0], [2.0, 2.0]),  # no variance in either set
        ([1.0], [2.0, 3.0]),  # one cluster
        ([], [2.0, 3.0]),
        ([np.nan, 1.0], [2.0, 3.0]),
        ([0.1 + 0.2, 0.3], [0.7, 0.7]),  # equal up to round-off: no variance either
    ],
)
def test_what_the_data_cannot_say_is_unknown_and_neither_zero_nor_one(a: list[float], b: list[float]) -> None:
    found = welch(np.array(a).reshape(-1, 1), np.array(b).reshape(-1, 1))
    for name in ("t", "p", "df", "low", "high", "g"):
        assert np.isnan(getattr(found, name)).all(), name


def test_one_set_without_variance_is_no_obstacle() -> None:
    found = welch(np.zeros((4, 1)), np.array([[1.0], [2.0], [4.0]]))
    assert found.df.tolist() == nearly([2.0], TERMS)
    assert 0 < found.p[0] < 1


def test_discoveries_agree_with_scipy_and_tests_that_were_not_made_do_not_count() -> None:
    p = np.random.default_rng(3).random(50) ** 2
    gaps = np.insert(p, [0, 20, 50], np.nan)
    for method in ("bh", "by"):
        q = q_values(gaps, method)
        assert q[~np.isnan(gaps)].tolist() == stats.false_discovery_control(p, method=method).tolist()
        assert np.isnan(q[np.isnan(gaps)]).all()
    assert np.isnan(q_values(np.full(3, np.nan))).all()
    assert len(q_values(np.zeros(0))) == 0


def test_two_parts_are_one_test() -> None:
    p = two_part(np.array([0.01, np.nan, 0.9, np.nan]), np.array([0.5, 0.02, 0.8, np.nan]))
    assert_array_equal(p, [0.02, 0.04, 1.0, np.nan])


def test_means_of_clusters_leave_out_what_is_not_known() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 2.0]])
    names, means = cluster_means(values, ["y", "y", "x"], ["1", "2", "3"])
    assert names == ["x", "y"]
    assert_array_equal(means, [[5.0, 2.0], [2.0, np.nan]])


def test_results_do_not_depend_on_the_order_of_prompts_bit_for_bit() -> None:
    rng = np.random.default_rng(4)
    values, ids = with_gaps(rng, 60) * 10.0 ** rng.integers(-9, 9, (60, 1)), [f"p{number}" for number in range(60)]
    clusters = [f"c{number % 7}" for number in range(60)]
    expected = cluster_means(values, clusters, ids)
    for _ in range(5):
        order = rng.permutation(60)
        names, means = cluster_means(values[order], [clusters[row] for row in order], [ids[row] for row in order])
        assert names == expected[0]
        assert means.tobytes() == expected[1].tobytes()
    shuffled = values[::-1].copy()
    differs = cluster_means(shuffled, clusters, ids)[1]  # other values of the same prompts
    assert differs.tobytes() != expected[1].tobytes()


def test_results_of_a_feature_do_not_depend_on_the_other_features_bit_for_bit() -> None:
    rng = np.random.default_rng(5)
    a, b = with_gaps(rng, 40), with_gaps(rng, 33)
    together, alone = welch(a, b), welch(a[:, 3:4].copy(), b[:, 3:4].copy())
    for name in ("t", "p", "df", "g", "low"):
        assert getattr(together, name)[3:4].tobytes() == getattr(alone, name).tobytes(), name


def test_without_differences_the_rate_of_false_discoveries_is_kept_with_clusters_and_not_with_prompts() -> None:
    rng = np.random.default_rng(6)
    any_found, of_prompts = [], []
    for repetition in range(REPETITIONS):
        a, b = clustered(rng, 10, 20, 200), clustered(rng, 10, 20, 200)
        found = q_values(welch(a.mean(1), b.mean(1)).p) <= Q
        any_found.append(found.any())  # all discoveries are false: their share is 1 if there is any
        if repetition < 20:
            of_prompts.append((q_values(welch(a.reshape(-1, 200), b.reshape(-1, 200)).p) <= Q).sum())
    assert np.mean(any_found) <= Q + 3 * np.sqrt(Q * (1 - Q) / REPETITIONS)
    assert min(of_prompts) > 60  # of 200, none of which differs


def test_true_differences_are_found_the_more_often_the_larger_they_are_and_the_more_clusters_there_are() -> None:
    rng = np.random.default_rng(7)
    power: dict[tuple[int, float], float] = {}
    wrong = []
    for num_clusters in (6, 12, 24):
        for size in (0.5, 1.0, 2.0):
            found = []
            for _ in range(REPETITIONS // 4):
                a, b = clustered(rng, num_clusters, 5, 100), clustered(rng, num_clusters, 5, 100)
                a[..., :20] += size
                is_found = q_values(welch(a.mean(1), b.mean(1)).p) <= Q
                found.append(is_found[:20].mean())
                wrong.append(is_found[20:].sum() / max(1, is_found.sum()))
            power[num_clusters, size] = float(np.mean(found))
    for (num_clusters, size), found_share in power.items():
        assert found_share < power.get((num_clusters, 2 * size), np.inf)
        assert found_share < power.get((2 * num_clusters, size), np.inf)
    assert power[24, 2.0] > 0.95
    assert np.mean(wrong) <= Q + 3 * np.std(wrong) / np.sqrt(len(wrong))


def test_p_values_are_uniform_where_labels_of_clusters_are_shuffled() -> None:
    rng = np.random.default_rng(8)
    values = clustered(rng, 24, 5, 300).mean(1)
    values[:12] += 3.0  # a true difference, which shuffled labels must not find
    p = []
    for feature in range(300):
        order = rng.permutation(24)
        p.append(welch(values[order[:12], feature : feature + 1], values[order[12:], feature : feature + 1]).p[0])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert welch(values[:12], values[12:]).p.max() < 0.5


def test_halves_are_of_equal_size_and_depend_on_names_and_seed_alone() -> None:
    names = [f"c{number}" for number in range(21)]
    first = halves(names)
    assert first.sum() == 11
    assert halves(names[::-1]).tolist() == first[::-1].tolist()
    assert halves(names, seed=1).tolist() != first.tolist()


def test_the_winners_curse_is_seen_in_noise_and_not_in_true_effects() -> None:
    rng = np.random.default_rng(9)
    true, noise = rng.standard_normal((3, 5_000)), rng.standard_normal((2, 5_000))
    assert abs(replicated_share(noise[0], noise[1], 200)) < 0.2
    assert 0.8 < replicated_share(5 * true[0] + noise[0], 5 * true[0] + noise[1], 200) < 1.1
    assert np.isnan(replicated_share(np.zeros(3), np.zeros(3), 3))
