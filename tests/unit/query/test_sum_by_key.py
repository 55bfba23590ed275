from __future__ import annotations

import numpy as np

from distributed_tracer.query.sum_by_key import as_keys, as_values, merge_sums, sum_by_key


def test_equal_keys_are_added_up_in_ascending_order() -> None:
    keys, sums = sum_by_key(as_keys(np.array([2, 1, 2, 1]), np.array([5, 9, 5, 3])), as_values(np.arange(4)))
    assert keys.tolist() == [[1, 3], [1, 9], [2, 5]]
    assert sums.tolist() == [[3.0], [1.0], [2.0]]


def test_merging_is_adding_up_all_at_once() -> None:
    rng = np.random.default_rng(0)
    keys, values = rng.integers(0, 4, (300, 2)), rng.integers(0, 9, (300, 2)).astype(np.float64)
    whole = sum_by_key(keys, values)
    merged = None
    for part in np.array_split(np.arange(300), 7):
        merged = merge_sums(merged, sum_by_key(keys[part], values[part]))
    assert merged is not None
    assert np.array_equal(merged[0], whole[0])
    assert np.array_equal(merged[1], whole[1])


def test_nothing_adds_up_to_nothing() -> None:
    nothing = sum_by_key(np.zeros((0, 2), np.int64), np.zeros((0, 3)))
    assert nothing[0].shape == (0, 2)
    assert merge_sums(None, nothing)[1].shape == (0, 3)
