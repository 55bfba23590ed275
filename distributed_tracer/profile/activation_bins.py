"""Bins of activations: the sign, the exponent and the first bits of the mantissa of a float32.

Counts in such bins add up exactly, in whatever order and grouping. A bin is at most 1/32 as wide as its smaller edge,
so that the middle of the bin of a quantile is off by at most 1/64 (1.6%) of it.

Axes: I activation or bin, F feature, X bin of any feature, in the order of features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MANTISSA_BITS = 5
BIN_BITS = 9 + MANTISSA_BITS
_SHIFT, _SIGN = 32 - BIN_BITS, np.uint32(1 << 31)
RELATIVE_ERROR = 2.0 ** -(MANTISSA_BITS + 1)
"""Largest error of a quantile, as a share of its absolute value."""


def bins_of(activation_I: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Return the bin of each activation: numbers of 14 bits that grow with the activation."""
    bits_I = activation_I.view(np.uint32)
    return np.where(bits_I & _SIGN, ~bits_I, bits_I | _SIGN) >> np.uint32(_SHIFT)


def lower_edges(bin_I: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return the smallest float32 of each bin; infinity for the number after the last bin."""
    ordered_I = bin_I.astype(np.uint64) << np.uint64(_SHIFT)
    is_beyond = ordered_I >= np.uint64(0xFF800000)
    ordered_I = np.where(is_beyond, np.uint64(0xFF800000), ordered_I).astype(np.uint32)
    bits_I = np.where(ordered_I & _SIGN, ordered_I ^ _SIGN, ~ordered_I)
    return bits_I.astype(np.uint32).view(np.float32)


def rank_bins(
    bin_X: npt.NDArray[np.integer],
    count_X: npt.NDArray[np.int64],
    start_F: npt.NDArray[np.int64],
    rank_FI: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return the bins [F, I] that hold the activations of given ranks, where 1 is the rank of a feature's smallest.

    The bins of feature f, ascending, are those from `start_F[f]` up to the start of the next feature.
    """
    total_X = np.cumsum(count_X)
    before_F = np.concatenate([[0], total_X])[start_F]
    place_FI = np.searchsorted(total_X, before_F[:, None] + rank_FI)
    return bin_X[place_FI].astype(np.int64)


def middles(bin_I: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Return the middle of each bin."""
    with np.errstate(over="ignore"):
        return (lower_edges(bin_I).astype(np.float64) + lower_edges(bin_I + 1).astype(np.float64)) / 2


def histogram(bin_I: Sequence[int], count_I: Sequence[int], limit: int) -> tuple[list[int], list[int]]:
    """Return the counts in at most `limit` bins, each a power of two of bins wide, and the numbers of their borders.

    `bin_I` ascends and is not empty. If there are negative and positive activations, each sign gets half of the limit,
    and one empty bin is between them.
    """
    zero = 1 << (BIN_BITS - 1)
    below = next((number for number, bin_ in enumerate(bin_I) if bin_ >= zero), len(bin_I))
    if 0 < below < len(bin_I):
        counts, borders = histogram(bin_I[:below], count_I[:below], limit // 2)
        above, borders_above = histogram(bin_I[below:], count_I[below:], limit // 2)
        return [*counts, 0, *above], [*borders, *borders_above]
    shift = 0
    while (bin_I[-1] >> shift) - (bin_I[0] >> shift) >= limit:
        shift += 1
    first = bin_I[0] >> shift
    counts = [0] * ((bin_I[-1] >> shift) - first + 1)
    for bin_, count in zip(bin_I, count_I, strict=True):
        counts[(bin_ >> shift) - first] += count
    return counts, [(first + number) << shift for number in range(len(counts) + 1)]
