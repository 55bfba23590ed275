"""Conserved edges: whether the edges between matched features of one store are edges of the other one, too.

The null is a matching that is permuted within the layers of store a: it keeps both sets of edges and breaks only which
feature stands for which. Axes: E edge between two matched features, F feature that is matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from .matched_edges import MatchedEdges
from .statistics import halves, q_values

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NUM_BOOTSTRAPS = 200
STRONG = 0.05
"""Share of the pairs of two layers that are the strongest in store a: of these, it is tested whether each is conserved.
The choice does not see store b."""
_ENDS = (2.5, 97.5)
QUANTITIES = ("equal_sign", "strong", "overlap")


@dataclass(frozen=True, eq=False)
class ConservedEdges:
    """All edges that either store has between matched features, by key: target * F + source."""

    a: MatchedEdges
    b: MatchedEdges
    layer_F: Ints
    """Layer of each matched feature in store a."""
    min_clusters: int
    q: float

    @cached_property
    def key_E(self) -> Ints:
        """Keys of the edges, ascending."""
        return np.union1d(self.a.key_E, self.b.key_E)

    @cached_property
    def _by_cluster(self) -> tuple[csr_array, csr_array]:
        return self.a.of_keys(self.key_E), self.b.of_keys(self.key_E)

    @cached_property
    def ends(self) -> tuple[Ints, Ints]:
        """Target and source of each edge, as numbers of matched features."""
        target, source = np.divmod(self.key_E, max(1, len(self.layer_F)))
        return target, source

    @cached_property
    def clusters(self) -> tuple[Ints, Ints]:
        """Number of clusters of each store that have each edge."""
        counts = (np.bincount(own.indices, minlength=len(self.key_E)) for own in self._by_cluster)
        return tuple(count.astype(np.int64) for count in counts)  # type: ignore[return-value]

    @cached_property
    def together(self) -> tuple[Ints, Ints]:
        """Number of clusters of each store in which both ends are nodes of one graph."""
        return tuple(_at(side.together, *self.ends) for side in (self.a, self.b))  # type: ignore[return-value]

    def means(self, weights: Floats | None = None) -> tuple[Floats, Floats]:
        """Return the mean signed share of each edge in both stores, over clusters with these weights, or all."""
        found = []
        for side, by_cluster in zip((self.a, self.b), self._by_cluster, strict=True):
            own = side.known_clusters * (1.0 if weights is None else weights)
            total = float(own.sum())
            found.append(np.asarray(by_cluster.T @ own) / total if total else np.zeros(len(self.key_E)))
        return found[0], found[1]

    @cached_property
    def is_tested(self) -> Mask:
        """Whether each edge is one of store a, and its ends are together in enough clusters of store b."""
        often = (self.clusters[0] >= self.min_clusters) & (self.together[1] >= self.min_clusters)
        tested: Mask = often & (self.means()[0] != 0)
        return tested

    @cached_property
    def is_strong(self) -> Mask:
        """Whether each tested edge is among the strongest of its sign of store a, of all pairs of the same layers that
        are together often enough. Only these can be distinguished from others."""
        x, _ = self.means()
        return self._is_strong(x, x, self.a, self.is_tested)

    def _is_strong(self, direction: Floats, effect: Floats, side: MatchedEdges, among: Mask) -> Mask:
        """Return which edges have one of the strongest effects of a store in the direction of other effects."""
        pairs = _PairEffects.of(self._matrix(effect), side.together, self.layer_F, self.min_clusters)
        own = among & (np.minimum(*self.together) >= self.min_clusters) & (direction != 0)
        with np.errstate(invalid="ignore"):
            is_strongest = pairs.p(*self.ends, direction, effect, own) <= STRONG
        strong: Mask = own & is_strongest & (np.sign(direction) == np.sign(effect))
        return strong

    def _strong_share(self, x: Floats, y: Floats, of_x: MatchedEdges, of_y: MatchedEdges) -> float:
        """Return which share of the edges that are strong by x, in one store, are strong by y, in another."""
        strong = self._is_strong(x, x, of_x, self.is_tested)
        return _share(self._is_strong(x, y, of_y, strong), strong)

    @cached_property
    def p(self) -> Floats:
        """The share of pairs of the same layers, together often enough, with as large an effect of the same sign in
        store b: the p-value under permuted matchings, which is exact; NaN for edges that are not strong in store a."""
        return self._null.p(*self.ends, *self.means(), self.is_strong)

    @cached_property
    def q_values(self) -> Floats:
        """False discovery rates of `p`."""
        return q_values(self.p)

    @cached_property
    def conserved(self) -> npt.NDArray[np.object_]:
        """Return for each edge: yes; no, if it is strong in store a, but not beyond chance in store b; weak, if it is
        not strong in store a; unknown, if the ends are together in too few clusters of a store."""
        x, y = self.means()
        found = np.full(len(x), "unknown", dtype=object)
        found[np.minimum(*self.together) >= self.min_clusters] = "weak"
        found[self.is_strong] = "no"
        found[self._stands_out(x, y, self.q_values)] = "yes"
        return found

    def _stands_out(self, x: Floats, y: Floats, q: Floats) -> Mask:
        with np.errstate(invalid="ignore"):
            found: Mask = (np.sign(x) == np.sign(y)) & (q <= self.q)
        return found

    def against_itself(self) -> ConservedEdges:
        """Return store a compared with itself."""
        return ConservedEdges(self.a, self.a, self.layer_F, self.min_clusters, self.q)

    @cached_property
    def _null(self) -> _PairEffects:
        return _PairEffects.of(self._matrix(self.means()[1]), self.b.together, self.layer_F, self.min_clusters)

    def _matrix(self, values: Floats) -> csr_array:
        size = len(self.layer_F)
        kept = values != 0
        return csr_array((values[kept], tuple(end[kept] for end in self.ends)), shape=(size, size))

    def measured(self) -> dict[str, float]:
        """Return the quantities that the observed matching gives."""
        x, y = self.means()
        return {
            "equal_sign": _share(np.sign(x) == np.sign(y), self.is_tested),
            "strong": self._strong_share(x, y, self.a, self.b),
            "overlap": overlap(x, y),
        }

    def permuted(self, number: int, seed: int) -> dict[str, float]:
        """Return the same for a matching that is permuted within layers; `number` chooses the permutation."""
        rng = np.random.default_rng((seed, number))
        order_F = np.arange(len(self.layer_F))
        for layer in np.unique(self.layer_F).tolist():
            own = np.flatnonzero(self.layer_F == layer)
            order_F[own] = own[rng.permutation(len(own))]
        x, y = self.means()
        y_matrix = self._matrix(y)
        ends = tuple(order_F[end] for end in self.ends)
        permuted = _at(y_matrix, *ends)
        tested = (self.clusters[0] >= self.min_clusters) & (_at(self.b.together, *ends) >= self.min_clusters) & (x != 0)
        strong = tested & self.is_strong
        p = self._null.p(*self.ends, x, permuted, strong)
        with np.errstate(invalid="ignore"):
            in_both = (p <= STRONG) & (np.sign(x) == np.sign(permuted))
        return {
            "equal_sign": _share(np.sign(x) == np.sign(permuted), tested),
            "strong": _share(in_both, strong),
            "overlap": overlap(x, permuted, float(np.abs(y).sum())),
        }

    def intervals(self, seed: int) -> dict[str, tuple[float, float]]:
        """Return percentile intervals over bootstraps of clusters, with the matching and the tested edges as they
        are; NaN for fewer than two clusters. An edge all of whose clusters a bootstrap lacks does not count there."""
        number = len(self.a.known_clusters)
        unknown = (float("nan"), float("nan"))
        if number < 2 or not len(self.key_E):
            return dict.fromkeys(QUANTITIES, unknown)
        rng = np.random.default_rng((seed, number))
        found: dict[str, list[float]] = {name: [] for name in QUANTITIES}
        is_in_b = self.means()[1] != 0
        for _ in range(NUM_BOOTSTRAPS):
            x, y = self.means(np.bincount(rng.integers(0, number, number), minlength=number).astype(np.float64))
            is_there = self.is_tested & (x != 0) & ~((y == 0) & is_in_b)
            found["equal_sign"].append(_share(np.sign(x) == np.sign(y), is_there))
            found["strong"].append(self._strong_share(x, y, self.a, self.b))
            found["overlap"].append(overlap(x, y))
        ends = {
            name: tuple(np.nanpercentile(values, _ENDS).tolist())
            for name, values in found.items()
            if not np.isnan(values).all()
        }
        return {name: ends.get(name, unknown) for name in QUANTITIES}

    def split_halves(self, names: Sequence[str], seed: int) -> dict[str, tuple[float, float]]:
        """Return what one half of the clusters of a store says of the other half of the same store (the ceiling of what
        such data can show), and of the other half of the other store."""
        first = halves(names, seed)
        if min(int(first.sum()), int((~first).sum())) < half_of(self.min_clusters):
            return dict.fromkeys(QUANTITIES, (float("nan"), float("nan")))
        (a1, b1), (a2, b2) = (self.means(mask.astype(np.float64)) for mask in (first, ~first))
        a, b = self.a, self.b
        same = ((a1, a2, a, a), (a2, a1, a, a), (b1, b2, b, b), (b2, b1, b, b))
        other = ((a1, b2, a, b), (a2, b1, a, b), (b1, a2, b, a), (b2, a1, b, a))
        found = {}
        for name in QUANTITIES:
            means = []
            for pairs in (same, other):
                each = np.array([self._compared(name, *pair) for pair in pairs])
                means.append(float(each[~np.isnan(each)].mean()) if not np.isnan(each).all() else float("nan"))
            found[name] = (means[0], means[1])
        return found

    def _compared(self, name: str, x: Floats, y: Floats, of_x: MatchedEdges, of_y: MatchedEdges) -> float:
        if name == "overlap":
            return overlap(x, y)
        if name == "strong":
            return self._strong_share(x, y, of_x, of_y)
        return _share(np.sign(x) == np.sign(y), self.is_tested & (x != 0))


@dataclass(frozen=True, eq=False)
class _PairEffects:
    """The effects of store b of all pairs of features that are together often enough, by layers of store a."""

    layer_F: Ints
    effects: dict[tuple[int, int], Floats]

    @classmethod
    def of(cls, effects: csr_array, together: csr_array, layer_F: Ints, min_clusters: int) -> _PairEffects:
        pairs = together.tocoo()
        often = pairs.data >= min_clusters
        target, source = pairs.row[often].astype(np.int64), pairs.col[often].astype(np.int64)
        value = _at(effects, target, source)
        found = {}
        layers = layer_F[target] << 32 | layer_F[source]
        order = np.lexsort((value, layers))
        layers, value = layers[order], value[order]
        for code in np.unique(layers).tolist():
            begin, end = np.searchsorted(layers, [code, code + 1])
            found[code >> 32, code & ((1 << 32) - 1)] = value[begin:end]
        return cls(layer_F, found)

    def p(self, target: Ints, source: Ints, x: Floats, y: Floats, is_tested: Mask) -> Floats:
        """Return the share of pairs of the layers of each edge with an effect in the direction of x of at least y."""
        p = np.full(len(x), np.nan)
        layers = self.layer_F[target] << 32 | self.layer_F[source] if len(x) else np.zeros(0, np.int64)
        for code in np.unique(layers[is_tested]).tolist():
            own = np.flatnonzero(is_tested & (layers == code))
            values = self.effects[code >> 32, code & ((1 << 32) - 1)]
            above = len(values) - np.searchsorted(values, y[own], side="left")
            below = np.searchsorted(values, y[own], side="right")
            p[own] = np.where(x[own] > 0, above, below) / len(values)
        return p


def overlap(x: Floats, y: Floats, total_y: float | None = None) -> float:
    """Return the sum of the smaller / the sum of the larger of two sets of effects, which are first divided by the sums
    of their absolute values. Effects of unlike sign have nothing in common. NaN if a set has no effects.

    `total_y` is the sum of |y| over all edges, if y has not all of them.
    """
    total_x, total_y = float(np.abs(x).sum()), float(np.abs(y).sum()) if total_y is None else total_y
    if not total_x or not total_y:
        return float("nan")
    same, share_x, share_y = np.sign(x) == np.sign(y), np.abs(x) / total_x, np.abs(y) / total_y
    common = float(np.minimum(share_x, share_y)[same].sum())
    larger = float(np.maximum(share_x, share_y)[same].sum()) + float((share_x + share_y)[~same].sum())
    return common / (larger + max(0.0, 1.0 - float(np.abs(y).sum()) / total_y))


def half_of(min_clusters: int) -> int:
    """Return the smallest number of clusters of one half of them, given that of all."""
    return -(-min_clusters // 2)


def _share(is_so: Mask, of: Mask) -> float:
    number = int(np.count_nonzero(of))
    return float(np.count_nonzero(is_so & of)) / number if number else float("nan")


def _at(matrix: csr_array, row: Ints, column: Ints) -> npt.NDArray[Any]:
    """Return the values of some places of a sparse matrix."""
    size = matrix.shape[1]
    found = matrix.tocoo()
    key = found.row.astype(np.int64) * size + found.col
    order = np.argsort(key)
    key, value = key[order], found.data[order]
    wanted = row * size + column
    place = np.searchsorted(key, wanted).clip(max=max(0, len(key) - 1))
    if not len(key):
        return np.zeros(len(wanted), dtype=matrix.dtype)
    return np.where(key[place] == wanted, value[place], 0)
