"""Candidates: which pairs of features are looked at one by one, chosen layer pair by layer pair.

Strong pairs are the largest in |weight|, whether or not the two features are ever active together, so that tests on how
often they are do not see how they were chosen. Active pairs are the largest in |TWERA|.

Axes: A active feature, F feature that is looked at, I site, X pair of features, D model width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

    @classmethod
    def of_lists(
        cls,
        source_layer: int,
        target_layer: int,
        source_X: Sequence[int],
        target_X: Sequence[int],
        is_strong_X: Sequence[int],
        is_active_X: Sequence[int],
    ) -> LayerPair:
        """Return the pairs that are given by lists, as arguments of tasks are."""
        source, target = (np.array(values, dtype=np.int64) for values in (source_X, target_X))
        is_strong, is_active = (np.array(values, dtype=bool) for values in (is_strong_X, is_active_X))
        return cls(source_layer, target_layer, source, target, is_strong, is_active)


@dataclass(frozen=True, eq=False)
class Candidates:
    """All chosen pairs, and the number of those that they were chosen from."""

    layer_pairs: list[LayerPair]
    num_compared: int
    num_features: int
    """Number of features that are active at enough sites."""


@dataclass(frozen=True, eq=False)
class LayerChoice:
    """The largest pairs of two layers."""

    source_layer: int
    target_layer: int
    strong: Floats
    """Places of source and target and |weight| of the pairs with the largest |weight|."""
    best: Floats
    """The two layers, places of source and target, and TWERA of the pairs with the largest |TWERA|."""
    num_compared: int


def choose_of_layers(
    activity: Activity,
    vectors: FeatureVectors,
    layers: tuple[int, int],
    num_strong: int,
    num_active: int,
    min_positions: int,
) -> LayerChoice:
    """Return the `num_strong` pairs of two layers, source and target, with the largest |weight|, and the `num_active`
    with the largest |TWERA|."""
    source_layer, target_layer = layers
    source, target = activity.layer(source_layer), activity.layer(target_layer)
    rows, kept = (np.flatnonzero(layer.num_sites_F >= min_positions) for layer in (source, target))
    read_FD = vectors.read(target_layer, target.feature_F[kept])
    found, best = np.zeros((0, 3)), np.zeros((0, 5))
    for row_X, column_X, weight_X, twera_X in _tiles(
        activity, vectors, (source_layer, source, rows), (target_layer, target, kept, read_FD)
    ):
        found = _largest(np.stack([row_X, column_X, weight_X], axis=1), found, num_strong)
        ends = np.broadcast_to([source_layer, target_layer], (len(row_X), 2))
        best = _largest(np.column_stack([ends, row_X, column_X, twera_X]), best, num_active)
    return LayerChoice(source_layer, target_layer, found, best, len(rows) * len(kept))


def compared_layers(activity: Activity, min_positions: int) -> tuple[list[tuple[int, int]], int]:
    """Return the source and target layers of all pairs of layers that are compared, by target, then by source, and the
    number of features that are active at `min_positions` sites or more."""
    numbers = [
        int(np.count_nonzero(activity.num_sites_of(layer) >= min_positions)) for layer in range(activity.num_layers)
    ]
    pairs = [(source, target) for target, number in enumerate(numbers) if number for source in range(target)]
    return pairs, sum(numbers)


def joined_choices(choices: Iterable[LayerChoice], num_active: int, num_features: int) -> Candidates:
    """Return the pairs of all layers: the largest |weight| of each two layers, and the `num_active` largest |TWERA|."""
    best = np.zeros((0, 5))
    strong: dict[tuple[int, int], Floats] = {}
    num_compared = 0
    for choice in choices:
        strong[choice.source_layer, choice.target_layer] = choice.strong
        best = _largest(choice.best, best, num_active)
        num_compared += choice.num_compared
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
