"""Influence against the closed form w (I - Â)^-1 - w on random layered graphs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rounding import largest, round_off

from distributed_tracer.graph.influence import edge_shares, influence


def _layered(seed: int, size: int = 24) -> np.ndarray:
    """A random matrix whose edges only lead from lower to higher numbers."""
    rng = np.random.default_rng(seed)
    return np.tril(rng.normal(size=(size, size)) * (rng.random((size, size)) < 0.4), -1).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_influence_is_the_neumann_series(seed: int) -> None:
    dense = _layered(seed)
    target, source = (index.astype(np.int32) for index in dense.nonzero())
    sums = np.abs(dense).sum(1, dtype=np.float64)
    start = np.zeros(len(dense))
    start[-2:] = (0.7, 0.2)
    found = influence(target, source, edge_shares(target, dense[target, source], sums), start)
    share = np.divide(np.abs(dense), sums[:, None], out=np.zeros_like(dense, dtype=float), where=sums[:, None] > 0)
    expected = start @ np.linalg.inv(np.eye(len(dense)) - share) - start
    off = round_off(torch.float64, len(source), largest(expected))  # an edge adds to what is walked
    for of_all, of_each in (
        (found.total_N, expected),
        (found.walked_WN.sum(0), expected),
        (found.walked_WN[0], start @ share),
    ):
        np.testing.assert_allclose(of_all, of_each, rtol=0, atol=off)


def test_a_row_that_sums_to_zero_passes_nothing_on() -> None:
    shares = edge_shares(np.array([0, 1], np.int32), np.array([0.0, 2.0], np.float32), np.array([0.0, 4.0]))
    np.testing.assert_array_equal(shares, [0.0, 0.5])


def test_a_cycle_is_an_error() -> None:
    pair = np.array([0, 1], np.int32)
    with pytest.raises(RuntimeError, match="cycle"):
        influence(pair, pair[::-1].copy(), np.ones(2), np.array([1.0, 0.0]))
