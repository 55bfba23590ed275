"""Ridge regression from sums over folds, whose penalty is chosen on a fold that neither fits nor judges.

Each fold has the sums of its rows, and all else follows from these. A fold is predicted from the other folds. Their
penalty is the one with the smallest error on the fold after it, which is left out of the fit for this choice.

Axes: I prompt.
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
    """Sums over the rows of each fold: number of rows [folds], inputs [folds, inputs], outputs [folds, outputs],
    products of inputs [folds, inputs, inputs] and with outputs [folds, inputs, outputs], and squared outputs [folds,
    outputs]."""

    n: Floats
    x: Floats
    y: Floats
    xx: Floats
    xy: Floats
    yy: Floats

    @classmethod
    def of(cls, x: Floats, y: Floats, fold_of_row: npt.NDArray[Any], num_folds: int) -> FoldSums:
        """Return the sums of rows in memory, added from the first to the last within each fold."""
        masks = [fold_of_row == fold for fold in range(num_folds)]
        rows = [(x[mask], y[mask]) for mask in masks]
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
    """What predicts a fold: mean_y [outputs] + (x - mean_x [inputs]) @ weights [inputs, outputs]; penalty [outputs]."""

    mean_x: Floats
    mean_y: Floats
    weights: Floats
    penalty: Floats


def cross_fit(sums: FoldSums, together: bool) -> list[FoldFit]:
    """Return what predicts each fold. With `together`, all outputs have one penalty, otherwise each has its own.

    Takes 2 eigenvalue decompositions of all inputs for each fold.
    """
    return [_fit_fold(sums, fold, together) for fold in range(len(sums.n))]


def _fit_fold(sums: FoldSums, fold: int, together: bool) -> FoldFit:
    judge = (fold + 1) % len(sums.n)
    if judge == fold or len(sums.n) < 3:
        raise ConfigError("a penalty is chosen on a fold of its own, which takes at least 3 folds")
    chooser = _Path(sums, [other for other in range(len(sums.n)) if other not in (fold, judge)])
    errors = chooser.errors(sums, judge, together)
    best: Ints = errors.argmin(axis=0).astype(np.int64)  # the first, which is the largest penalty
    return _Path(sums, [other for other in range(len(sums.n)) if other != fold]).fit(best)


class _Path:
    """Ridge regression on some folds, for all penalties."""

    def __init__(self, sums: FoldSums, folds: Sequence[int]) -> None:
        self.n = float(_added(sums.n, folds))
        self.mean_x, self.mean_y = _added(sums.x, folds) / self.n, _added(sums.y, folds) / self.n
        xx = _added(sums.xx, folds)
        xy = _added(sums.xy, folds) - self.n * np.outer(self.mean_x, self.mean_y)
        square = np.diagonal(xx) / self.n
        xx = xx - self.n * np.outer(self.mean_x, self.mean_x)
        variance = np.diagonal(xx) / self.n
        varies = variance > _CONSTANT * square
        self.per_deviation = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
        value, self.basis = np.linalg.eigh(xx * np.outer(self.per_deviation, self.per_deviation))
        self.value = np.maximum(value, 0.0)
        self.along = self.basis.T @ (xy * self.per_deviation[:, None])

    def fit(self, penalty: Ints) -> FoldFit:
        """Return the fit with the penalties of these numbers."""
        shrunk = self._shrink()[penalty].T * self.along
        weights = (self.basis @ shrunk) * self.per_deviation[:, None]
        return FoldFit(self.mean_x, self.mean_y, weights, np.array(PENALTIES)[penalty])

    def errors(self, sums: FoldSums, fold: int, together: bool) -> Floats:
        """Return the sums of squared errors [penalties, outputs] of a fold that is not among those of the fit.

        With `together`, each output has the sum over all of them.
        """
        n, x, y = sums.n[fold], sums.x[fold], sums.y[fold]
        mean_x, mean_y = self.mean_x, self.mean_y
        xx = sums.xx[fold] - np.outer(x, mean_x) - np.outer(mean_x, x)
        xx += n * np.outer(mean_x, mean_x)
        xy = sums.xy[fold] - np.outer(x, mean_y) - np.outer(mean_x, y)
        xy += n * np.outer(mean_x, mean_y)
        yy = sums.yy[fold] - 2 * mean_y * y + n * mean_y**2
        scale, basis = self.per_deviation, self.basis
        held_xx = basis.T @ (xx * np.outer(scale, scale)) @ basis
        held_xy = basis.T @ (xy * scale[:, None])
        if together:
            linear = (self.along * held_xy).sum(axis=1)
            squares = held_xx * (self.along @ self.along.T)
            shrink = self._shrink()
            totals = yy.sum() - 2 * shrink @ linear + ((shrink @ squares) * shrink).sum(axis=1)
            return np.repeat(totals[:, None], len(yy), axis=1)
        rows = []
        for shrunk_by in self._shrink():
            shrunk = shrunk_by[:, None] * self.along
            rows.append(yy - 2 * (shrunk * held_xy).sum(axis=0) + (shrunk * (held_xx @ shrunk)).sum(axis=0))
        return np.stack(rows)

    def _shrink(self) -> Floats:
        """Return what each penalty makes of the solution along each eigenvector [penalties, inputs]."""
        penalties = np.array(PENALTIES)[:, None] * self.n
        shrink: Floats = np.where(np.isinf(penalties), 0.0, 1 / (self.value + penalties))
        return shrink


def _added(values: Floats, folds: Sequence[int]) -> Floats:
    total: Floats = values[folds[0]].copy()
    for fold in folds[1:]:
        total += values[fold]
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
    names, sizes = clusters.names, clusters.sizes(np.ones(len(clusters.number_I), bool))
    order = sorted(
        range(len(names)),
        key=lambda number: blake2b(f"{seed}:{names[number]}".encode("utf-8", "surrogatepass")).digest(),
    )
    fold_of_cluster = np.zeros(len(names), np.int64)
    held = np.zeros(min(most, len(names)), np.int64)
    for number in order:
        fold_of_cluster[number] = held.argmin()
        held[fold_of_cluster[number]] += sizes[number]
    folds: Ints = fold_of_cluster[clusters.number_I]
    return folds
