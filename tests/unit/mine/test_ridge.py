"""Ridge regression from sums: what least squares gives, noise that is not fitted, and clusters in one fold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from distributed_tracer.errors import ConfigError
from distributed_tracer.mine.clusters import Clusters
from distributed_tracer.mine.ridge import PENALTIES, FoldSums, cross_fit, folds_of

Floats = npt.NDArray[np.float64]
FOLDS = 4


def explained(x: Floats, y: Floats, fold: npt.NDArray[np.int64], together: bool = True) -> Floats:
    """The share of the variance about the other folds' mean that is explained in folds left out, by output."""
    rest, base = np.zeros_like(y), np.zeros_like(y)
    for number, fit in enumerate(cross_fit(FoldSums.of(x, y, fold, FOLDS), together)):
        own = fold == number
        base[own] = y[own] - fit.mean_y
        rest[own] = base[own] - (x[own] - fit.mean_x) @ fit.weights
    found: Floats = 1 - np.square(rest).sum(0) / np.square(base).sum(0)
    return found


@pytest.fixture
def inputs() -> Floats:
    x = np.random.default_rng(0).normal(size=(400, 8)) * np.geomspace(1e-3, 1e3, 8) + 7
    return np.concatenate([x, np.full((400, 1), 3.0)], axis=1)  # one input is constant


FOLD = np.arange(400) % FOLDS


@pytest.mark.parametrize("together", [True, False])
def test_what_is_linear_is_explained_whatever_the_scales_of_the_inputs(inputs: Floats, together: bool) -> None:
    weights = np.random.default_rng(1).normal(size=(9, 2)) / (np.abs(inputs).mean(0)[:, None])
    assert explained(inputs, inputs @ weights + 5, FOLD, together).min() > 1 - 1e-9


def test_in_noise_nothing_is_explained(inputs: Floats) -> None:
    found = [explained(inputs, np.random.default_rng(seed).normal(size=(400, 3)), FOLD).max() for seed in range(20)]
    assert max(found) < 0.03


@pytest.mark.parametrize("together", [True, False])
def test_errors_from_sums_are_those_of_the_rows_and_decide_the_penalty(inputs: Floats, together: bool) -> None:
    """Judged by rows: fit on the folds that neither judge nor are predicted, with each penalty in turn."""
    rng = np.random.default_rng(2)
    y = np.stack([inputs[:, 0] * 1e3, inputs[:, 3] * 3], 1) * 0.05 + rng.normal(size=(400, 2))
    fit = cross_fit(FoldSums.of(inputs, y, FOLD, FOLDS), together)[0]
    train, judge = (FOLD == 2) | (FOLD == 3), FOLD == 1
    mean_x, mean_y, scale = inputs[train].mean(0), y[train].mean(0), inputs[train].std(0)
    z, centred = ((inputs[:, :8] - mean_x[:8]) / scale[:8]), y - mean_y
    errors = []
    for penalty in PENALTIES:
        gram = z[train].T @ z[train] + (0 if np.isinf(penalty) else penalty) * train.sum() * np.eye(8)
        weights = 0 * z[:8, :2] if np.isinf(penalty) else np.linalg.solve(gram, z[train].T @ centred[train])
        errors.append(np.square(centred[judge] - z[judge] @ weights).sum(0))
    best = np.array(errors).sum(1).argmin() if together else np.array(errors).argmin(0)
    assert fit.penalty.tolist() == np.broadcast_to(np.array(PENALTIES)[best], 2).tolist()
    assert 0 < fit.penalty[0] < np.inf


def test_no_fold_takes_part_in_its_own_fit(inputs: Floats) -> None:
    y = np.random.default_rng(3).normal(size=(400, 1))
    changed = y + 100 * (FOLD == 0)[:, None]
    fits = [cross_fit(FoldSums.of(inputs, values, FOLD, FOLDS), True) for values in (y, changed)]
    assert fits[0][0].weights.tobytes() == fits[1][0].weights.tobytes()
    assert fits[0][1].mean_y != fits[1][1].mean_y


def test_folds_hold_whole_clusters_of_like_numbers_of_prompts_and_need_three_of_them() -> None:
    number_I = np.repeat(np.arange(12), np.arange(1, 13)).astype(np.int32)
    clusters = Clusters(number_I, [f"c{number}" for number in range(12)], "field")
    fold_I = folds_of(clusters, 0)
    assert all(len({*fold_I[number_I == number].tolist()}) == 1 for number in range(12))
    sizes = np.bincount(fold_I)
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 12
    assert folds_of(clusters, 1).tolist() != fold_I.tolist()
    with pytest.raises(ConfigError, match="at least 3"):
        folds_of(Clusters(np.array([0, 1], np.int32), ["a", "b"], "field"), 0)
    with pytest.raises(ConfigError, match="at least 3 folds"):
        cross_fit(FoldSums.of(np.ones((4, 1)), np.ones((4, 1)), np.array([0, 0, 1, 1]), 2), True)
