"""Gates: pairs with a large direct effect whose target is rarely active with the source, and what opens the gate.

The condition is looked for among all other features of lower layers: at the sites at which the source is active, which
of them is the target active with more often than by chance? Axes: A active feature, F feature, I site, X pair of
features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from .activity import Activity, Floats, Ints, LayerActivity
from .chance import Chance, p_more
from .statistics import q_values
from .weight_edges import PairEdges
from .weight_pairs import PairValues

EFFECT = 0.25
"""A gated pair's direct effect is at least this share of the target's mean activation."""
SHARE = 0.2
"""A gated pair's target is active at no more than this share of the source's sites: upper end of the interval."""
LEAST_CLUSTERS = 5
"""Clusters below which the sign of an effect is not tested: the smallest p-value of four is 0.06."""


Pair = tuple[int, int, int, int]
"""Layer and index of the source, and of the target."""
Conditions = Callable[[Sequence[Pair]], list[Floats]]
"""Returns for each pair what `find_condition` does."""


@dataclass(frozen=True, eq=False)
class Gates:
    """The pairs that may be gated, and what was found of them, [X]."""

    pair: npt.NDArray[np.intp]
    """Number of each pair among all chosen pairs."""
    columns: Mapping[str, npt.NDArray[Any]]


def find_gates(values: PairValues, edges: PairEdges, q: float, conditions: Conditions) -> Gates:
    """Test which pairs have a large, stable effect on a target that is rarely active, and look for the condition.

    Candidates have a direct effect of at least EFFECT, a share of at most SHARE, and are together in LEAST_CLUSTERS
    clusters or more. The sign test over clusters asks whether their stored edges have the sign of the weight.
    `conditions` looks for those of the pairs that are gated.
    """
    effect = values.weight * values.scale
    with np.errstate(invalid="ignore"):
        is_candidate = (effect >= EFFECT) & (values.share_high <= SHARE)
    own = np.flatnonzero(is_candidate & (values.clusters_both >= LEAST_CLUSTERS))
    p = stats.binom.sf(edges.clusters_with_sign[own] - 1, edges.clusters[own], 0.5)
    p = np.where(edges.clusters[own] >= LEAST_CLUSTERS, p, np.nan)
    q_sign = q_values(p)
    finding = np.where(np.isnan(p), "unknown", "not shown").astype(object)
    finding[q_sign <= q] = "gated"
    gates = np.tile([-1, -1, np.nan, np.nan, np.nan], (len(own), 1))
    rows = np.flatnonzero(finding == "gated")
    ends = ("source_layer", "source_feature", "target_layer", "target_feature")
    pairs = list(zip(*(getattr(values, name)[own[rows]].tolist() for name in ends), strict=True))
    for row, found in zip(rows.tolist(), conditions(pairs), strict=True):
        if len(found) and found[-1] <= q:
            gates[row] = found
    return Gates(
        own,
        {
            "effect": effect[own],
            "p_sign": p,
            "q_sign": q_sign,
            "finding": finding,
            "gate_layer": gates[:, 0].astype(np.int64),
            "gate_feature": gates[:, 1].astype(np.int64),
            **{name: gates[:, 2 + place] for place, name in enumerate(("share_with", "share_without", "q_gate"))},
        },
    )


def find_condition(activity: Activity, pair: Pair) -> Floats:
    """Return layer and index of the feature that goes with the target most clearly where the source is active, the
    target's share with it and without it, and its q-value; empty if there is no other feature.

    Of equal p-values the one with the larger difference of shares counts, then the first feature.
    """
    source_layer, source_feature, target_layer, target_feature = pair
    source, target = activity.layer(source_layer), activity.layer(target_layer)
    sites = source.site_A[source.rows(int(np.searchsorted(source.feature_F, source_feature)))]
    hits = target.site_A[target.rows(int(np.searchsorted(target.feature_F, target_feature)))]
    is_hit = np.isin(sites, hits)
    within = _Within(activity, sites)
    chance = Chance.of(within)
    of_target = chance.self_pairs(within, _of_sites(sites[is_hit]))
    rows: list[Floats] = []
    for layer in range(target_layer):
        other, both_F = within.layer(activity.layer(layer), is_hit)
        if not len(other.feature_F):
            continue
        place_F = np.arange(len(other.feature_F))
        pairs = chance.self_pairs(within, other)
        p_F = p_more(both_F, *chance.expected(pairs, of_target, place_F, np.zeros_like(place_F)))
        with np.errstate(invalid="ignore", divide="ignore"):
            with_F = both_F / other.num_sites_F
            without_F = (is_hit.sum() - both_F) / (len(sites) - other.num_sites_F)
        kept = np.isfinite(without_F)  # a feature that is always there, as the source itself, is no condition
        columns = (np.full(len(p_F), layer), other.feature_F, with_F, without_F, p_F)
        rows.append(np.stack(columns, axis=1)[kept])
    if not sum(map(len, rows)):
        return np.zeros(0)
    found = np.concatenate(rows)
    q = q_values(found[:, 4])
    best = np.lexsort((found[:, 1], found[:, 0], found[:, 3] - found[:, 2], found[:, 4]))[0]
    return np.append(found[best, :4], q[best])


class _Within:
    """The part of an activity at some sites, as far as chance looks at it."""

    def __init__(self, activity: Activity, sites: Ints) -> None:
        self.rank_I, self.cell_I, self.cluster_I = activity.rank_I, activity.cell_I, activity.cluster_I
        self.is_live_I = np.zeros(len(activity.is_live_I), dtype=bool)
        self.is_live_I[sites] = True
        self._sites = sites

    def layer(self, whole: LayerActivity, is_hit_I: npt.NDArray[np.bool_]) -> tuple[LayerActivity, Ints]:
        """Return the activity of a layer at these sites, and at how many hits each of its features is active."""
        own = np.flatnonzero(self.is_live_I[whole.site_A])
        columns, column_A = np.unique(whole.column_A[own], return_inverse=True)
        start = np.searchsorted(column_A, np.arange(len(columns) + 1))
        part = LayerActivity(whole.feature_F[columns], start, whole.site_A[own], whole.activation_A[own])
        hit_A = is_hit_I[np.searchsorted(self._sites, part.site_A)]
        return part, np.bincount(column_A[hit_A], minlength=len(columns))


def _of_sites(sites: Ints) -> LayerActivity:
    """Return the activity of a single feature that is active at these sites."""
    return LayerActivity(np.zeros(1, dtype=np.int64), np.array([0, len(sites)]), sites, np.ones(len(sites)))
