from __future__ import annotations

import numpy as np
import pytest

from distributed_tracer.store.format.zarr_encode import round_weights


def test_all_bits_are_the_weights_themselves() -> None:
    weights = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    assert round_weights(weights, 23) is weights


@pytest.mark.parametrize("bits", [1, 7, 10, 22])
def test_rounding_goes_to_the_nearest_and_ties_to_even(bits: int) -> None:
    rng = np.random.default_rng(bits)
    weights = (rng.standard_normal(20_000) * 10.0 ** rng.integers(-30, 30, 20_000)).astype(np.float32)
    step = np.exp2(np.floor(np.log2(np.abs(weights.astype(np.float64)))) - bits)
    expected = np.round(weights.astype(np.float64) / step) * step  # numpy rounds halves to even
    assert np.array_equal(round_weights(weights, bits), expected.astype(np.float32))
    ties = (1 + (np.arange(2.0**bits) + 0.5) * 2.0**-bits).astype(np.float32)[:1000]
    even = np.round(ties.astype(np.float64) * 2.0**bits) / 2.0**bits
    assert np.array_equal(round_weights(ties, bits), even.astype(np.float32))


def test_special_values_stay_and_nothing_becomes_infinite() -> None:
    largest = np.finfo(np.float32).max
    pattern = np.array([0x7F800001, 0xFFC12345], dtype=np.uint32).view(np.float32)  # two NaNs with payloads
    weights = np.concatenate([pattern, np.array([np.inf, -np.inf, 0.0, -0.0, largest, -largest], dtype=np.float32)])
    rounded = round_weights(weights, 4)
    assert rounded[:6].tobytes() == weights[:6].tobytes()
    assert np.isfinite(rounded[6:]).all()
    assert (rounded[6:] / weights[6:] > 1 - 2.0**-4).all()


def test_the_argument_is_not_changed() -> None:
    weights = np.array([1.23456], dtype=np.float32)
    round_weights(weights, 3)
    assert weights[0] == np.float32(1.23456)
