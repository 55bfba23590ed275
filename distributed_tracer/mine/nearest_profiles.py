"""Nearest profiles: the features that are among each other's most similar ones, out of a hundred thousand.

approximate similarities in float32 ─▶ those that may be among the largest ─▶ their values in float64 ─▶ mutual ones

Nearly all pairs of features have some column in common, as a few columns (the hubs) are in many profiles. So all pairs
are compared, but cheaply: hubs by a product of dense matrices, the other columns by a product of sparse ones, both in
float32, for one tile of pairs after another, which fits into a processor's cache. What rounding can change is bounded,
whatever the order of the sums: let n be the number of hubs and of the other columns of a profile, u = 2^-24, and |x|
the norm of a profile, at most 1. A product of rounded values differs by 3u, n additions by n u, relative to the sum of
absolute products, which is at most |x| |y|. So a feature that is among the `neighbours` most similar ones has an
approximate similarity of no less than the `neighbours`-th largest one minus twice the bound. These few are computed
exactly: products in float64, added in the order of columns.

Axes: F feature, X column of a profile, Y pair of features.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Range = tuple[int, int]
"""First feature and the one after the last."""
Found = tuple[Ints, Ints, Floats]
"""Row, column and value of some similarities."""
_TILE = 2048
"""Features on each side of a tile of pairs."""
_BLOCK_VALUES = 1 << 22
"""Similarities of plain rows that are in memory at once."""
_PAIR_ENTRIES = 1 << 22
"""Entries of profiles that are multiplied at once."""
_HUB_SHARE, _MOST_HUBS = 1 / 16, 512
"""Columns that more than this share of features have are multiplied as dense ones, up to this number: a column of n
entries costs n² steps as a sparse one, and as many as there are pairs as a dense one, which takes a hundredth of the
time for each."""
_SEGMENT = 64
_MOST_WAITING = 1 << 23
"""Candidates of all rows that are in memory, beside those of one tile."""
_MOST_CANDIDATES = 8
"""Candidates of a row for each neighbour; with more, as of features that are all alike, the row is computed plainly."""


def nearest(profile_FX: csr_array, neighbours: int) -> csr_array:
    """Return the similarity of each pair of features that are among each other's `neighbours` most similar ones.

    Profiles have a norm of at most 1 and sorted columns. Only positive similarities count. Of equal ones, it is those
    of the first features.
    """
    num_features = profile_FX.shape[0]
    search = Search(profile_FX, neighbours)
    for tile in search.tiles():
        search.compare(*tile)
    row, column, value = search.largest()
    found = coo_array((value, (row, column)), shape=(num_features, num_features)).tocsr()
    mutual = found.minimum(found.T.tocsr()).tocsr()
    mutual.eliminate_zeros()
    return csr_array(mutual)


class Search:
    """Finds the most similar profiles of each, a tile of pairs at a time."""

    def __init__(self, profile_FX: csr_array, neighbours: int) -> None:
        self._profile_FX, self._neighbours = profile_FX, neighbours
        num_features = profile_FX.shape[0]
        having_X = np.bincount(profile_FX.indices, minlength=profile_FX.shape[1])
        hub_X = np.argsort(-having_X, kind="stable")[:_MOST_HUBS]
        hub_X = np.sort(hub_X[having_X[hub_X] > _HUB_SHARE * num_features])
        rest_X = np.setdiff1d(np.arange(profile_FX.shape[1]), hub_X, assume_unique=True)
        single_FX = profile_FX.astype(np.float32)
        self._hubs_FX: Singles = np.ascontiguousarray(single_FX[:, hub_X].toarray())
        rest_FX = csr_array(single_FX[:, rest_X])
        self._ranges = [(begin, min(begin + _TILE, num_features)) for begin in range(0, num_features, _TILE)]
        self._rest = {own: csr_array(rest_FX[own[0] : own[1]]) for own in self._ranges}
        self._turned = {own: csr_array(rest.T.tocsr()) for own, rest in self._rest.items()}
        terms = len(hub_X) + int(np.diff(rest_FX.indptr).max(initial=0))
        self._bound = np.float32((terms + 8) * 2.0**-23)  # twice what sums of either kind and their sum can differ by
        self._low_F = np.full(num_features, -np.inf, dtype=np.float32)
        self._waiting = [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))]
        self._num_waiting = 0

    def tiles(self) -> list[tuple[Range, Range]]:
        """Return the tiles that have each pair of features once."""
        return list(combinations_with_replacement(self._ranges, 2))

    def compare(self, own: Range, other: Range) -> None:
        """Keep the pairs of a tile that may be among the most similar ones of either feature."""
        of_hubs = self._hubs_FX[slice(*own)] @ self._hubs_FX[slice(*other)].T
        similar: Singles = np.asarray(csr_array(self._rest[own] @ self._turned[other]) + of_hubs)
        if own == other:
            np.fill_diagonal(similar, -np.inf)
        self._keep(similar, own, other, axis=1)
        if own != other:
            self._keep(similar, other, own, axis=0)
        if self._num_waiting > _MOST_WAITING:
            self._settle()

    def _keep(self, similar: Singles, rows: Range, columns: Range, axis: int) -> None:
        """Keep the candidates of some features, whose similarities run along an axis."""
        low_F = self._low_F[slice(*rows)]  # a view
        np.maximum(low_F, _low_bound(similar, self._neighbours, axis), out=low_F)
        cut_F = np.maximum(low_F - 2 * self._bound, 2 * self._bound)
        place = np.flatnonzero(similar >= (cut_F[:, None] if axis else cut_F[None, :]))
        row, column = np.divmod(place, similar.shape[1])
        if not axis:
            row, column = column, row
        found = (row + rows[0]).astype(np.int32), (column + columns[0]).astype(np.int32), similar.ravel()[place]
        self._waiting.append(found)
        self._num_waiting += len(place)

    def _settle(self) -> tuple[Ints, Ints]:
        """Give up the candidates that cannot be among the largest any more, and all of rows that have too many; return
        row and column of the others."""
        row, column, value = (np.concatenate(one) for one in zip(*self._waiting, strict=True))
        order = np.lexsort((-value, row))
        row, column, value = row[order], column[order], value[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        last = np.flatnonzero(rank == self._neighbours - 1)
        self._low_F[row[last]] = np.maximum(self._low_F[row[last]], value[last])
        kept = value >= self._low_F[row] - 2 * self._bound
        many = np.bincount(row[kept], minlength=len(self._low_F)) > _MOST_CANDIDATES * self._neighbours
        self._low_F[many] = np.inf
        kept &= ~many[row]
        self._waiting, self._num_waiting = [(row[kept], column[kept], value[kept])], int(np.count_nonzero(kept))
        return row[kept].astype(np.int64), column[kept].astype(np.int64)

    def largest(self) -> Found:
        """Return the largest positive similarities of each feature, once all tiles were compared."""
        row, column = self._settle()
        is_plain_F = np.isinf(self._low_F) | (self._low_F - 2 * self._bound <= 2 * self._bound)
        kept = ~is_plain_F[row]
        row, column = row[kept], column[kept]
        parts = [_first((row, column, self._exact(row, column)), self._neighbours)]
        parts += self._plain(np.flatnonzero(is_plain_F))
        row, column, value = (np.concatenate(one) for one in zip(*parts, strict=True))
        return row, column, value

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
        """Return the largest positive similarities of some features, compared with all others."""
        found, num_features = list[Found](), self._profile_FX.shape[0]
        step = max(1, _BLOCK_VALUES // max(1, num_features))
        turned_XF = self._profile_FX.T.tocsr() if len(rows) else None
        for first in range(0, len(rows), step):
            own = rows[first : first + step]
            similar = coo_array(self._profile_FX[own] @ turned_XF)
            row, column = own[similar.row], similar.col.astype(np.int64)
            kept = (row != column) & (similar.data > 0)
            found.append(_first((row[kept], column[kept], similar.data[kept]), self._neighbours))
        return found


def _low_bound(similar: Singles, number: int, axis: int) -> Singles:
    """Return for each row (axis 1) or column (axis 0) a value that at least `number` values reach, -inf if there are
    fewer: the largest of that many segments do."""
    length = similar.shape[axis]
    if length < number:
        return np.full(similar.shape[1 - axis], -np.inf, dtype=np.float32)
    width = max(1, min(_SEGMENT, length // (8 * number)))
    whole = length // width * width
    if axis:
        largest = similar[:, :whole].reshape(len(similar), width, -1).max(axis=1)
    else:
        largest = similar[:whole].reshape(width, -1, similar.shape[1]).max(axis=0)
    place = largest.shape[axis] - number
    found: Singles = np.partition(largest, place, axis=axis).take(place, axis=axis)
    return found


def _first(found: Found, number: int) -> Found:
    """Return the largest values of each row, those of the first columns among equal ones."""
    row, column, value = found
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    kept = (np.arange(len(row)) - np.searchsorted(row, row) < number) & (value > 0)
    return row[kept], column[kept], value[kept]
