"""Shuffled edges: what the edges of clusters would be without structure, under two hypotheses.

- *identity*: in each cluster, the features of a layer exchange their names, such that every feature stays in as many
  clusters and every cluster keeps as many features of each layer. The graph of a cluster keeps its shape. What
  remains of a community is chance: nothing recurs over clusters but by how frequent features are.
- *edges*: in each cluster, the edges between two layers exchange their sources. Every feature stays in its clusters and
  keeps its numbers of edges to each layer. What remains is what features have in common by acting together.

Axes: E edge in a cluster, N node, X feature in a cluster.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .cluster_edges import ClusterEdges

Ints = npt.NDArray[np.int64]
Ends = npt.NDArray[np.int32]
SHUFFLES = ("identity", "edges")
_ROUNDS = 60
"""Rounds of proposals: in each, half of the features in clusters are paired at random to swap clusters; refused swaps
count, too."""


def shuffled(edges: ClusterEdges, kind: str, rng: np.random.Generator) -> ClusterEdges:
    """Return edges that are shuffled under one of the hypotheses in SHUFFLES."""
    return _identity(edges, rng) if kind == "identity" else _ends(edges, rng)


def _identity(edges: ClusterEdges, rng: np.random.Generator) -> ClusterEdges:
    num = len(edges.site_N)
    codes = [edges.cluster_E.astype(np.int64) * num + end for end in (edges.source_E, edges.target_E)]
    every = np.unique(np.concatenate(codes))
    cluster_X, node_X = np.divmod(every, num)
    is_feature = node_X < edges.num_features
    renamed_X = node_X.copy()
    for layer in np.unique(edges.layer_N[: edges.num_features]).tolist():
        own = np.flatnonzero(is_feature & (edges.layer_N[node_X] == layer))
        renamed_X[own] = swapped(cluster_X[own], node_X[own], num, rng)
    source, target = (renamed_X[np.searchsorted(every, code)].astype(np.int32) for code in codes)
    return edges.replaced(source, target)


def swapped(cluster_X: Ints, node_X: Ints, num: int, rng: np.random.Generator) -> Ints:
    """Return the nodes after swaps between clusters that keep all of a cluster's nodes different.

    Every node stays in as many clusters. `num` is above the number of any node.
    """
    node_X = node_X.copy()
    number = (len(node_X) + 3) // 4
    for _ in range(_ROUNDS if len(node_X) > 1 else 0):
        order = rng.permutation(len(node_X))
        one, other = order[:number], order[number : 2 * number]
        one = one[: len(other)]
        present = np.sort(cluster_X * num + node_X)
        new = np.stack([cluster_X[one] * num + node_X[other], cluster_X[other] * num + node_X[one]])
        place = np.searchsorted(present, new).clip(max=len(present) - 1)
        is_taken = (present[place] == new).any(axis=0)
        old = np.stack([cluster_X[one] * num + node_X[one], cluster_X[other] * num + node_X[other]])
        # a swap that touches what another one of the round touches is refused, so that every round can be undone by
        # one that is as probable, and all tables are equally probable in the end
        _, inverse, counts = np.unique(np.concatenate([old, new]), return_inverse=True, return_counts=True)
        is_touched = (counts[inverse.reshape(4, -1)] > 1).any(axis=0)
        accepted = ~is_taken & ~is_touched
        one, other = one[accepted], other[accepted]
        node_X[one], node_X[other] = node_X[other], node_X[one]
    return node_X


def _ends(edges: ClusterEdges, rng: np.random.Generator) -> ClusterEdges:
    layer_N = edges.layer_N.astype(np.int64) + 1  # tokens and targets have layers of their own
    block = (edges.cluster_E * (1 << 16) + layer_N[edges.source_E]) * (1 << 16) + layer_N[edges.target_E]
    place = np.argsort(block, kind="stable")
    drawn = np.lexsort((rng.random(len(block)), block))
    source = edges.source_E.copy()
    source[place] = edges.source_E[drawn]
    return edges.replaced(source, edges.target_E)


def renamed_share(edges: ClusterEdges, seed: int) -> float:
    """Return which share of the features in clusters have another name once names are shuffled. If it is small, the
    shuffles are much like the data, and prove nothing."""
    other = _identity(edges, np.random.default_rng((seed, 8)))
    before, after = (_places(one) for one in (edges, other))
    return 1 - len(np.intersect1d(before, after)) / max(1, len(before))


def _places(edges: ClusterEdges) -> Ints:
    ends = np.concatenate([edges.source_E, edges.target_E]).astype(np.int64)
    cluster = np.concatenate([edges.cluster_E, edges.cluster_E]).astype(np.int64)
    own = ends < edges.num_features
    places: Ints = np.unique(cluster[own] << 32 | ends[own])
    return places
