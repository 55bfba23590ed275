"""Proportions: exact intervals of a probability, given how often of a number of trials something happened."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64] | int


def clopper_pearson(count: Counts, trials: Counts, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Return the ends of the two-sided interval of Clopper and Pearson 1934 (Biometrika 26); NaN without trials.

    It covers the probability with at least this confidence, whatever the probability is. Each end alone is a bound with
    a confidence of (1 + confidence) / 2.
    """
    of_count, of_all = np.asarray(count, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    tail = (1.0 - confidence) / 2.0
    low, high = np.zeros(of_count.shape), np.ones(of_count.shape)
    with np.errstate(invalid="ignore"):
        low = np.where(of_count > 0, stats.beta.ppf(tail, of_count, of_all - of_count + 1), low)
        high = np.where(of_count < of_all, stats.beta.ppf(1 - tail, of_count + 1, of_all - of_count), high)
    return np.where(of_all > 0, low, np.nan), np.where(of_all > 0, high, np.nan)
