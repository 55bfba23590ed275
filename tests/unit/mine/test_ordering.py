"""Orders of rows are those of numpy's stable sort, with and without room for the rows in the keys."""

from __future__ import annotations

import numpy as np
import pytest

from distributed_tracer.mine.ordering import edges_of_rows, ordered


@pytest.mark.parametrize("bits", [3, 40, 63])
@pytest.mark.parametrize("size", [0, 1, 2, 5000])
def test_equal_keys_stay_in_order(bits: int, size: int) -> None:
    rng = np.random.default_rng(bits)
    key_X = rng.integers(0, 1 << 3, size) << (bits - 3)
    found_X, order_X = ordered(key_X, bits)
    expected_X = np.argsort(key_X, kind="stable")
    assert np.array_equal(order_X, expected_X)
    assert np.array_equal(found_X, key_X[expected_X])


def test_rows_are_moved_with_every_bit_of_their_edges() -> None:
    rng = np.random.default_rng(0)
    degree_Y, order_N = rng.integers(0, 5, 300), rng.permutation(300)
    source_E = rng.integers(0, 1 << 32, degree_Y.sum(), dtype=np.uint32)  # more than the number of columns as well
    weight_E = rng.integers(0, 1 << 32, degree_Y.sum(), dtype=np.uint32).view(np.float32)  # NaN of all kinds
    ends_Y = np.cumsum(degree_Y)
    rows = [np.arange(ends_Y[row] - degree_Y[row], ends_Y[row]) for row in order_N]
    index_E = np.concatenate(rows)
    sources, weights = edges_of_rows(degree_Y, order_N, source_E, weight_E)
    assert np.array_equal(sources, source_E[index_E])
    assert np.array_equal(weights.view(np.uint32), weight_E.view(np.uint32)[index_E])
    none = edges_of_rows(degree_Y[:0], order_N[:0], source_E[:0], weight_E[:0])
    assert [len(values) for values in none] == [0, 0]
