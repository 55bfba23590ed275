"""Matched edges: the mean edges of a store between features that have a match, cluster by cluster.

Axes: E edge; F feature that has a match; I site; N node; X edge of one prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..graph.nodes import NodeKind
from .clusters import UNIT, Clusters, ClusterSums
from .edge_shares import read_edge_shares
from .prompts import ChosenPrompts
from .scan import find_sites_of_one_model, scan_ranges
from .sites import site_codes

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_BYTES_OF_EDGE = 200


@dataclass(frozen=True, eq=False)
class MatchedEdges:
    """The edges of one store from matched feature to matched feature. An edge's key is target * F + source."""

    key_E: Ints
    by_cluster: csr_array
    """Mean signed share of each edge in each cluster [clusters, E]."""
    together: csr_array
    """Number of clusters with a prompt in which two features are both nodes [F, F], target by source."""
    known_clusters: npt.NDArray[np.bool_]
    """Whether each cluster has a prompt whose influence is known."""
    num_unknown: int
    """Number of prompts whose influence is not known: they have no edges here."""

    def of_keys(self, key_E: Ints) -> csr_array:
        """Return the mean signed share in each cluster of given edges, ascending [clusters, E]."""
        rows = self.by_cluster.tocoo()
        own = self.key_E[rows.col]
        place = np.searchsorted(key_E, own).clip(max=max(0, len(key_E) - 1))
        kept = key_E[place] == own if len(key_E) else np.zeros(len(own), dtype=bool)
        shape = (self.by_cluster.shape[0], len(key_E))
        return csr_array((rows.data[kept], (rows.row[kept], place[kept])), shape=shape)


def read_matched_edges(
    prompts: ChosenPrompts, clusters: Clusters, layer_F: Ints, feature_F: Ints, memory_gb: float
) -> MatchedEdges:
    """Read the edges between given features, which are distinct, as shares of influence that the edges pass on.

    A prompt without the edge counts as 0 in the mean of its cluster; prompts whose influence is not known do not count.
    Raises ConfigError for graphs of models with different numbers of layers.
    """
    most_rows = max(1 << 12, int(memory_gb * 1e9) // _BYTES_OF_EDGE)
    sites = find_sites_of_one_model(prompts, most_rows)
    code_F = site_codes(layer_F, np.full(len(layer_F), NodeKind.FEATURE), feature_F)
    place_I = _places(code_F, sites.code_I)
    sums, known = ClusterSums(clusters), np.zeros(len(prompts), dtype=bool)
    for shares in read_edge_shares(prompts, sites, most_rows):
        target, source = (place_I[site] for site in np.divmod(shares.key_X, len(sites)))
        kept = (target >= 0) & (source >= 0)
        share = np.rint(shares.signed_X[kept] / UNIT).astype(np.int64)
        sums.add(shares.rank_X[kept], target[kept] * len(code_F) + source[kept], share)
        known[shares.rank_I] = shares.known_I
    key, cluster, share = sums.by_cluster()
    sizes = clusters.sizes(known)
    key_E, place = np.unique(key, return_inverse=True)
    mean = share * UNIT / sizes[cluster] if len(share) else np.zeros(0)
    by_cluster = csr_array((mean, (cluster, place)), shape=(len(clusters), len(key_E)))
    together = _together(prompts, clusters, code_F, most_rows)
    return MatchedEdges(key_E, by_cluster, together, sizes > 0, int(np.count_nonzero(~known)))


def _places(code_F: Ints, code_I: Ints) -> Ints:
    """Return the place of each code in `code_F`, -1 for one that is not there."""
    order = np.argsort(code_F)
    found = np.searchsorted(code_F[order], code_I).clip(max=max(0, len(code_F) - 1))
    if not len(code_F):
        return np.full(len(code_I), -1, dtype=np.int64)
    return np.where(code_F[order][found] == code_I, order[found], -1).astype(np.int64)


def _together(prompts: ChosenPrompts, clusters: Clusters, code_F: Ints, most_rows: int) -> csr_array:
    """Return in how many clusters two features are both nodes of a graph, at any positions [F, F]."""
    rank, place = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for scanned in scan_ranges(prompts, most_rows, with_values=False):
        own = _places(code_F, scanned.code_N)
        rank.append(scanned.rank_N[own >= 0].astype(np.int64))
        place.append(own[own >= 0])
    pairs = np.unique(np.concatenate(rank) * max(1, len(code_F)) + np.concatenate(place))
    row, column = np.divmod(pairs, max(1, len(code_F)))
    nodes = csr_array((np.ones(len(row), np.int32), (row, column)), shape=(len(prompts), len(code_F)))
    found = csr_array((len(code_F), len(code_F)), dtype=np.int32)
    if len(clusters) == len(prompts):
        return csr_array(nodes.T @ nodes)
    for cluster in range(len(clusters)):
        own_nodes = nodes[np.flatnonzero(clusters.number_I == cluster)]
        both = csr_array(own_nodes.T @ own_nodes)
        both.data[:] = 1
        found = csr_array(found + both)
    return found
