"""Role graph: features that are fed by the same and that feed the same are neighbours, though no edge joins them.

mean signed shares ─▶ two profiles of each feature, hubs weighted down ─▶ cosines ─▶ mutual nearest neighbours

A feature's incoming profile has a column for each feature and token that feeds it, its outgoing profile one for each
feature and target that it feeds. An entry is sign · √|share| · log(features / features that have this column): a
column that everything has says nothing. The root keeps one large share from deciding alone. Either profile has norm 1,
so that the similarity is the mean of two cosines; a feature with one profile only is compared by that one.

Axes: F feature, N node, X entry of a profile, Y community.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array, hstack

from .cluster_edges import ClusterEdges
from .community_graph import CommunityGraph, Floats, Ints, membership, present
from .nearest_profiles import nearest

MOST_COLUMNS = 200
"""Entries that a profile keeps at most: those with the largest absolute values. So time does not grow with the square
of a hub's edges."""


def role_graph(edges: ClusterEdges, weight_by_cluster: Floats, neighbours: int) -> CommunityGraph:
    """Return the graph of mutual nearest neighbours by the cosine of profiles, over clusters with these weights."""
    source, target, share = edges.means(weight_by_cluster)
    profile_FX = profiles(edges, source, target, share)

    def fit(label_F: Ints) -> tuple[Floats, Floats]:
        return _cosines_within(profile_FX, label_F)

    return CommunityGraph(nearest(profile_FX, neighbours), present(edges, source, target), fit)


def profiles(edges: ClusterEdges, source: Ints, target: Ints, share: Floats) -> csr_array:
    """Return the profile of each feature, with norm 1, or 0 for a feature without any."""
    found = []
    for row, column in ((target, source), (source, target)):
        own = row < edges.num_features
        found.append(_weighted(row[own], column[own], share[own], (edges.num_features, len(edges.site_N))))
    both: csr_array = _unit(csr_array(hstack(found, format="csr")))
    both.sort_indices()
    return both


def _weighted(row: Ints, column: Ints, share: Floats, shape: tuple[int, int]) -> csr_array:
    having_N = np.bincount(column, minlength=shape[1])
    with_any = max(1, len(np.unique(row)))
    value = np.sign(share) * np.sqrt(np.abs(share)) * np.log(with_any / having_N[column])
    kept = value != 0
    row, column, value = row[kept], column[kept], value[kept]
    order = np.lexsort((column, -np.abs(value), row))
    row, column, value = row[order], column[order], value[order]
    first_F = np.searchsorted(row, np.arange(shape[0]))
    kept = np.arange(len(row)) - first_F[row] < MOST_COLUMNS
    return _unit(coo_array((value[kept], (row[kept], column[kept])), shape=shape).tocsr())


def _unit(rows: csr_array) -> csr_array:
    norm_F = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    rows.data = rows.data / np.repeat(np.where(norm_F > 0, norm_F, 1.0), np.diff(rows.indptr))
    return rows


def _cosines_within(profile_FX: csr_array, label_F: Ints) -> tuple[Floats, Floats]:
    member_YF = membership(label_F)
    size = np.asarray(member_YF.sum(axis=1)).ravel()
    sums_YX = csr_array(member_YF @ profile_FX)
    squares_F = np.asarray(profile_FX.multiply(profile_FX).sum(axis=1)).ravel()
    own_Y = member_YF @ squares_F
    pairs_Y = np.asarray(sums_YX.multiply(sums_YX).sum(axis=1)).ravel() - own_Y
    of_pairs = size * (size - 1)
    cohesion = np.divide(pairs_Y, of_pairs, out=np.full(len(size), np.nan), where=of_pairs > 0)
    fit_F, own = np.full(len(label_F), np.nan), np.flatnonzero(label_F >= 0)
    label = label_F[own]
    with_sum = np.asarray(profile_FX[own].multiply(sums_YX[label]).sum(axis=1)).ravel() - squares_F[own]
    fit_F[own] = np.divide(with_sum, size[label] - 1, out=np.full(len(own), np.nan), where=size[label] > 1)
    return cohesion, fit_F
