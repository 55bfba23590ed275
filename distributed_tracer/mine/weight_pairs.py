"""PairValues: the virtual weight of each chosen pair of features, and where the two are active together.

All sums run over sites in the order of prompt ids, then positions, in float64.

Axes: A active feature, F feature, X pair of features, L layer, I site.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from .activity import Activity, Floats, Ints, LayerActivity
from .chance import Chance
from .clusters import student_half
from .feature_vectors import FeatureVectors, pair_products
from .weight_candidates import LayerPair


@dataclass(frozen=True, eq=False)
class PairValues:
    """Values of pairs, [X]. Weights are in units of the target's mean |activation| where it is active."""

    source_layer: Ints
    source_feature: Ints
    target_layer: Ints
    target_feature: Ints
    is_strong: npt.NDArray[np.bool_]
    is_active: npt.NDArray[np.bool_]
    num_source: Ints
    num_target: Ints
    num_both: Ints
    """Sites at which the source, the target, or both are active."""
    expected: Floats
    inflation: Floats
    """Expected number of common sites if they were independent, and the inflation of its variance: see `chance`."""
    clusters_source: Ints
    clusters_both: Ints
    share: Floats
    share_low: Floats
    share_high: Floats
    """P(target active | source active): mean over clusters of the source, and the ends of its 95% interval."""
    weight: Floats
    era: Floats
    twera: Floats
    direct: Floats
    """Like TWERA, with the norm scales of each site: what the target reads directly, weighted by its activation."""
    scale: Floats
    """direct / twera, over the sites whose scales are known."""
    target_size: Floats
    """Mean |activation| of the target, the unit of the weights."""
    products: Floats
    """Virtual weight of each output layer, not in that unit [X, L]; 0 where nothing is written."""

    def take(self, rows: npt.NDArray[np.intp]) -> PairValues:
        """Return the values of some pairs."""
        return PairValues(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, parts: list[PairValues], num_layers: int) -> PairValues:
        """Return the values of all parts, one after another."""
        if not parts:
            none = {field.name: np.zeros(0) for field in fields(cls)}
            whole = {name: none[name].astype(np.int64) for name in _INTEGERS}
            flags = {name: np.zeros(0, dtype=bool) for name in ("is_strong", "is_active")}
            return cls(**{**none, **whole, **flags, "products": np.zeros((0, num_layers))})
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


_INTEGERS = (
    *("source_layer", "source_feature", "target_layer", "target_feature", "num_source", "num_target", "num_both"),
    *("clusters_source", "clusters_both"),
)


def pair_values(activity: Activity, vectors: FeatureVectors, chance: Chance, pair: LayerPair) -> PairValues:
    """Return the values of the chosen pairs of two layers."""
    source, target = activity.layer(pair.source_layer), activity.layer(pair.target_layer)
    number, a_X, b_X = len(pair.source_X), pair.source_X, pair.target_X
    products_XL = _products(vectors, source, target, pair)
    virtual_X = np.zeros(number)
    for layer in range(activity.num_layers):
        virtual_X += products_XL[:, layer]
    expected_X, inflation_X = chance.expected(
        chance.self_pairs(activity, source), chance.self_pairs(activity, target), a_X, b_X
    )
    size_X = target.mean_size_F[b_X]
    meetings = _Meetings(activity, source, target, pair, products_XL)
    found = np.array([meetings.of(x) for x in range(number)]).reshape(number, 9)
    both_X, clusters_source_X, clusters_X, share_X, half_X, era_X, together_X, known_X, direct_X = found.T
    with np.errstate(divide="ignore", invalid="ignore"):
        twera_X = np.where(both_X > 0, together_X / target.sum_F[b_X], 0.0) * virtual_X / size_X
        scale_X = direct_X / (known_X * virtual_X)
    scale_X = np.where(np.isfinite(scale_X), scale_X, np.nan)
    return PairValues(
        source_layer=np.full(number, pair.source_layer, dtype=np.int64),
        source_feature=source.feature_F[a_X],
        target_layer=np.full(number, pair.target_layer, dtype=np.int64),
        target_feature=target.feature_F[b_X],
        is_strong=pair.is_strong_X,
        is_active=pair.is_active_X,
        num_source=source.num_sites_F[a_X],
        num_target=target.num_sites_F[b_X],
        num_both=both_X.astype(np.int64),
        expected=expected_X,
        inflation=inflation_X,
        clusters_source=clusters_source_X.astype(np.int64),
        clusters_both=clusters_X.astype(np.int64),
        share=share_X,
        share_low=np.maximum(0.0, share_X - half_X),
        share_high=np.minimum(1.0, share_X + half_X),
        weight=virtual_X * source.mean_size_F[a_X] / size_X,
        era=era_X / max(1, chance.num_sites) * virtual_X / size_X,
        twera=twera_X,
        direct=twera_X * scale_X,
        scale=scale_X,
        target_size=size_X,
        products=products_XL,
    )


def _products(vectors: FeatureVectors, source: LayerActivity, target: LayerActivity, pair: LayerPair) -> Floats:
    """Return the virtual weights of pairs by the layer that the source writes to [X, L]."""
    rows, row_X = np.unique(pair.source_X, return_inverse=True)
    columns, column_X = np.unique(pair.target_X, return_inverse=True)
    read = vectors.read(pair.target_layer, target.feature_F[columns])
    found_XL = np.zeros((len(row_X), vectors.shape.num_layers))
    for to in vectors.writes_below(pair.source_layer, pair.target_layer):
        written = vectors.written(pair.source_layer, source.feature_F[rows], to)
        found_XL[:, to] = pair_products(written, read, row_X, column_X)
    return found_XL


class _Meetings:
    """What the two features of each pair do at the sites at which they are active."""

    def __init__(
        self, activity: Activity, source: LayerActivity, target: LayerActivity, pair: LayerPair, products_XL: Floats
    ) -> None:
        self._activity, self._source, self._target, self._pair = activity, source, target, pair
        self._products_XL = products_XL
        self._clusters: tuple[int, Ints, Ints] | None = None

    def of(self, x: int) -> tuple[float, ...]:
        """Return common sites, the source's clusters, common clusters, the target's share and half of its interval, Σ
        a_i, Σ a_i a_j, and Σ a_i a_j and Σ a_i a_j s V over sites whose scales are known."""
        own, other = self._source.rows(int(self._pair.source_X[x])), self._target.rows(int(self._pair.target_X[x]))
        site_I, sites = self._source.site_A[own], self._target.site_A[other]
        place = np.minimum(np.searchsorted(sites, site_I), len(sites) - 1)
        is_common = sites[place] == site_I
        common_I = site_I[is_common]
        a_I = self._source.activation_A[own][is_common]
        product_I = a_I * self._target.activation_A[other][place[is_common]]
        scales = self._activity.scales[common_I].astype(np.float64)
        read_I, written_I = scales[:, 0, self._pair.target_layer], np.zeros(len(common_I))
        for layer in np.flatnonzero(self._products_XL[x]).tolist():
            written_I += scales[:, 1, layer] * self._products_XL[x, layer]
        direct_I = product_I * read_I * written_I
        known = np.isfinite(direct_I)
        clusters, count = self._clusters_of(int(self._pair.source_X[x]))
        common, count_both = np.unique(self._activity.cluster_I[common_I], return_counts=True)
        both = np.zeros(len(clusters))
        both[np.searchsorted(clusters, common)] = count_both
        share, half = _mean_and_half(both / count)
        sums = (a_I.sum(), product_I.sum(), product_I[known].sum(), direct_I[known].sum())
        return (len(common_I), len(clusters), len(common), share, half, *map(float, sums))

    def _clusters_of(self, source: int) -> tuple[Ints, Ints]:
        if self._clusters is None or self._clusters[0] != source:
            sites = self._source.site_A[self._source.rows(source)]
            self._clusters = (source, *np.unique(self._activity.cluster_I[sites], return_counts=True))
        return self._clusters[1:]


def _mean_and_half(values: Floats) -> tuple[float, float]:
    """Return the mean over clusters and half of its 95% interval by Student's t; infinite for a single cluster."""
    if len(values) < 2:
        return float(values.mean()), float("inf")
    squares = np.array([np.square(values - values.mean()).sum()])
    return float(values.mean()), float(student_half(squares, len(values))[0])
