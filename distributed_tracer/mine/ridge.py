"""Ridge regression from sums over folds, whose penalty is chosen on a fold that neither fits nor judges.

Each fold has the sums of its rows, and all else follows from these. A fold is predicted from the other folds. Their
penalty is the one with the smallest error on the fold after it, which is left out of the fit for this choice.

Axes: K fold, D input, Y output, G penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .clusters import Clusters, Ints
from .statistics import Floats

PENALTIES = (np.inf, *(10.0**exponent for exponent in range(3, -11, -1)))
"""Penalties, in units of the number of rows, for inputs with a standard deviation of 1. An infinite one leaves the
mean alone, so that noise is not fitted where it does not help. The first of equally good ones is chosen."""
_CONSTANT = 1e-12
"""An input counts as constant if its variance is less than this, relative to its mean square."""


@dataclass(frozen=True, eq=False)
class FoldSums:
    """Sums over the rows of each fold: number of rows, inputs, outputs, and their products."""

    n_K: Floats
    x_KD: Floats
    y_KY: Floats
    xx_KDD: Floats
    xy_KDY: Floats
    yy_KY: Floats

    @classmethod
    def of(cls, x_ND: Floats, y_NY: Floats, fold_N: npt.NDArray[Any], num_folds: int) -> FoldSums:
        """Return the sums of rows in memory, added from the first to the last within each fold."""
        masks = [fold_N == fold for fold in range(num_folds)]
        rows = [(x_ND[mask], y_NY[mask]) for mask in masks]
        return cls(
            np.array([len(x) for x, _ in rows], np.float64),
            np.stack([x.sum(axis=0) for x, _ in rows]),
            np.stack([y.sum(axis=0) for _, y in rows]),
            np.stack([x.T @ x for x, _ in rows]),
            np.stack([x.T @ y for x, y in rows]),
            np.stack([np.square(y).sum(axis=0) for _, y in rows]),
        )


@dataclass(frozen=True, eq=False)
class FoldFit:
    """What predicts a fold: mean_y_Y + (x - mean_x_D) @ weights_DY."""

    mean_x_D: Floats
    mean_y_Y: Floats
    weights_DY: Floats
    penalty_Y: Floats


def cross_fit(sums: FoldSums, together: bool) -> list[FoldFit]:
    """Return what predicts each fold. With `together`, all outputs have one penalty, otherwise each has its own.

    Takes 2 eigenvalue decompositions of D x D for each fold.
    """
    return [_fit_fold(sums, fold, together) for fold in range(len(sums.n_K))]


def _fit_fold(sums: FoldSums, fold: int, together: bool) -> FoldFit:
    judge = (fold + 1) % len(sums.n_K)
    if judge == fold or len(sums.n_K) < 3:
        raise ConfigError("a penalty is chosen on a fold of its own, which takes at least 3 folds")
    chooser = _Path(sums, [other for other in range(len(sums.n_K)) if other not in (fold, judge)])
    error_GY = chooser.errors(sums, judge, together)
    best_Y: Ints = error_GY.argmin(axis=0).astype(np.int64)  # the first, which is the largest penalty
    return _Path(sums, [other for other in range(len(sums.n_K)) if other != fold]).fit(best_Y)


class _Path:
    """Ridge regression on some folds, for all penalties."""

    def __init__(self, sums: FoldSums, folds: Sequence[int]) -> None:
        self.n = float(_added(sums.n_K, folds))
        self.mean_x_D, self.mean_y_Y = _added(sums.x_KD, folds) / self.n, _added(sums.y_KY, folds) / self.n
        xx_DD = _added(sums.xx_KDD, folds)
        xy_DY = _added(sums.xy_KDY, folds) - self.n * np.outer(self.mean_x_D, self.mean_y_Y)
        square_D = np.diagonal(xx_DD) / self.n
        xx_DD = xx_DD - self.n * np.outer(self.mean_x_D, self.mean_x_D)
        variance_D = np.diagonal(xx_DD) / self.n
        varies_D = variance_D > _CONSTANT * square_D
        self.per_deviation_D = np.where(varies_D, 1 / np.sqrt(np.where(varies_D, variance_D, 1.0)), 0.0)
        value_D, self.basis_DD = np.linalg.eigh(xx_DD * np.outer(self.per_deviation_D, self.per_deviation_D))
        self.value_D = np.maximum(value_D, 0.0)
        self.along_DY = self.basis_DD.T @ (xy_DY * self.per_deviation_D[:, None])

    def fit(self, penalty_Y: Ints) -> FoldFit:
        """Return the fit with the penalties of these numbers."""
        shrunk_DY = self._shrink_GD()[penalty_Y].T * self.along_DY
        weights_DY = (self.basis_DD @ shrunk_DY) * self.per_deviation_D[:, None]
        return FoldFit(self.mean_x_D, self.mean_y_Y, weights_DY, np.array(PENALTIES)[penalty_Y])

    def errors(self, sums: FoldSums, fold: int, together: bool) -> Floats:
        """Return the sums of squared errors [G, Y] of a fold that is not among those of the fit.

        With `together`, each output has the sum over all of them.
        """
        n, x_D, y_Y = sums.n_K[fold], sums.x_KD[fold], sums.y_KY[fold]
        mean_x_D, mean_y_Y = self.mean_x_D, self.mean_y_Y
        xx_DD = sums.xx_KDD[fold] - np.outer(x_D, mean_x_D) - np.outer(mean_x_D, x_D)
        xx_DD += n * np.outer(mean_x_D, mean_x_D)
        xy_DY = sums.xy_KDY[fold] - np.outer(x_D, mean_y_Y) - np.outer(mean_x_D, y_Y)
        xy_DY += n * np.outer(mean_x_D, mean_y_Y)
        yy_Y = sums.yy_KY[fold] - 2 * mean_y_Y * y_Y + n * mean_y_Y**2
        scale_D, basis_DD = self.per_deviation_D, self.basis_DD
        held_DD = basis_DD.T @ (xx_DD * np.outer(scale_D, scale_D)) @ basis_DD
        held_DY = basis_DD.T @ (xy_DY * scale_D[:, None])
        if together:
            linear_D = (self.along_DY * held_DY).sum(axis=1)
            square_DD = held_DD * (self.along_DY @ self.along_DY.T)
            shrink_GD = self._shrink_GD()
            total_G = yy_Y.sum() - 2 * shrink_GD @ linear_D + ((shrink_GD @ square_DD) * shrink_GD).sum(axis=1)
            return np.repeat(total_G[:, None], len(yy_Y), axis=1)
        rows = []
        for shrink_D in self._shrink_GD():
            shrunk_DY = shrink_D[:, None] * self.along_DY
            rows.append(yy_Y - 2 * (shrunk_DY * held_DY).sum(axis=0) + (shrunk_DY * (held_DD @ shrunk_DY)).sum(axis=0))
        return np.stack(rows)

    def _shrink_GD(self) -> Floats:
        """Return what each penalty makes of the solution along each eigenvector."""
        penalty_G1 = np.array(PENALTIES)[:, None] * self.n
        shrink_GD: Floats = np.where(np.isinf(penalty_G1), 0.0, 1 / (self.value_D + penalty_G1))
        return shrink_GD


def _added(values_K: Floats, folds: Sequence[int]) -> Floats:
    total: Floats = values_K[folds[0]].copy()
    for fold in folds[1:]:
        total += values_K[fold]
    return total


def folds_of(clusters: Clusters, seed: int, most: int = 5) -> Ints:
    """Return the fold of each prompt, int64 [prompts]: each cluster is in one fold, and folds have about equal sizes.

    Clusters are taken in the order of a hash of seed and name, each into the fold with the fewest prompts so far.
    Raises ConfigError for fewer than 3 clusters.
    """
    if len(clusters) < 3:
        raise ConfigError(
            f"{len(clusters)} clusters cannot be divided into folds: there must be at least 3; name another --cluster"
        )
    names, size_C = clusters.names, clusters.sizes(np.ones(len(clusters.number_I), bool))
    order = sorted(
        range(len(names)),
        key=lambda number: blake2b(f"{seed}:{names[number]}".encode("utf-8", "surrogatepass")).digest(),
    )
    fold_C = np.zeros(len(names), np.int64)
    held_K = np.zeros(min(most, len(names)), np.int64)
    for number in order:
        fold_C[number] = held_K.argmin()
        held_K[fold_C[number]] += size_C[number]
    folds: Ints = fold_C[clusters.number_I]
    return folds
