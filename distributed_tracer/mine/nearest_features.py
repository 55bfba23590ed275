"""Nearest features: for each feature of one store the most similar one of another, observed and under shuffles.

Similarities are computed for blocks of features, so that memory is bounded; sums run over sites in their order, or over
integers, so that the blocks change no bit.

Axes: A active feature of store a, F feature of store a, Y feature of store b, I site.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Measure = Literal["correlation", "jaccard"]
MEASURES = ("correlation", "jaccard")
SAME = 2.0**-30
"""Similarities that differ by less are the same: rounding is far below, and what it leaves says nothing."""
_UNIT = 2.0**40
"""Shares of activations are rounded to integers of this number per 1, whose sums are exact."""
_BYTES_OF_SCORE = 48
_BYTES_OF_PAIR = 64


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest feature on the other side, its similarity and the second largest one, for the features of both."""

    best_F: Ints
    similarity_F: Floats
    second_F: Floats
    best_Y: Ints
    similarity_Y: Floats
    second_Y: Floats

    @property
    def is_mutual_F(self) -> npt.NDArray[np.bool_]:
        """Whether each feature of store a is the nearest one of its own nearest one."""
        mutual: npt.NDArray[np.bool_] = self.best_Y[self.best_F] == np.arange(len(self.best_F))
        return mutual


class Similarities:
    """The similarities of all features of store a with all of store b, which are columns of [I, F] and [I, Y]."""

    def __init__(self, a: csr_array, b: csr_array, measure: Measure, memory_gb: float) -> None:
        self.measure, self._memory = measure, max(1, int(memory_gb * 1e9))
        live = np.diff(a.indptr) + np.diff(b.indptr) > 0
        self.num_live = int(np.count_nonzero(live))
        scaled = (_standardised if measure == "correlation" else _as_shares)(a, self.num_live)
        scaled_b = (_standardised if measure == "correlation" else _as_shares)(b, self.num_live)
        (self._a, self._of_a), (self._b, self._of_b) = scaled, scaled_b
        self._a_by_feature = csc_array(self._a)
        self.num_multiplications = int((np.diff(a.indptr).astype(np.int64) * np.diff(b.indptr)).sum())

    def nearest(self, order_I: Ints | None = None) -> Nearest:
        """Return nearest features, with the sites of store b in another order if one is given."""
        num_a, num_b = len(self._of_a), len(self._of_b)
        best_F, best_Y = np.zeros(num_a, np.int64), np.zeros(num_b, np.int64)
        top_F, top_Y = np.full((2, num_a), -np.inf), np.full((2, num_b), -np.inf)
        b = self._b if order_I is None else csr_array(self._b[order_I])
        for begin, scores in self._blocks(b) if num_b else ():
            end = begin + len(scores)
            best_F[begin:end] = scores.argmax(axis=1)
            top_F[:, begin:end] = _two_largest(scores.T)
            of_block, own = scores.argmax(axis=0), _two_largest(scores)
            best_Y = np.where(own[0] > top_Y[0], of_block + begin, best_Y)
            top_Y = np.sort(np.concatenate([top_Y, own]), axis=0)[:1:-1]
        return Nearest(best_F, top_F[0], top_F[1], best_Y, top_Y[0], top_Y[1])

    def largest(self, order_I: Ints) -> tuple[Floats, Floats]:
        """Return the similarity of each feature of store a, and of store b, to its nearest feature, with the sites of
        store b in another order."""
        num_a, num_b = len(self._of_a), len(self._of_b)
        of_F, of_Y = np.full(num_a, -np.inf), np.full(num_b, -np.inf)
        for begin, scores in self._blocks(csr_array(self._b[order_I])) if num_b else ():
            of_F[begin : begin + len(scores)] = scores.max(axis=1)
            np.maximum(of_Y, scores.max(axis=0), out=of_Y)
        return of_F, of_Y

    def of_pairs(self, feature_a: Ints, feature_b: Ints) -> Floats:
        """Return the similarities of pairs of features, given by column."""
        a, b = csc_array(self._a[:, feature_a]), csc_array(self._b[:, feature_b])
        if self.measure == "correlation":
            products: Floats = np.asarray(a.multiply(b).sum(axis=0))
            return products - self._of_a[feature_a] * self._of_b[feature_b] * self.num_live
        common = np.asarray(a.minimum(b).sum(axis=0))
        return _jaccard(common, self._of_a[feature_a], self._of_b[feature_b])

    def _blocks(self, b: csr_array) -> Iterator[tuple[int, Floats]]:
        """Yield the first feature of store a of each block, and its similarities [features, Y]."""
        num_a, num_b = len(self._of_a), len(self._of_b)
        work_F = np.full(num_a, num_b * _BYTES_OF_SCORE, dtype=np.int64)
        if self.measure == "jaccard":
            in_b_I = np.diff(b.indptr).astype(np.int64)
            a = self._a_by_feature
            before = np.append(0, np.cumsum(in_b_I[a.indices]))
            work_F += _BYTES_OF_PAIR * (before[a.indptr[1:]] - before[a.indptr[:-1]])
        total_F, begin = np.cumsum(work_F), 0
        while begin < num_a:
            done = total_F[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(total_F, done + self._memory, side="right")))
            own = self._a_by_feature[:, begin:end]
            if self.measure == "correlation":
                scores = (csr_array(own.T) @ b).toarray()
                scores -= np.outer(self._of_a[begin:end], self._of_b * self.num_live)
                yield begin, scores
            else:
                common = _common(csc_array(own), b)
                yield begin, _jaccard(common, self._of_a[begin:end, None], self._of_b[None, :])
            begin = end


def _two_largest(scores: Floats) -> Floats:
    """Return the largest and the second largest value of each column [2, columns]; -inf for one that is missing."""
    if len(scores) < 2:
        return np.concatenate([scores, np.full((2 - len(scores), scores.shape[1]), -np.inf)])
    largest: Floats = np.partition(scores, len(scores) - 2, axis=0)[:-3:-1]
    return largest


def _standardised(values: csr_array, num_live: int) -> tuple[csr_array, Floats]:
    """Return values / (deviation * square root of the number of sites), and the means of these."""
    size = values.shape[1]
    sums = np.bincount(values.indices, values.data, size)
    squares = np.bincount(values.indices, np.square(values.data), size)
    spread = squares - np.square(sums) / max(1, num_live)
    per = np.divide(1.0, np.sqrt(np.maximum(spread, 0.0)), out=np.zeros(size), where=spread > SAME * squares)
    scaled = csr_array((values.data * per[values.indices], values.indices, values.indptr), shape=values.shape)
    return scaled, sums * per / max(1, num_live)


def _as_shares(values: csr_array, num_live: int) -> tuple[csr_array, Floats]:
    """Return |values| of each feature as integers in proportion, and their sums."""
    del num_live  # the other measure needs it
    size = values.shape[1]
    sums = np.bincount(values.indices, np.abs(values.data), size)
    share = np.rint(np.abs(values.data) / sums[values.indices] * _UNIT)
    shares = csr_array((share, values.indices, values.indptr), shape=values.shape)
    return shares, np.bincount(values.indices, share, size).astype(np.float64)


def _common(a: csc_array, b: csr_array) -> Floats:
    """Return the sum over sites of the smaller of two values, for each feature of a block and each of store b."""
    site_A, column_A = a.indices, np.repeat(np.arange(a.shape[1]), np.diff(a.indptr))
    number_A = np.diff(b.indptr)[site_A].astype(np.int64)
    row = np.repeat(np.arange(len(site_A)), number_A)
    place = np.arange(len(row)) - np.repeat(np.cumsum(number_A) - number_A, number_A) + b.indptr[site_A][row]
    key = column_A[row] * b.shape[1] + b.indices[place]
    sums = np.bincount(key, np.minimum(a.data[row], b.data[place]), a.shape[1] * b.shape[1])
    return sums.astype(np.float64).reshape(a.shape[1], b.shape[1])


def _jaccard(common: Floats, of_a: Floats, of_b: Floats) -> Floats:
    larger = of_a + of_b - common
    return np.divide(common, larger, out=np.zeros(larger.shape), where=larger > 0)
