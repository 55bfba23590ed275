"""Candidates: which pairs of features are looked at one by one, chosen layer pair by layer pair.

Strong pairs are the largest in |weight|, whether or not the two features are ever active together, so that tests on how
often they are do not see how they were chosen. Active pairs are the largest in |TWERA|.

Axes: A active feature, F feature that is looked at, I site, X pair of features, D model width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .activity import Activity, Floats, Ints, LayerActivity
from .feature_vectors import FeatureVectors

_TILE = 1 << 22
"""Pairs that are compared at once: 32 MiB in float64. It is fixed, so that bits do not depend on the memory."""


@dataclass(frozen=True, eq=False)
class LayerPair:
    """The pairs of features of two layers that were chosen, by their places in the layers' activity."""

    source_layer: int
    target_layer: int
    source_X: Ints
    target_X: Ints
    is_strong_X: npt.NDArray[np.bool_]
    is_active_X: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Candidates:
    """All chosen pairs, and the number of those that they were chosen from."""

    layer_pairs: list[LayerPair]
    num_compared: int
    num_features: int
    """Number of features that are active at enough sites."""


def choose_pairs(
    activity: Activity, vectors: FeatureVectors, num_strong: int, num_active: int, min_positions: int
) -> Candidates:
    """Return the `num_strong` pairs of each layer pair with the largest |weight|, and the `num_active` pairs of all
    layers with the largest |TWERA|, both in units of the target's mean activation.

    Features that are active at fewer than `min_positions` sites are left out.
    """
    best = np.zeros((0, 5))
    strong: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    num_compared, num_features = 0, 0
    for target_layer in range(activity.num_layers):
        target = activity.layer(target_layer)
        kept = np.flatnonzero(target.num_sites_F >= min_positions)
        num_features += len(kept)
        read_FD = vectors.read(target_layer, target.feature_F[kept])
        for source_layer in range(target_layer if len(kept) else 0):
            source = activity.layer(source_layer)
            rows = np.flatnonzero(source.num_sites_F >= min_positions)
            num_compared += len(rows) * len(kept)
            found = np.zeros((0, 3))
            for row_X, column_X, weight_X, twera_X in _tiles(
                activity, vectors, (source_layer, source, rows), (target_layer, target, kept, read_FD)
            ):
                found = _largest(np.stack([row_X, column_X, weight_X], axis=1), found, num_strong)
                ends = np.broadcast_to([source_layer, target_layer], (len(row_X), 2))
                best = _largest(np.column_stack([ends, row_X, column_X, twera_X]), best, num_active)
            strong[source_layer, target_layer] = found
    return Candidates(_joined(strong, best), num_compared, num_features)


def _tiles(
    activity: Activity,
    vectors: FeatureVectors,
    source: tuple[int, LayerActivity, Ints],
    target: tuple[int, LayerActivity, Ints, Floats],
) -> Iterator[tuple[Ints, Ints, Floats, Floats]]:
    """Yield places of source and target, weight and TWERA of all pairs of two layers, tile by tile."""
    source_layer, of_source, rows = source
    target_layer, of_target, columns, read_FD = target
    matrix = _sites_by_features(activity, of_target)[:, columns].tocsr()
    by_source = _sites_by_features(activity, of_source)
    size_F = of_target.mean_size_F[columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_sum_F = 1.0 / (of_target.sum_F[columns] * size_F)
    step = max(1, _TILE // max(1, len(columns)))
    for first, stop in pairwise([*range(0, len(rows), step), len(rows)]):
        own = rows[first:stop]
        written_FD = sum(
            vectors.written(source_layer, of_source.feature_F[own], to)
            for to in vectors.writes_below(source_layer, target_layer)
        )
        if isinstance(written_FD, int):  # no layer that these features write to is below the target
            continue
        virtual = written_FD @ read_FD.T
        weight = virtual * of_source.mean_size_F[own][:, None] / size_F
        together = (by_source[:, own].T.tocsr() @ matrix).toarray()
        with np.errstate(invalid="ignore"):
            twera = together * virtual * per_sum_F
        row, column = np.divmod(np.arange(weight.size), len(columns))
        twera = np.where(np.isfinite(twera), twera, 0.0)
        yield own[row], columns[column], weight.ravel(), twera.ravel()


def _sites_by_features(activity: Activity, layer: LayerActivity) -> sparse.csc_matrix:
    shape = (len(activity.is_live_I), len(layer.feature_F))
    return sparse.csc_matrix((layer.activation_A, layer.site_A, layer.start_F1), shape=shape)


def _largest(new: Floats, known: Floats, number: int) -> Floats:
    """Return the rows with the largest absolute values in the last column, other than 0; of equal ones, those of the
    first features."""
    size = np.abs(new[:, -1])
    if len(new) > number:
        least = np.partition(size, len(size) - number)[len(size) - number] if number else np.inf
        new = new[size >= least]
    joined = np.concatenate([known, new[new[:, -1] != 0]])
    keys = [joined[:, place] for place in reversed(range(joined.shape[1] - 1))]
    kept: Floats = joined[np.lexsort([*keys, -np.abs(joined[:, -1])])[:number]]
    return kept


def _joined(strong: dict[tuple[int, int], Floats], best: Floats) -> list[LayerPair]:
    """Return the union of both choices for each layer pair, sorted by source, then by target."""
    found = []
    for (source_layer, target_layer), rows in sorted(strong.items()):
        of_best = best[(best[:, 0] == source_layer) & (best[:, 1] == target_layer), 2:4]
        pairs = np.concatenate([rows[:, :2], of_best]).astype(np.int64)
        is_strong = np.arange(len(pairs)) < len(rows)
        distinct, place = np.unique(pairs, axis=0, return_inverse=True)
        place = place.ravel()
        flags = [np.bincount(place[mask], minlength=len(distinct)) > 0 for mask in (is_strong, ~is_strong)]
        if len(distinct):
            found.append(LayerPair(source_layer, target_layer, distinct[:, 0], distinct[:, 1], *flags))
    return found
