"""prompt_map: the prompts of a store as points of a plane, near each other where their graphs are alike.

A prompt is a vector over edges between features: the square root of the share of influence that each edge passes on.
These vectors have length 1, and the distance between two of them is the Hellinger distance of the shares, times sqrt 2.
The map is their principal component analysis, which is classical multidimensional scaling of these distances. If there
are too many prompts, a sample of them spans the plane, and the others are placed by their own vectors (landmark MDS, de
Silva and Tenenbaum 2004). Samples are chosen by a hash of ids, so that a store has one map.

Axes: I prompt, X edge between two sites in one prompt, Y edge between two sites in any prompt of the sample.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, eigsh

from ..errors import ConfigError
from ..store.reader import Store
from .edge_shares import read_edge_shares
from .prompts import ChosenPrompts
from .scan import check_one_model, find_sites
from .weighted_sketch import mixed

Floats = npt.NDArray[np.float64]
MOST_SPANNING, MOST_SPANNING_EDGES = 2_000, 6_000_000
"""Limits of the sample that spans the plane, of which the vectors are in memory: prompts, and edges of their graphs."""
MOST_EDGES, MOST_POINTS = 40_000_000, 50_000
"""Limits of what is read for a map: edges of all graphs together, and points."""
LEAST_PROMPTS = 3
_BATCH_EDGES, _BATCH_PROMPTS = 2_000_000, 4_000
_DENSE = 200
"""Largest number of prompts for which all products of two vectors are computed."""
NEIGHBOURS, _NUM_COMPARED = 10, 200
"""How many neighbours of how many prompts of the sample are compared with those on the map."""
_METHOD = "hellinger-1"


@dataclass(frozen=True, eq=False)
class PromptMap:
    """Where each prompt is. All points are in the order of ids."""

    id: str
    """The same for equal prompts with graphs of equal sizes, and another one for any other store."""
    ids: Sequence[str]
    """The prompts that have a place."""
    place_I2: Floats
    """Coordinates, in units of the distance between vectors of length 1. The mean of the sample is at 0."""
    share_2: Floats
    """The share of the variance of the sample that each axis holds."""
    share_of_all: float
    """The share of the variance of all points, around the mean of the sample, that both axes hold together."""
    num_spanning: int
    """Number of prompts that span the plane: all, or a sample."""
    num_chosen: int
    """Number of prompts whose graphs were read."""
    num_prompts: int
    """Number of prompts of the store."""
    num_without_influence: int
    """Prompts of which no influence is known; they have no place."""
    num_without_edges: int
    """Prompts without an edge between features; they have no place."""
    neighbours_kept: float
    """Of the most similar prompts of the sample, the share that is among as many nearest points, on average."""
    num_neighbours: int
    """The number of neighbours that were compared; 0 if there are too few prompts for that."""

    def number(self, id_: str) -> int | None:
        """Return the number of a prompt's point; None if it has no place."""
        number = bisect_left(self.ids, id_)
        return number if number < len(self.ids) and self.ids[number] == id_ else None


def prompt_map(store: Store, progress: Callable[[int, int], None] = lambda done, total: None) -> PromptMap:
    """Return the map of a store's prompts. `progress` is called with the numbers of prompts read and to be read.

    Raises ConfigError for models with different numbers of layers, and if fewer than three prompts have edges whose
    influence is known; and StoreError if the store cannot be read.
    """
    spanning, others = _chosen(store)
    reader = _VectorReader(store, len(spanning) + len(others), progress)
    sample = _Sample.of(list(reader.batches(spanning)))
    plane = _Plane.of(sample)
    ids, places, captured, total = list(sample.ids), [plane.sample_I2], *plane.variances
    for batch in reader.batches(others):
        ids += batch.ids
        place_I2, distance_I = plane.placed(batch)
        places.append(place_I2)
        captured, total = captured + float((place_I2**2).sum()), total + float(distance_I.sum())
    place_I2 = np.concatenate(places)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    kept, num_neighbours = _neighbours_kept(sample, plane.sample_I2)
    return PromptMap(
        _identity(store),
        [ids[number] for number in order],
        place_I2[order],
        plane.share_2,
        captured / total if total > 0 else float("nan"),
        len(sample.ids),
        len(spanning) + len(others),
        len(store),
        reader.num_without_influence,
        reader.num_without_edges,
        kept,
        num_neighbours,
    )


def _identity(store: Store) -> str:
    """Return a hash of the prompts and the sizes of their graphs, in twelve characters."""
    prompts = ChosenPrompts(store, list(store), None)
    return hashlib.sha256(f"{_METHOD} {prompts.digest()}".encode()).hexdigest()[:12]


def _chosen(store: Store) -> tuple[list[str], list[str]]:
    """Return the ids of the prompts that span the plane, and of those that are placed in it."""
    number_of, edges_I = store.catalogue.number_of, store.catalogue.columns["num_edges"]
    ids = sorted(store.catalogue.ids, key=lambda id_: hashlib.sha256(id_.encode("utf-8", "surrogatepass")).digest())
    sums = np.cumsum(edges_I[[number_of[id_] for id_ in ids]]) if ids else np.zeros(0)
    num_spanning = min(MOST_SPANNING, max(LEAST_PROMPTS, int(np.searchsorted(sums, MOST_SPANNING_EDGES, side="right"))))
    num_chosen = min(MOST_POINTS, max(num_spanning, int(np.searchsorted(sums, MOST_EDGES, side="right"))))
    in_store = number_of.__getitem__  # neighbours in the store are read at once
    return sorted(ids[:num_spanning], key=in_store), sorted(ids[num_spanning:num_chosen], key=in_store)


@dataclass(frozen=True, eq=False)
class _Vectors:
    """The vectors of some prompts, all of length 1."""

    ids: Sequence[str]
    row_X: npt.NDArray[np.intp]
    """Place of the prompt in `ids`."""
    word_X: npt.NDArray[np.uint64]
    """A hash of the edge's sites. Two edges of a sample have the same one with a probability below 10^-5."""
    value_X: Floats


class _VectorReader:
    """Reads vectors of prompts in batches, and counts those that have none."""

    def __init__(self, store: Store, total: int, progress: Callable[[int, int], None]) -> None:
        self._store, self._total, self._progress = store, total, progress
        self._num_layers: dict[int, str] = {}
        self._done = self.num_without_influence = self.num_without_edges = 0

    def batches(self, ids: Sequence[str]) -> Iterator[_Vectors]:
        """Yield the vectors of prompts, some prompts at a time, without those that have none."""
        catalogue = self._store.catalogue
        begin = num_edges = 0
        for place, id_ in enumerate(ids):
            own = int(catalogue.columns["num_edges"][catalogue.number_of[id_]])
            if place > begin and (num_edges + own > _BATCH_EDGES or place - begin == _BATCH_PROMPTS):
                yield self._read(ids[begin:place])
                begin, num_edges = place, 0
            num_edges += own
        if ids:
            yield self._read(ids[begin:])

    def _read(self, ids: Sequence[str]) -> _Vectors:
        self._progress(self._done, self._total)
        prompts = ChosenPrompts(self._store, ids, None)
        sites, num_layers = find_sites(prompts, _BATCH_EDGES)
        self._num_layers = num_layers | self._num_layers
        check_one_model(self._num_layers)
        code_I = sites.code_I.astype(np.uint64)
        has_influence = np.zeros(len(ids), dtype=bool)
        rows, words, shares = [np.empty(0, np.intp)], [np.empty(0, np.uint64)], [np.empty(0)]
        for found in read_edge_shares(prompts, sites, _BATCH_EDGES):
            has_influence[found.rank_I[found.known_I]] = True
            target_X, source_X = np.divmod(found.key_X, max(1, len(sites)))
            rows.append(found.rank_X.astype(np.intp))
            words.append(mixed(code_I[target_X], code_I[source_X]))
            shares.append(found.share_X)
        row_X, word_X, value_X = np.concatenate(rows), np.concatenate(words), np.sqrt(np.concatenate(shares))
        has_edges = np.bincount(row_X, value_X, len(ids)) > 0
        self.num_without_influence += int((~has_influence).sum())
        self.num_without_edges += int((has_influence & ~has_edges).sum())
        self._done += len(ids)
        self._progress(self._done, self._total)
        keep_X = value_X > 0
        place_I = np.cumsum(has_edges) - 1
        kept = [id_ for id_, has_any in zip(ids, has_edges.tolist(), strict=True) if has_any]
        return _Vectors(kept, place_I[row_X[keep_X]], word_X[keep_X], value_X[keep_X])


@dataclass(frozen=True, eq=False)
class _Sample:
    """The vectors that span the plane."""

    ids: Sequence[str]
    word_Y: npt.NDArray[np.uint64]
    """Ascending."""
    vector_IY: csr_array

    @classmethod
    def of(cls, batches: Sequence[_Vectors]) -> _Sample:
        """Join the vectors of batches. Raises ConfigError if they are too few for a map."""
        ids = [id_ for batch in batches for id_ in batch.ids]
        if len(ids) < LEAST_PROMPTS:
            raise ConfigError(
                f"a map needs {LEAST_PROMPTS} prompts at least with edges between features whose influence is known; "
                f"of those that were read, {len(ids)} have some"
            )
        order = sorted(range(len(ids)), key=ids.__getitem__)  # signs of axes then do not depend on parts
        row_I = np.empty(len(ids), dtype=np.intp)
        row_I[order] = np.arange(len(ids))
        starts = np.cumsum([0, *(len(batch.ids) for batch in batches)])
        row_X = row_I[np.concatenate([batch.row_X + start for batch, start in zip(batches, starts[:-1], strict=True)])]
        ids.sort()
        word_Y, column_X = np.unique(np.concatenate([batch.word_X for batch in batches]), return_inverse=True)
        value_X = np.concatenate([batch.value_X for batch in batches])
        return cls(ids, word_Y, csr_array((value_X, (row_X, column_X.reshape(-1))), shape=(len(ids), len(word_Y))))


@dataclass(frozen=True, eq=False)
class _Plane:
    """The plane of the two directions in which the vectors of a sample vary most."""

    word_Y: npt.NDArray[np.uint64]
    axis_Y2: Floats
    offset_2: Floats
    """Product of the mean with each axis."""
    mean_Y: Floats
    sample_I2: Floats
    """Places of the sample."""
    share_2: Floats

    @classmethod
    def of(cls, sample: _Sample) -> _Plane:
        """Return the plane of a sample."""
        vector_IY = sample.vector_IY
        num_prompts = len(sample.ids)
        mean_Y = np.asarray(vector_IY.sum(axis=0)).ravel() / num_prompts
        total = num_prompts * max(0.0, 1.0 - float(mean_Y @ mean_Y))  # all vectors have length 1
        if total <= num_prompts * 1e-9:  # all graphs are equal
            zeros_I2, zeros_Y2 = np.zeros((num_prompts, 2)), np.zeros((len(mean_Y), 2))
            return cls(sample.word_Y, zeros_Y2, np.zeros(2), mean_Y, zeros_I2, np.full(2, np.nan))
        value_2, basis_I2 = _largest(vector_IY, mean_Y)
        value_2[value_2 < num_prompts * 1e-12] = 0.0
        length_2 = np.sqrt(value_2)
        basis_I2 = basis_I2 * _signs(basis_I2)
        scaled_I2 = np.divide(basis_I2, length_2, out=np.zeros_like(basis_I2), where=length_2 > 0)
        axis_Y2 = vector_IY.T @ scaled_I2 - np.outer(mean_Y, scaled_I2.sum(axis=0))
        return cls(sample.word_Y, axis_Y2, mean_Y @ axis_Y2, mean_Y, basis_I2 * length_2, value_2 / total)

    @property
    def variances(self) -> tuple[float, float]:
        """The sum of squares of the sample's distances from its mean: in the plane, and in all dimensions."""
        return float((self.sample_I2**2).sum()), len(self.sample_I2) * max(0.0, 1.0 - float(self.mean_Y @ self.mean_Y))

    def placed(self, vectors: _Vectors) -> tuple[Floats, Floats]:
        """Return places in the plane [I, 2], and squared distances from the mean of the sample [I]."""
        at_X = np.minimum(np.searchsorted(self.word_Y, vectors.word_X), len(self.word_Y) - 1)
        is_known_X = self.word_Y[at_X] == vectors.word_X
        row_X, at_X, value_X = vectors.row_X[is_known_X], at_X[is_known_X], vectors.value_X[is_known_X]
        size = len(vectors.ids)
        sums = [np.bincount(row_X, value_X * self.axis_Y2[at_X, axis], size) for axis in (0, 1)]
        of_mean_I = np.bincount(row_X, value_X * self.mean_Y[at_X], size)
        distance_I = 1.0 - 2.0 * of_mean_I + float(self.mean_Y @ self.mean_Y)
        return np.stack(sums, axis=1) - self.offset_2, np.maximum(distance_I, 0.0)


def _largest(vector_IY: csr_array, mean_Y: Floats) -> tuple[Floats, Floats]:
    """Return the two largest eigenvalues [2] of the products of centred vectors, and their eigenvectors [I, 2]."""
    size = vector_IY.shape[0]
    if size <= _DENSE:
        product_II = (vector_IY @ vector_IY.T).toarray()
        mean_I = product_II.mean(axis=0)
        values, vectors = eigh(
            product_II - mean_I[:, None] - mean_I + mean_I.mean(), subset_by_index=[size - 2, size - 1]
        )
        return np.maximum(values[::-1], 0.0), vectors[:, ::-1]

    def centred(weight_I: Floats) -> Floats:
        weight_I = weight_I.ravel() - weight_I.mean()
        product_I: Floats = vector_IY @ (vector_IY.T @ weight_I)
        product_I -= product_I.mean()
        return product_I

    begin_I = np.cos(np.arange(size) + 1.0)  # any fixed start that no symmetry of the prompts makes orthogonal
    operator = LinearOperator((size, size), matvec=centred, dtype=np.float64)
    values, vectors = eigsh(operator, k=2, which="LA", v0=begin_I, tol=1e-9)
    order = np.argsort(-values)
    return np.maximum(values[order], 0.0), vectors[:, order]


def _signs(basis_I2: Floats) -> Floats:
    """Return 1 or -1 for each axis: the first prompt that is at least half as far out as any other is on the right."""
    size_I2 = np.abs(basis_I2)
    first_2 = np.argmax(size_I2 >= 0.5 * size_I2.max(axis=0), axis=0)
    signs_2: Floats = np.where(basis_I2[first_2, [0, 1]] < 0, -1.0, 1.0)
    return signs_2


def _neighbours_kept(sample: _Sample, place_I2: Floats) -> tuple[float, int]:
    """Return which share of the most similar prompts is among as many nearest points, and the number of neighbours.

    Of equally near ones, the first count. NaN and 0 if there are too few prompts for that.
    """
    size = len(sample.ids)
    count = min(NEIGHBOURS, (size - 1) // 2)
    if count < 1:
        return float("nan"), 0
    compared = np.unique(np.linspace(0, size - 1, min(size, _NUM_COMPARED)).astype(np.intp))
    product_XI = (sample.vector_IY[compared] @ sample.vector_IY.T).toarray()
    shares = []
    for place, own in enumerate(compared.tolist()):
        far_I = ((place_I2 - place_I2[own]) ** 2).sum(axis=1)
        alike_I = -product_XI[place]
        far_I[own] = alike_I[own] = np.inf
        nearest, most_alike = (np.argsort(values_I, kind="stable")[:count] for values_I in (far_I, alike_I))
        shares.append(len(np.intersect1d(nearest, most_alike)) / count)
    return float(np.mean(shares)), count
