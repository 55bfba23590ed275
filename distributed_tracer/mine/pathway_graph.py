"""Pathway graph: features that raise each other, in units of what the pair of their layers lets expect.

The weight between two features is their mean positive share, divided by the mean of all pairs of features of these
layers that have a positive one; so a pair of layers with large shares does not decide alone.

Axes: F feature, N node, Y community.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array

from .cluster_edges import ClusterEdges
from .community_graph import CommunityGraph, Floats, Ints, membership, present


def pathway_graph(edges: ClusterEdges, weight_by_cluster: Floats) -> CommunityGraph:
    """Return the graph of mean positive shares relative to their layers, over clusters with these weights."""
    source, target, share = edges.means(weight_by_cluster)
    exists_F = present(edges, source, target)
    own = (source < edges.num_features) & (target < edges.num_features) & (share > 0)
    source, target, share = source[own], target[own], share[own]
    relative = share / expected(edges, source, target, share)
    shape = (edges.num_features, edges.num_features)
    one_way = coo_array((relative, (source, target)), shape=shape).tocsr()
    adjacency = csr_array(one_way + one_way.T)
    adjacency.sort_indices()

    def fit(label_F: Ints) -> tuple[Floats, Floats]:
        return _inside(adjacency, label_F)

    return CommunityGraph(adjacency, exists_F, fit)


def expected(edges: ClusterEdges, source: Ints, target: Ints, share: Floats) -> Floats:
    """Return, for each pair, the mean share of the given pairs of the same two layers."""
    layer_N = edges.layer_N.astype(np.int64) + 1
    block = np.unique(layer_N[source] * (1 << 16) + layer_N[target], return_inverse=True)[1]
    means = np.bincount(block, share) / np.maximum(1, np.bincount(block))
    found: Floats = means[block]
    return found


def _inside(adjacency: csr_array, label_F: Ints) -> tuple[Floats, Floats]:
    """Return the share of the weight of each community, and of each feature, that stays inside its community."""
    degree_F = np.asarray(adjacency.sum(axis=1)).ravel()
    row = np.repeat(np.arange(len(label_F)), np.diff(adjacency.indptr))
    same = (label_F[row] >= 0) & (label_F[row] == label_F[adjacency.indices])
    inside_F = np.bincount(row[same], adjacency.data[same], len(label_F))
    member_YF = membership(label_F)
    degree, inside = member_YF @ degree_F, member_YF @ inside_F
    cohesion = np.divide(inside, degree, out=np.full(len(degree), np.nan), where=degree > 0)
    fit = np.divide(inside_F, degree_F, out=np.full(len(label_F), np.nan), where=degree_F > 0)
    return cohesion, np.where(label_F >= 0, fit, np.nan)
