"""Feature matches: which features of two stores are each other's nearest, by more than shuffles of prompts give.

The statistic of a feature is its similarity to the nearest feature of the other store, and each shuffle takes the same
maximum over all features, so that the choice of the best of many costs no validity. The p-value of a pair is the larger
one of its two features; a feature that is not the nearest one of its nearest has 1. Axes: F feature of store a, Y
feature of store b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .nearest_features import SAME, Measure, Nearest, Similarities
from .paired_activity import SideActivity
from .prompt_shuffles import PromptShuffles
from .statistics import q_values

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Columns = npt.NDArray[np.intp]
HELD_OUT = 10
"""Shuffles that go through all steps as if they were data: what they match is the floor."""


@dataclass(frozen=True, eq=False)
class FeatureMatches:
    """What is nearest to each feature of which the data can say something, and whether it is a match."""

    column_F: Columns
    """The columns of these features in the activity of store a."""
    column_Y: Columns
    nearest: Nearest
    p_F: Floats
    """p-value of the maximum of each feature alone."""
    p_Y: Floats
    tested: MatchTest
    floor: tuple[MatchTest, ...]
    """The tests of shuffles that were held out."""
    num_shuffles: int
    q: float

    @classmethod
    def of(
        cls,
        columns: tuple[Columns, Columns],
        cases: Sequence[Nearest],
        counts: tuple[Ints, Ints],
        num_shuffles: int,
        q: float,
    ) -> FeatureMatches:
        """Test each case, given in how many shuffles similarities are as large: [cases, F] and [cases, Y].

        The first case is the data, and the others are shuffles that are held out.
        """
        own_p, other_p = ((1 + own) / (1 + num_shuffles) for own in counts)
        p = list(zip(own_p, other_p, strict=True))
        tests = [MatchTest.of(case, *own) for case, own in zip(cases, p, strict=True)]
        return cls(*columns, cases[0], *p[0], tests[0], tuple(tests[1:]), num_shuffles, q)

    @cached_property
    def matched(self) -> tuple[Ints, Ints]:
        """The matched pairs, as places in `column_F` and `column_Y`, by store a."""
        own = np.flatnonzero(self.tested.is_matched(self.q))
        return own.astype(np.int64), self.nearest.best_F[own]

    def shares(self, test: MatchTest) -> tuple[float, float]:
        """Return which share of the features of store a, and of store b, that can be distinguished is matched."""
        number = int(test.is_matched(self.q).sum())
        sizes = (int((~test.is_tie_F).sum()), int((~test.is_tie_Y).sum()))
        return tuple(number / size if size else float("nan") for size in sizes)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class MatchTest:
    """A test of all features of store a against one order of the sites of store b."""

    p_F: Floats
    """The larger p-value of both features of a pair, 1 without a mutual pair, NaN for a tie."""
    q_F: Floats
    is_tie_F: Mask
    """Whether the two nearest features of the other store are equally similar, so that the data cannot choose."""
    is_tie_Y: Mask

    @classmethod
    def of(cls, nearest: Nearest, p_F: Floats, p_Y: Floats) -> MatchTest:
        """Test what is nearest, given the p-values of the maxima."""
        is_tie_F = nearest.similarity_F - nearest.second_F < SAME
        is_tie_Y = nearest.similarity_Y - nearest.second_Y < SAME
        larger_F = np.maximum(p_F, p_Y[nearest.best_F]) if len(p_Y) else np.ones(len(p_F))
        own_F = np.where(nearest.is_mutual_F, larger_F, 1.0)
        own_F = np.where(is_tie_F, np.nan, own_F)
        return cls(own_F, q_values(own_F), is_tie_F, is_tie_Y)

    def is_matched(self, q: float) -> Mask:
        """Return whether each feature of store a is matched at a false discovery rate."""
        with np.errstate(invalid="ignore"):
            matched: Mask = self.q_F <= q
        return matched


def find_cases(similarities: Similarities, shuffles: PromptShuffles, held_out: int) -> list[Nearest]:
    """Return what is nearest in the data, and then in each shuffle that is held out."""
    return [similarities.nearest(), *(similarities.nearest(shuffles.order(number)) for number in range(held_out))]


def count_as_large(
    similarities: Similarities, cases: Sequence[tuple[Floats, Floats]], shuffles: PromptShuffles, numbers: range
) -> tuple[Ints, Ints]:
    """Return in how many of some shuffles the largest similarity of each feature reaches that of each case.

    `cases` are the largest similarities of the features of both stores; the counts are [cases, F] and [cases, Y].
    """
    of_F, of_Y = (np.zeros((len(cases), len(own)), np.int64) for own in cases[0])
    for number in numbers:
        null_F, null_Y = similarities.largest(shuffles.order(number))
        for case, (largest_F, largest_Y) in enumerate(cases):
            of_F[case] += null_F >= largest_F - SAME
            of_Y[case] += null_Y >= largest_Y - SAME
    return of_F, of_Y


def mutual_pairs(
    a: SideActivity, b: SideActivity, sites: Mask, known: tuple[Mask, Mask], measure: Measure, memory_gb: float
) -> set[tuple[int, int]]:
    """Return the pairs of columns that are each other's nearest at some of the sites, of features with `known`."""
    columns = [np.flatnonzero(own) for own in known]
    if not len(columns[0]) or not len(columns[1]):
        return set()
    nearest = Similarities(a.only(columns[0])[sites], b.only(columns[1])[sites], measure, memory_gb).nearest()
    own = np.flatnonzero(nearest.is_mutual_F)
    return {*zip(columns[0][own].tolist(), columns[1][nearest.best_F[own]].tolist(), strict=True)}
