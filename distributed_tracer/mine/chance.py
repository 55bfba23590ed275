"""Chance: how often two features would be active together if they were independent, and tests against that.

Token positions are not independent: prompts of a template have the same tokens at the same places, and a prompt has
some words several times. So the variance of the number of common sites is larger than a Poisson variable's. For two
features that are independent of each other, but each of which is correlated with itself within clusters,

    E[n] = lambda = n_i n_j / T
    Var[n] = lambda + sum over classes of pairs of sites of max(0, M c_i c_j)
    c_i = A_i / M - (n_i / T)²

where a class has M ordered pairs of sites, at A_i of which feature i is active at both, so that c_i is the covariance
of its activity at two sites; n - lambda is the sum over sites of products of two centred variables. There are three
classes: pairs in a prompt, pairs in a cluster at the same position of two prompts, and all other pairs in a cluster.
The sum is exact for pairs that are exchangeable within their class. Counts divided by the inflation d = Var[n] / lambda
are then compared with a Poisson variable of mean lambda / d, as effective counts of clustered samples are (Rao and
Scott 1992, "A simple method for the analysis of clustered binary data", Biometrics 48).

Axes: A active feature, F feature, I site, X pair of features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import special

from .activity import LayerActivity

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
T = TypeVar("T", float, Floats)
LEAST_EXPECTED = 5.0
"""Effective number of expected common sites below which "never together" says nothing: P(0) is 0.007 there."""


class SiteCodes(Protocol):
    """What chance needs to know of sites: which count, and what they share."""

    @property
    def is_live_I(self) -> npt.NDArray[np.bool_]:
        """Whether each site counts."""
        ...

    @property
    def rank_I(self) -> npt.NDArray[np.integer[Any]]:
        """Prompt of each site."""
        ...

    @property
    def cell_I(self) -> npt.NDArray[np.integer[Any]]:
        """Pair of cluster and position of each site, as one number."""
        ...

    @property
    def cluster_I(self) -> npt.NDArray[np.integer[Any]]:
        """Cluster of each site."""
        ...


@dataclass(frozen=True, eq=False)
class SelfPairs:
    """For each feature the number of ordered pairs of sites at both of which it is active, by class."""

    num_sites_F: Ints
    by_class: tuple[Floats, ...]
    """Numbers [F] of pairs of each class, in the order of `Chance.pairs`."""


@dataclass(frozen=True)
class Chance:
    """The sizes of a corpus from which chance follows."""

    num_sites: int
    pairs: tuple[float, ...]
    """Number of ordered pairs of sites in a prompt, in a cluster at one position of two prompts, and of all others in a
    cluster."""

    @classmethod
    def of(cls, sites: SiteCodes) -> Chance:
        """Count the pairs of the sites at which features are active."""
        live = np.flatnonzero(sites.is_live_I)
        found = (_ordered_pairs(codes[live]) for codes in _codes(sites))
        return cls(len(live), _classes(*found))

    def self_pairs(self, sites: SiteCodes, layer: LayerActivity) -> SelfPairs:
        """Return the numbers of pairs of all features of a layer."""
        number = len(layer.feature_F)
        counts = []
        for code_I in _codes(sites):
            base = int(code_I.max(initial=0)) + 1
            key, count = np.unique(layer.column_A * base + code_I[layer.site_A], return_counts=True)
            counts.append(np.bincount(key // base, count * (count - 1.0), number).astype(np.float64))
        return SelfPairs(layer.num_sites_F, _classes(*counts))

    def expected(self, a: SelfPairs, b: SelfPairs, a_X: Ints, b_X: Ints) -> tuple[Floats, Floats]:
        """Return the expected number of common sites of pairs of features, and the inflation of its variance."""
        product_X = a.num_sites_F[a_X].astype(np.float64) * b.num_sites_F[b_X]
        lambda_X = product_X / max(1, self.num_sites)
        shares = [of.num_sites_F / max(1, self.num_sites) for of in (a, b)]
        extra_X = np.zeros(len(a_X))
        for number, of_a_F, of_b_F in zip(self.pairs, a.by_class, b.by_class, strict=True):
            if number:
                a_F, b_F = (of_F / number - share_F**2 for of_F, share_F in zip((of_a_F, of_b_F), shares, strict=True))
                extra_X += np.maximum(0.0, number * a_F[a_X] * b_F[b_X])
        return lambda_X, 1.0 + extra_X / lambda_X


def p_fewer(num_both_X: Ints, expected_X: Floats, inflation_X: Floats) -> Floats:
    """Return P(X <= n) of the effective counts; NaN where fewer than LEAST_EXPECTED are expected, which has no power.

    Effective counts are not integers; the Poisson distribution continues between them by the incomplete gamma function.
    """
    effective_X = expected_X / inflation_X
    p_X: Floats = special.gammaincc(num_both_X / inflation_X + 1.0, effective_X)
    return np.where(effective_X >= LEAST_EXPECTED, p_X, np.nan)


def p_more(num_both_X: Ints, expected_X: Floats, inflation_X: Floats) -> Floats:
    """Return P(X >= n) of the effective counts, 1 for n = 0."""
    count_X = np.where(num_both_X > 0, num_both_X / inflation_X, 1.0)
    p_X: Floats = special.gammainc(count_X, expected_X / inflation_X)
    return np.where(num_both_X > 0, p_X, 1.0)


def _codes(sites: SiteCodes) -> tuple[npt.NDArray[np.integer[Any]], ...]:
    """Return the prompt, the pair of cluster and position, and the cluster of each site, as numbers."""
    return sites.rank_I, sites.cell_I, sites.cluster_I


def _classes(in_prompt: T, in_cell: T, in_cluster: T) -> tuple[T, T, T]:
    """Return the numbers of pairs of the three classes. A prompt has one site at a position: none is counted twice."""
    return in_prompt, in_cell, in_cluster - in_prompt - in_cell


def _ordered_pairs(codes: npt.NDArray[np.integer[Any]]) -> float:
    _, count = np.unique(codes, return_counts=True)
    return float((count * (count - 1.0)).sum())
