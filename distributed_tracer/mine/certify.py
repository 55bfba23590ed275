"""Certificates: how many clusters anyone may remove before an item can leave a consensus graph.

Axes: I item, such as an edge; Y cluster.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def as_fraction(share: float) -> Fraction:
    """Return the fraction that the digits of a share say, so that comparisons with counts are exact: 0.6 of 5 is 3."""
    return Fraction(repr(float(share)))


def reaches(count_I: Ints, number: int | Ints, share: Fraction) -> Mask:
    """Return whether count / number is at least `share`, without round-off."""
    return np.asarray(count_I * share.denominator >= share.numerator * np.asarray(number))


def removal_radius(count_I: Ints, number: int, threshold: Fraction) -> Ints:
    """Return the largest R such that an item stays in a consensus graph whichever R or fewer clusters are removed.

    An item is in the graph if it is in `count_I` of `number` clusters, and count / number is at least `threshold`. The
    worst removal takes clusters that have the item: after r of them the frequency is (count - r) / (number - r), which
    does not increase with r. So R is the largest integer with count - R >= threshold (number - R), that is, the floor
    of (count - threshold number) / (1 - threshold). It is at most number - 1, since one cluster must remain, and -1 for
    items that are not in the graph.
    """
    spare_I = count_I * threshold.denominator - threshold.numerator * number
    if threshold == 1:
        radius_I = np.where(spare_I >= 0, number - 1, -1)
    else:
        radius_I = np.floor_divide(spare_I, threshold.denominator - threshold.numerator)
    return np.where(spare_I >= 0, np.minimum(radius_I, number - 1), -1).astype(np.int64)


def sampled_radius(low_I: Floats, number: int, size: int, threshold: float) -> Ints:
    """Return the largest R for a graph of the items that most subsamples of clusters choose, for any rule of choice.

    An item is in the graph if the probability p that a rule chooses it, given `size` random ones of the `number`
    clusters, is at least `threshold`. `low_I` are lower bounds of p. After removal of R clusters, subsamples of those
    that remain are the subsamples that avoid the removed ones: a share a = C(number - R, size) / C(number, size) of
    all. So p = a p' + (1 - a) p'' with p'' at most 1, and p' is at least (p - (1 - a)) / a. The item stays if this is
    at least the threshold, that is, if low >= 1 - a (1 - threshold). The result is -1 where even low < threshold.
    """
    radius_I = np.full(len(low_I), -1, dtype=np.int64)
    for removed in range(number - size + 1):
        avoiding = math.comb(number - removed, size) / math.comb(number, size)
        stays_I = low_I >= 1 - avoiding * (1 - threshold)
        if not stays_I.any():
            break
        radius_I[stays_I] = removed
    return radius_I


def covering(value_I: Floats, share: float) -> Mask:
    """Return the largest values that together cover `share` of the sum, with all that equal the last one needed.

    Nothing covers a sum of zero.
    """
    descending = np.sort(value_I)[::-1]
    total = np.cumsum(descending)
    if not len(total) or total[-1] <= 0:
        return np.zeros(len(value_I), dtype=bool)
    last = min(int(np.searchsorted(total, share * total[-1] * (1 - 2.0**-40))), len(total) - 1)
    return np.asarray((value_I >= descending[last] * (1 - 2.0**-40)) & (value_I > 0))
