"""The statistics of linear errors: intervals over clusters hold the truth, and find nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from rounding import nearly

from distributed_tracer.mine.clusters import Clusters
from distributed_tracer.mine.linear_errors import LayerErrors, _fit_columns
from distributed_tracer.mine.ridge import FoldSums, cross_fit, folds_of

WIDTH, PROMPTS, TOKENS, NUM_CLUSTERS = 6, 90, 5, 30
NUMBER_I = np.arange(PROMPTS, dtype=np.int32) % NUM_CLUSTERS
CLUSTERS = Clusters(NUMBER_I, [f"c{number:02d}" for number in range(NUM_CLUSTERS)], "field")


def fitted(seed: int, signal: float) -> dict[str, Any]:
    """Errors with noise of variance 1, half of it shared by a cluster, and `signal` times the inputs, whose variance
    is 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(PROMPTS, TOKENS, WIDTH))
    shared = rng.normal(size=(NUM_CLUSTERS, 1, WIDTH))[NUMBER_I]
    error = signal * x + np.sqrt(0.5) * (shared + rng.normal(size=x.shape))
    fold_I = folds_of(CLUSTERS, seed)
    rows = (x.reshape(-1, WIDTH), error.reshape(-1, WIDTH), np.repeat(fold_I, TOKENS))
    fits = cross_fit(FoldSums.of(*rows, 5), together=True)
    varying = np.stack([error[rank] - fits[fold_I[rank]].mean_y for rank in range(PROMPTS)])
    rest = np.stack(
        [varying[rank] - (x[rank] - fits[fold_I[rank]].mean_x) @ fits[fold_I[rank]].weights for rank in range(PROMPTS)]
    )
    squares = [np.square(values).sum((1, 2)) for values in (error, varying, rest)]
    tokens = np.full(PROMPTS, TOKENS, np.int64)
    found = LayerErrors(tokens, *squares, np.zeros(0, np.float32), np.array([fit.penalty[0] for fit in fits]))
    return _fit_columns(found, CLUSTERS)


def test_noise_that_clusters_share_is_not_called_linear() -> None:
    found = [fitted(seed, 0.0) for seed in range(60)]
    assert sum(row["r2_low"] > 0 for row in found) <= 3
    assert abs(np.mean([row["r2"] for row in found])) < 0.01


def test_the_interval_holds_the_share_that_is_linear() -> None:
    found = [fitted(seed, 1.0) for seed in range(60)]
    assert sum(row["r2_low"] < 0.5 < row["r2_high"] for row in found) >= 50
    assert 0.45 < np.mean([row["r2"] for row in found]) < 0.5  # a fit on few prompts loses a little


def test_values_are_means_over_prompts_and_clusters_however_many_tokens_and_prompts_they_have() -> None:
    clusters = Clusters(np.array([0, 0, 1], np.int32), ["a", "b"], "field")
    found = LayerErrors(
        np.array([1, 4, 2]),
        np.array([2.0, 8.0, 12.0]),
        np.array([1.0, 4.0, 8.0]),
        np.array([0.5, 2.0, 1.0]),
        np.zeros(0, np.float32),
        np.array([1.0]),
    )
    row = _fit_columns(found, clusters)
    assert (row["tokens"], row["prompts"], row["clusters"]) == (7, 3, 2)
    assert row["constant"] == nearly(1 - (1 + 4) / (2 + 6), 6)
    assert row["linear"] == nearly(1 - (0.5 + 0.5) / (2 + 6), 6)
    assert row["r2"] == nearly(1 - (0.5 + 0.5) / (1 + 4), 6)
