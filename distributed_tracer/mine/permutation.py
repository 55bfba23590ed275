"""Permutation tests of a contrast: the labels of clusters exchanged, or the signs of differences of pairs.

If labels do not matter, every assignment of the labels to the clusters was equally likely, and the share of
assignments with a statistic at least as large as the observed one is a p-value, whatever the distribution of the values
(Fisher 1935; Ernst 2004, "Permutation methods: a basis for exact inference", Statistical Science 19). All assignments
are counted if they are few. Otherwise some are drawn with a seed and the observed one is added to them, so that no
p-value is 0 (Phipson and Smyth 2010, "Permutation p-values should never be zero", Stat. Appl. Genet. Mol. Biol. 9).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from .statistics import Floats, Mask

Labels = npt.NDArray[np.int8]

_ELEMENTS = 1 << 21
_FLOOR = 1e-8
"""The least squared standard error, where the values of a column have variance 1: the statistic stays finite where
the values within both sets are equal. It is the same for all assignments, so that the test stays exact."""
_TIES = 1e-7
"""Statistics that differ by less than this, in their own size or in standard deviations, are equal: round-off differs
between assignments."""


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """p-values of the columns, and what is needed to compare columns that were tested apart."""

    p: Floats
    """Two-sided p-value of each column; NaN where all known values are equal, as nothing is tested there."""
    observed: Floats
    """The observed statistic of each column, a little smaller so that equal ones reach it."""
    largest: Floats
    """The largest statistic of all columns under each assignment, the observed one first."""
    is_exact: bool
    """Whether these are all assignments. No p-value is smaller than 1 / len(largest)."""

    @classmethod
    def joined(cls, tests: Sequence[PermutationTest]) -> PermutationTest:
        """Return the columns of several tests with the same assignments, one after another."""
        p, observed = (np.concatenate([getattr(test, name) for test in tests]) for name in ("p", "observed"))
        return cls(p, observed, np.max([test.largest for test in tests], axis=0), tests[0].is_exact)


def p_of_largest(tests: Sequence[PermutationTest]) -> Floats:
    """Return the p-value of each column for the largest statistic of all columns (max-T), in the order of the tests.

    It bounds the probability that, if labels matter nowhere, any column has a statistic this large (Westfall and Young
    1993, "Resampling-Based Multiple Testing", chapter 2, single step). The tests must have the same assignments.
    """
    largest = np.sort(np.max([test.largest for test in tests], axis=0))
    reached = [len(largest) - np.searchsorted(largest, test.observed, side="left") for test in tests]
    shares: list[Floats] = [
        np.where(np.isnan(test.p), np.nan, hits / len(largest)) for test, hits in zip(tests, reached, strict=True)
    ]
    return np.concatenate(shares)


def exchange_labels(values: Floats, is_a: Mask, draws: int, seed: int = 0) -> PermutationTest:
    """Test by exchanging the labels of units whether the values [units, columns] of two sets differ.

    The statistic is |Welch's t|: it stays valid in large samples if variances differ (Janssen 1997, "Studentized
    permutation tests for non-i.i.d. hypotheses", Statistics & Probability Letters 36). It is 0 where an assignment
    leaves a set with fewer than two known values.
    """
    assignments, is_exact = _assignments(is_a.tobytes(), draws, seed)
    scaled = _scaled(values)
    varies = (scaled != 0).any(0)
    values, scaled = values[:, varies], scaled[:, varies]
    known = (~np.isnan(values)).astype(np.float64)
    scaled_squares = scaled**2
    total, squares, counts = scaled.sum(0), scaled_squares.sum(0), known.sum(0)
    size_a = None if np.isnan(values).any() else float(is_a.sum())

    def statistic(rows: Floats) -> Floats:
        n_a = rows @ known if size_a is None else size_a
        sum_a, square_a = rows @ scaled, rows @ scaled_squares
        n_b, sum_b, square_b = counts - n_a, total - sum_a, squares - square_a
        defined = (n_a > 1) & (n_b > 1)
        n_a, n_b = np.where(defined, n_a, 2.0), np.where(defined, n_b, 2.0)
        error_a = (square_a - sum_a**2 / n_a) / (n_a * (n_a - 1))
        error_b = (square_b - sum_b**2 / n_b) / (n_b * (n_b - 1))
        error = np.sqrt(np.maximum(error_a + error_b, _FLOOR))
        return np.where(defined, np.abs(sum_a / n_a - sum_b / n_b) / error, 0.0)

    return _tested(statistic, assignments, varies, is_exact)


def exchange_presence(shares: Floats, is_a: Mask, draws: int, seed: int = 0) -> PermutationTest:
    """Test by exchanging the labels of units whether a quantity is present more often in one of two sets.

    `shares` [units, columns] are the shares of each cluster's prompts in which it is present; all are known. The
    statistic is the difference of the mean shares. If every cluster has one prompt, this is Fisher's exact test in a
    table of two by two.
    """
    assignments, is_exact = _assignments(is_a.tobytes(), draws, seed)
    scaled, size_a, size_b = _scaled(shares), int(is_a.sum()), int((~is_a).sum())
    varies = (scaled != 0).any(0)
    scaled = scaled[:, varies]
    total = scaled.sum(0)

    def statistic(rows: Floats) -> Floats:
        sum_a = rows @ scaled
        difference: Floats = np.abs(sum_a / size_a - (total - sum_a) / size_b)
        return difference

    return _tested(statistic, assignments, varies, is_exact)


def flip_signs(differences: Floats, draws: int, seed: int = 0) -> PermutationTest:
    """Test by flipping the signs of units' differences [units, columns] whether their mean is zero.

    If labels do not matter within a pair, each difference is as likely with one sign as with the other (Fisher 1935).
    The statistic is |sum| / root of the sum of squares, which orders the assignments like |Student's t|.
    """
    signs, is_exact = _signs(len(differences), draws, seed)
    known = np.where(np.isnan(differences), 0.0, differences)
    size = np.sqrt((known**2).sum(0))
    scaled = known[:, size > 0] / size[size > 0]
    return _tested(lambda rows: np.abs(rows @ scaled), signs, size > 0, is_exact)


def _scaled(values: Floats) -> Floats:
    """Return the values of each column with mean 0 and variance 1; 0 where not known or where all known are equal."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(0), 1)
    centred = np.where(known, values - np.where(known, values, 0.0).sum(0) / count, 0.0)
    size = np.sqrt((centred**2).sum(0) / count)
    largest = np.max(np.where(known, np.abs(values), 0.0), axis=0, initial=0.0)
    varies = size > 2.0**-40 * largest
    scaled: Floats = np.divide(centred, size, out=np.zeros_like(centred), where=varies)
    return scaled


@lru_cache(maxsize=1)
def _assignments(is_a: bytes, draws: int, seed: int) -> tuple[Labels, bool]:
    """Return rows with 1 for the units of set a and 0 for others, the observed one first, and whether these are all.

    `is_a` has a byte for each unit. The last answer is kept, since blocks of quantities have the same labels.
    """
    observed = np.frombuffer(is_a, dtype=np.int8)
    num_units, num_a = len(observed), int(observed.sum())
    if comb(num_units, num_a) > draws + 1:
        drawn = np.random.default_rng(seed).permuted(np.tile(observed, (draws, 1)), axis=1)
        return np.concatenate([observed[None], drawn]), False
    own = tuple(np.flatnonzero(observed).tolist())
    every = [own, *(chosen for chosen in combinations(range(num_units), num_a) if chosen != own)]
    rows = np.zeros((len(every), num_units), dtype=np.int8)
    for row, chosen in zip(rows, every, strict=True):
        row[list(chosen)] = 1
    return rows, True


@lru_cache(maxsize=1)
def _signs(num_units: int, draws: int, seed: int) -> tuple[Labels, bool]:
    """Return rows of signs, the observed ones first, which are all positive, and whether these are all."""
    if 2**num_units <= draws + 1:
        bits = (np.arange(2**num_units)[:, None] >> np.arange(num_units)) & 1
        return (1 - 2 * bits).astype(np.int8), True
    drawn = np.random.default_rng(seed).integers(0, 2, (draws, num_units))
    return np.concatenate([np.ones((1, num_units), dtype=np.int8), (1 - 2 * drawn).astype(np.int8)]), False


def _tested(
    statistic: Callable[[Floats], Floats], assignments: Labels, varies: Mask, is_exact: bool
) -> PermutationTest:
    """Count assignments. `statistic` maps rows of labels to statistics [rows, columns that vary]."""
    num_columns = int(varies.sum())
    reached, observed, largest = np.zeros(num_columns), np.zeros(num_columns), np.zeros(len(assignments))
    at_once = max(1, _ELEMENTS // max(1, num_columns))
    for first in range(0, len(assignments) if num_columns else 0, at_once):
        found = statistic(assignments[first : first + at_once].astype(np.float64))
        if first == 0:
            observed = found[0] * (1 - _TIES) - _TIES
        reached += (found >= observed).sum(0)
        largest[first : first + at_once] = found.max(axis=1, initial=0.0)
    p, of_all = np.full(len(varies), np.nan), np.zeros(len(varies))
    p[varies], of_all[varies] = reached / len(assignments), observed
    return PermutationTest(p, of_all, largest, is_exact)
