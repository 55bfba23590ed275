"""Permutation tests count assignments of labels exactly, and hold where a test of means does not."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from numpy.testing import assert_array_equal
from rounding import nearly
from scipy import stats

from distributed_tracer.mine.permutation import exchange_labels, exchange_presence, flip_signs, p_of_largest
from distributed_tracer.mine.statistics import Floats, q_values, welch

ALL = 10**6


def labels(num_a: int, num_b: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.arange(num_a + num_b) < num_a


def slowly(values: Floats, num_a: int) -> list[float]:
    """The share of all assignments whose |t| is at least the observed one."""
    sizes = []
    for chosen in combinations(range(len(values)), num_a):
        is_a = np.isin(np.arange(len(values)), chosen)
        sizes.append(np.abs(welch(values[is_a], values[~is_a]).t))
    found: list[float] = (np.array(sizes) >= sizes[0] * (1 - 1e-7)).mean(0).tolist()
    return found


def test_all_assignments_are_counted_if_they_are_few() -> None:
    values = np.random.default_rng(0).exponential(1.0, (9, 12)) * 1e-4 + 3.0
    found = exchange_labels(values, labels(4, 5), ALL)
    assert found.is_exact
    assert len(found.largest) == 126
    assert found.p.tolist() == slowly(values, 4)


def test_signs_are_flipped_in_all_ways_if_these_are_few() -> None:
    values = np.random.default_rng(1).standard_normal((6, 8)) + 0.5
    found = flip_signs(values, ALL)
    sums = np.array([np.abs((np.array(signs)[:, None] * values).sum(0)) for signs in product((1, -1), repeat=6)])
    assert found.is_exact
    assert found.p.tolist() == (sums >= sums[0] * (1 - 1e-7)).mean(0).tolist()


def test_presence_in_clusters_of_one_prompt_is_tested_as_by_fisher() -> None:
    rng = np.random.default_rng(2)
    present = (rng.random((14, 10)) < 0.5).astype(float)
    found = exchange_presence(present, labels(7, 7), ALL)
    fisher = [
        stats.fisher_exact([[n_a := int(column[:7].sum()), 7 - n_a], [n_b := int(column[7:].sum()), 7 - n_b]]).pvalue
        for column in present.T
    ]
    assert found.p.tolist() == nearly(fisher, 10_000)


def test_no_p_value_is_zero_and_assignments_that_are_drawn_depend_on_the_seed_alone() -> None:
    values = np.random.default_rng(3).standard_normal((40, 5))
    values[:20] += 100
    one, again, other = (exchange_labels(values, labels(20, 20), 199, seed) for seed in (0, 0, 1))
    assert one.p.tolist() == [1 / 200] * 5
    assert not one.is_exact
    assert one.largest.tolist() == again.largest.tolist() != other.largest.tolist()


def test_equal_values_are_not_tested_and_unknown_values_have_no_part() -> None:
    values = np.random.default_rng(4).standard_normal((10, 3))
    values[:, 0], values[2, 1], values[:4, 2] = 0.1, np.nan, np.nan
    found = exchange_labels(values, labels(5, 5), ALL)
    assert np.isnan(found.p[0])
    assert 0 < found.p[1] <= 1
    assert found.p[2] == 1.0  # one value of set a is known: nothing is observed
    assert_array_equal(np.isnan(p_of_largest([found])), [True, False, False])


def test_values_that_are_separate_and_do_not_vary_within_sets_are_as_far_apart_as_can_be() -> None:
    values = np.repeat([[0.0], [1.0]], 5, axis=0)
    assert exchange_labels(values, labels(5, 5), ALL).p.tolist() == [2 / 252]


def test_the_largest_statistic_is_judged_over_all_features_also_if_they_are_tested_in_blocks() -> None:
    values = np.random.default_rng(5).standard_normal((16, 40))
    values[:8, 7] += 6
    whole = exchange_labels(values, labels(8, 8), 499)
    blocks = [exchange_labels(values[:, columns], labels(8, 8), 499) for columns in (slice(0, 11), slice(11, 40))]
    assert p_of_largest([whole]).tolist() == p_of_largest(blocks).tolist()
    p = p_of_largest([whole])
    assert (p >= whole.p).all()
    assert p[7] < 0.05 < np.delete(p, 7).min()


def test_the_probability_that_any_feature_has_a_small_p_for_the_largest_is_kept_without_differences() -> None:
    rng = np.random.default_rng(6)
    hits = [
        p_of_largest([exchange_labels(rng.exponential(1.0, (12, 30)), labels(6, 6), 199, seed)]).min() <= 0.05
        for seed in range(200)
    ]
    assert np.mean(hits) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_p_values_are_uniform_without_differences() -> None:
    values = np.random.default_rng(7).exponential(1.0, (20, 400))
    assert stats.kstest(exchange_labels(values, labels(10, 10), 999).p, "uniform").pvalue > 0.01
    assert stats.kstest(flip_signs(values[:10] - values[10:], 999).p, "uniform").pvalue > 0.01


def test_features_that_few_clusters_have_or_lack_by_chance_deceive_welch_and_not_the_permutation() -> None:
    rng = np.random.default_rng(8)
    deceived, both = [], []
    for _ in range(200):
        values = np.where(rng.random((8, 100)) < 0.5, 0.0, 1.0 + 0.01 * rng.standard_normal((8, 100)))
        p = welch(values[:4], values[4:]).p
        deceived.append((q_values(p) <= 0.05).any())
        p_both = np.maximum(p, exchange_labels(values, labels(4, 4), ALL).p)
        both.append((q_values(p_both) <= 0.05).any())
    assert np.mean(deceived) > 0.3
    assert np.mean(both) <= 0.05
