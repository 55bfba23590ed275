"""Statistics of a contrast of two sets of clusters, for many quantities at once; functions of numpy arrays alone.

A row is a unit (a prompt, a cluster of prompts, a pair) and a column is a quantity, such as a feature's influence. NaN
is a value that is not known; it is left out, and never counts as zero. A result that the data cannot give is NaN too.
Sums over units run from the first row to the last, in float64, and callers sort the rows by name. Results therefore do
not depend on the order in which prompts are read, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ROUND_OFF = 2.0**-40
"""The values of a set count as equal if they differ by less than this, relative to the largest of them."""
CONFIDENCE = 0.95
"""The confidence level of all intervals."""


def cluster_means(values: Floats, clusters: Sequence[str], ids: Sequence[str]) -> tuple[list[str], Floats]:
    """Return the names of the clusters in sorted order, and the mean of the known values of each [clusters, columns].

    `values` are [prompts, columns], with the cluster and the id of each prompt. Prompts are added in the order of their
    ids. A cluster without a known value has NaN. Every cluster has the same weight afterwards, however many prompts it
    has: prompts of a cluster are not independent, so that their number says little about the precision of its mean.
    """
    names = sorted(set(clusters))
    row_of = {name: row for row, name in enumerate(names)}
    sums, counts = np.zeros((2, len(names), values.shape[1]))
    for prompt in sorted(range(len(ids)), key=lambda number: ids[number]):
        known, row = ~np.isnan(values[prompt]), row_of[clusters[prompt]]
        sums[row] += np.where(known, values[prompt], 0.0)
        counts[row] += known
    return names, _divided(sums, counts)


@dataclass(frozen=True, eq=False)
class MeanTest:
    """A test of a difference of means, for each column. All arrays are [columns]."""

    mean_a: Floats
    mean_b: Floats
    difference: Floats
    """mean_a - mean_b."""
    low: Floats
    high: Floats
    """The ends of the 95% confidence interval of the difference."""
    df: Floats
    """Degrees of freedom of Student's t."""
    t: Floats
    p: Floats
    """The two-sided p-value."""
    units_a: npt.NDArray[np.int64]
    units_b: npt.NDArray[np.int64]
    """How many values are known."""
    g: Floats
    g_low: Floats
    g_high: Floats
    """Hedges' g, the difference in standard deviations, and the ends of its 95% confidence interval."""


def welch(a: Floats, b: Floats) -> MeanTest:
    """Test whether the means of a [units, columns] and of b [units, columns] differ, without equal variances.

    t and the degrees of freedom are those of Welch 1947, "The generalization of 'Student's' problem when several
    different population variances are involved" (Biometrika 34). They are NaN where a set has fewer than two known
    values, or where no set varies. g is that of Hedges 1981, "Distribution theory for Glass's estimator of effect size"
    (J. Educational Statistics 6), with the exact correction of bias and the pooled standard deviation. Its interval
    uses the large-sample variance (n_a + n_b) / (n_a n_b) + g² / (2 (n_a + n_b)) of Hedges and Olkin 1985,
    "Statistical Methods for Meta-Analysis", chapter 5, and is rough with few clusters.
    """
    (n_a, mean_a, var_a), (n_b, mean_b, var_b) = _moments(a), _moments(b)
    part_a, part_b = _divided(var_a, n_a), _divided(var_b, n_b)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = (part_a + part_b) ** 2 / (part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1))
        pooled = ((n_a - 1) * var_a + (n_b - 1) * var_b) / (n_a + n_b - 2)
        g = _corrected(n_a + n_b - 2) * (mean_a - mean_b) / np.sqrt(_positive(pooled))
        g_variance = (n_a + n_b) / (n_a * n_b) + g**2 / (2 * (n_a + n_b))
    return _mean_test((mean_a, mean_b, mean_a - mean_b), part_a + part_b, df, (n_a, n_b), g, g_variance)


def paired_t(a: Floats, b: Floats) -> MeanTest:
    """Test whether the mean of the differences a - b [pairs, columns] is zero (Student's t for pairs).

    A pair counts where both values are known. g is the mean difference in standard deviations of the differences, with
    Hedges' correction; its variance is 1 / n + g² / (2 n) (Borenstein et al. 2009, "Introduction to Meta-Analysis",
    chapter 4, for differences that are standardised by their own deviation). NaN stands for what `welch` says.
    """
    differences = a - b
    known = ~np.isnan(differences)
    count, mean, variance = _moments(differences)
    with np.errstate(invalid="ignore", divide="ignore"):
        g = _corrected(count - 1) * mean / np.sqrt(_positive(variance))
        g_variance = 1 / count + g**2 / (2 * count)
    means = (_moments(np.where(known, a, np.nan))[1], _moments(np.where(known, b, np.nan))[1], mean)
    return _mean_test(means, _divided(variance, count), count - 1, (count, count), g, g_variance)


def q_values(p: Floats, method: Literal["bh", "by"] = "bh") -> Floats:
    """Return the smallest false discovery rate at which each p-value counts as a discovery; NaN for those not tested.

    `bh` is Benjamini and Hochberg 1995, "Controlling the false discovery rate" (J. R. Statist. Soc. B 57), for tests
    that are independent or positively dependent. `by` is Benjamini and Yekutieli 2001, "The control of the false
    discovery rate in multiple testing under dependency" (Annals of Statistics 29), for any dependence. NaN counts
    neither as a test nor as a discovery.
    """
    tested = ~np.isnan(p)
    q = np.full(len(p), np.nan)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested], method=method)
    return q


def two_part(magnitude: Floats, presence: Floats) -> Floats:
    """Return one p-value from those of magnitude and presence: twice the smaller one, at most 1 (Bonferroni).

    It holds for any dependence of the two parts. The sum of chi-squares of Lachenbruch 2001, "Comparisons of two-part
    models with competitors" (Statistics in Medicine 20), has more power but needs independent parts, which means over
    clusters with their zeros are not. Where one part is not known, twice the other one remains.
    """
    return np.minimum(1.0, 2.0 * np.fmin(magnitude, presence))


def halves(names: Sequence[str], seed: int = 0) -> Mask:
    """Return whether each unit is in the first of two halves of equal size (the first has one more of an odd number).

    Units are ordered by a hash of seed and name, so that the halves do not depend on the order of the names.
    """
    hashes = {name: blake2b(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest() for name in names}
    first = set(sorted(hashes, key=hashes.__getitem__)[::2])
    return np.fromiter((name in first for name in names), dtype=bool, count=len(names))


def replicated_share(one: Floats, other: Floats, num_chosen: int) -> float:
    """Return which share of the effects that one half of the units chooses, as the largest, the other half confirms.

    `one` and `other` are the estimates in the halves [columns]. Choosing and estimating on the same units makes effects
    too large (the winner's curse); here the half that estimates has no part in the choice. The result is the mean of
    both directions, close to 1 where the chosen effects are real and close to 0 where they are noise. It is NaN where
    nothing can be chosen.
    """
    known = ~(np.isnan(one) | np.isnan(other))
    one, other = one[known], other[known]
    shares = []
    for chooser, judge in ((one, other), (other, one)):
        chosen = np.argsort(-np.abs(chooser), kind="stable")[:num_chosen]
        if (size := float(np.abs(chooser[chosen]).sum())) > 0:
            shares.append(float((np.sign(chooser[chosen]) * judge[chosen]).sum()) / size)
    return sum(shares) / len(shares) if shares else float("nan")


def known_mean(values: Floats) -> Floats:
    """Return the mean of the known values of each column of [units, columns]; NaN for a column without any."""
    return _moments(values)[1]


def _moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return number, mean and variance of the known values of each column. Variance is NaN for fewer than two."""
    known = ~np.isnan(values)
    count = known.sum(0).astype(np.float64)
    mean = _divided(_sum(np.where(known, values, 0.0)), count)
    squares = _sum(np.where(known, values - mean, 0.0) ** 2)
    variance = np.where(count > 1, _divided(squares, count - 1), np.nan)
    high = np.max(np.where(known, values, -np.inf), axis=0, initial=-np.inf)
    low = np.min(np.where(known, values, np.inf), axis=0, initial=np.inf)
    with np.errstate(invalid="ignore"):  # inf - inf for a column without known values
        equal = high - low <= ROUND_OFF * np.maximum(np.abs(high), np.abs(low))
    return count, mean, np.where(equal & (count > 1), 0.0, variance)


def _sum(values: Floats) -> Floats:
    """Return the sums of columns, added from the first row to the last: numpy's own order depends on the shape."""
    total = np.zeros(values.shape[1])
    for row in values:
        total += row
    return total


def _divided(values: Floats, by: Floats) -> Floats:
    quotients: Floats = np.divide(values, by, out=np.full(np.broadcast(values, by).shape, np.nan), where=by > 0)
    return quotients


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def _corrected(df: Floats) -> Floats:
    """Return Hedges' correction of bias, Γ(df/2) / (√(df/2) Γ((df-1)/2)); NaN for fewer than two degrees of freedom."""
    df = np.where(df > 1, df, np.nan)
    corrected: Floats = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
    return corrected


def _mean_test(
    means: tuple[Floats, Floats, Floats],
    variance: Floats,
    df: Floats,
    units: tuple[Floats, Floats],
    g: Floats,
    g_variance: Floats,
) -> MeanTest:
    error = np.sqrt(_positive(variance))
    df = np.where(np.isnan(error), np.nan, df)
    t = means[2] / error
    half = stats.t.ppf((1 + CONFIDENCE) / 2, df) * error
    g_half = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(g_variance)
    ends = {"low": means[2] - half, "high": means[2] + half, "g_low": g - g_half, "g_high": g + g_half}
    units_a, units_b = (count.astype(np.int64) for count in units)
    return MeanTest(*means, df=df, t=t, p=2 * stats.t.sf(np.abs(t), df), units_a=units_a, units_b=units_b, g=g, **ends)
