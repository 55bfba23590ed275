"""Nearest profiles: the features that are among each other's most similar ones, out of a hundred thousand.

approximate similarities in float32 ─▶ those that may be among the largest ─▶ their values in float64 ─▶ mutual ones

Nearly all pairs of features have some column in common, as a few columns (the hubs) are in many profiles. So all pairs
are compared, but cheaply: hubs by a product of dense matrices, the other columns by a product of sparse ones, both in
float32. What rounding can change is bounded, whatever the order of the sums: let n be the number of hubs and of the
other columns of a profile, u = 2^-24, and |x| the norm of a profile, at most 1. A product of rounded values differs by
2u, n additions by n u, relative to the sum of absolute products, which is at most |x| |y|. So a feature that is among
the `neighbours` most similar ones has an approximate similarity of no less than the `neighbours`-th largest one minus
twice the bound. These few are computed exactly: products in float64, added in the order of columns.

Axes: F feature, X entry of a profile, Y pair of features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Found = tuple[Ints, Ints, Floats]
"""Row, column and value of some similarities."""
_BLOCK_VALUES = 1 << 22
"""Similarities that are in memory at once."""
_PAIR_ENTRIES = 1 << 22
"""Entries of profiles that are multiplied at once."""
_HUB_SHARE, _MOST_HUBS = 1 / 16, 512
"""Columns that more than this share of features have are multiplied as dense ones, up to this number: a column of n
entries costs n² steps as a sparse one, and as many as there are pairs as a dense one, which takes a hundredth of the
time for each."""
_SEGMENT = 64
_MOST_CANDIDATES = 8
"""Candidates of a row for each neighbour; with more, as of features that are all alike, the row is computed plainly."""


def nearest(profile_FX: csr_array, neighbours: int) -> csr_array:
    """Return the similarity of each pair of features that are among each other's `neighbours` most similar ones.

    Profiles have a norm of at most 1 and sorted columns. Only positive similarities count. Of equal ones, it is those
    of the first features.
    """
    num_features = profile_FX.shape[0]
    search = Search(profile_FX, neighbours)
    parts = [found for block in search.blocks() for found in search.largest(*block)]
    row, column, value = (np.concatenate(one) for one in zip(*parts, strict=True))
    found = coo_array((value, (row, column)), shape=(num_features, num_features)).tocsr()
    mutual = found.minimum(found.T.tocsr()).tocsr()
    mutual.eliminate_zeros()
    return csr_array(mutual)


class Search:
    """Finds the most similar profiles of each."""

    def __init__(self, profile_FX: csr_array, neighbours: int) -> None:
        self._profile_FX, self._neighbours = profile_FX, neighbours
        num_features = profile_FX.shape[0]
        having_X = np.bincount(profile_FX.indices, minlength=profile_FX.shape[1])
        hub_X = np.argsort(-having_X, kind="stable")[:_MOST_HUBS]
        hub_X = np.sort(hub_X[having_X[hub_X] > _HUB_SHARE * num_features])
        rest_X = np.setdiff1d(np.arange(profile_FX.shape[1]), hub_X, assume_unique=True)
        single_FX = profile_FX.astype(np.float32)
        self._hubs_FX: Singles = np.ascontiguousarray(single_FX[:, hub_X].toarray())
        self._rest_FX = csr_array(single_FX[:, rest_X])
        self._turned_XF = self._rest_FX.T.tocsr()
        terms = len(hub_X) + int(np.diff(self._rest_FX.indptr).max(initial=0))
        self._bound = (terms + 8) * 2.0**-23  # twice what the sums of either kind and their sum can differ by

    def blocks(self) -> list[tuple[int, int]]:
        """Return the first feature and the one after the last of each block that is compared at once."""
        num_features = self._profile_FX.shape[0]
        step = max(1, _BLOCK_VALUES // max(1, num_features))
        return [(begin, min(begin + step, num_features)) for begin in range(0, num_features, step)]

    def largest(self, begin: int, end: int) -> list[Found]:
        """Return the largest positive similarities of the features from `begin` to `end` - 1."""
        similar = self._approximate(begin, end)
        rows = np.arange(end - begin)
        similar[rows, rows + begin] = -np.inf
        cut_F = _low_bound(similar, self._neighbours) - 2 * self._bound
        may_be = similar >= cut_F[:, None].astype(np.float32)
        few = self._neighbours * _MOST_CANDIDATES
        plain_F = (cut_F <= 2 * self._bound) | (np.count_nonzero(may_be, axis=1) > few)
        may_be[plain_F] = False
        place = np.flatnonzero(may_be)
        row, column = np.divmod(place, similar.shape[1])
        found = row + begin, column, self._exact(row + begin, column)
        plain = self._plain(np.flatnonzero(plain_F) + begin)
        return [_first(one, self._neighbours) for one in (found, *plain)]

    def _approximate(self, begin: int, end: int) -> Singles:
        """Return similarities [block, F] that differ from the exact ones by at most the bound."""
        of_hubs = self._hubs_FX[begin:end] @ self._hubs_FX.T
        similar: Singles = np.asarray(csr_array(self._rest_FX[begin:end] @ self._turned_XF) + of_hubs)
        return similar

    def _exact(self, row: Ints, column: Ints) -> Floats:
        """Return the similarity of each pair of features."""
        value_Y = np.zeros(len(row))
        most = 2 * int(np.diff(self._profile_FX.indptr).max(initial=0))
        step = max(1, _PAIR_ENTRIES // max(1, most))
        for first in range(0, len(row), step):
            own = slice(first, first + step)
            both = csr_array(self._profile_FX[row[own]].multiply(self._profile_FX[column[own]]))
            both.sort_indices()
            pair = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr))
            value_Y[own] = np.bincount(pair, both.data, both.shape[0])  # one after another
        return value_Y

    def _plain(self, rows: Ints) -> list[Found]:
        """Return all positive similarities of some features, without any bound."""
        found, num_features = [], self._profile_FX.shape[0]
        step = max(1, _BLOCK_VALUES // max(1, num_features))
        turned_XF = self._profile_FX.T.tocsr() if len(rows) else None
        for first in range(0, len(rows), step):
            own = rows[first : first + step]
            similar = coo_array(self._profile_FX[own] @ turned_XF)
            row, column = own[similar.row], similar.col.astype(np.int64)
            kept = (row != column) & (similar.data > 0)
            found.append(_first((row[kept], column[kept], similar.data[kept]), self._neighbours))
        return found


def _low_bound(similar: Singles, number: int) -> Floats:
    """Return for each row a value that at least `number` values reach: the largest of that many segments do."""
    width = max(1, min(_SEGMENT, similar.shape[1] // (8 * number)))
    whole = similar.shape[1] // width * width
    largest = similar[:, :whole].reshape(len(similar), -1, width).max(axis=2)
    number = min(number, largest.shape[1])
    found: Floats = np.partition(largest, largest.shape[1] - number, axis=1)[:, -number].astype(np.float64)
    return found


def _first(found: Found, number: int) -> Found:
    """Return the largest values of each row, those of the first columns among equal ones."""
    row, column, value = found
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    kept = (np.arange(len(row)) - np.searchsorted(row, row) < number) & (value > 0)
    return row[kept], column[kept], value[kept]
