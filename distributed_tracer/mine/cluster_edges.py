"""ClusterEdges: the edges between features, tokens and targets in each cluster of prompts, as shares of influence.

The share of an edge is the one of `edge_shares`, with its sign: the mean over the prompts of a cluster, where a prompt
without the edge counts as 0. Features that few clusters have are left out, and so are errors, of which every layer has
one for all features.

Axes: E edge in a cluster, N node (a feature or another end), F feature, I site, Y item in a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.nodes import NodeKind
from ..text import counted
from .inclusion import Unknown, edge_inclusion, node_inclusion, num_passes
from .prompts import ChosenPrompts
from .scan import find_sites_of_one_model
from .sites import Sites

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
ENTRY_BYTES = 110
"""Memory that an edge in a cluster takes at most: as it is kept, and while edges are sorted and shuffled."""
_READ_ROWS = 1_000_000
_HALF = Fraction(1, 2)


@dataclass(frozen=True, eq=False)
class ClusterEdges:
    """Edges of clusters. The first `num_features` nodes are the features, by layer and index; then come the others."""

    source_E: npt.NDArray[np.int32]
    target_E: npt.NDArray[np.int32]
    cluster_E: npt.NDArray[np.int32]
    share_E: Floats
    """Signed share; edges are sorted by target, source and cluster."""
    site_N: Ints
    """Number of each node's site."""
    layer_N: npt.NDArray[np.int16]
    kind_N: npt.NDArray[np.int8]
    num_features: int
    num_clusters: int

    def replaced(self, source_E: npt.NDArray[np.int32], target_E: npt.NDArray[np.int32]) -> ClusterEdges:
        """Return the same edges with other ends, sorted again."""
        order = np.lexsort((self.cluster_E, source_E, target_E))
        return replace(
            self,
            source_E=source_E[order],
            target_E=target_E[order],
            cluster_E=self.cluster_E[order],
            share_E=self.share_E[order],
        )

    def means(self, weight_by_cluster: Floats) -> tuple[Ints, Ints, Floats]:
        """Return the source, the target and the weighted mean share over clusters of each pair that has an edge."""
        kept = weight_by_cluster[self.cluster_E] > 0
        source, target = self.source_E[kept].astype(np.int64), self.target_E[kept].astype(np.int64)
        share = self.share_E[kept] * weight_by_cluster[self.cluster_E[kept]] / weight_by_cluster.sum()
        first = np.flatnonzero(np.append(True, (np.diff(source) != 0) | (np.diff(target) != 0))[: len(source)])
        if not len(first):
            return source, target, share
        return source[first], target[first], np.add.reduceat(share, first)


@dataclass(frozen=True, eq=False)
class FeatureActs:
    """In which clusters each feature is a node, and its influence."""

    feature_X: Ints
    """Number of the feature; sorted by feature, then by cluster. Axes: X feature in a cluster."""
    cluster_X: npt.NDArray[np.int32]
    influence_F: Floats
    """Mean over the prompts of each cluster, then over clusters. Axes: F feature."""
    clusters_F: Ints


def read_cluster_edges(
    prompts: ChosenPrompts, cluster_of: npt.NDArray[np.int32], min_clusters: int, memory_gb: float
) -> tuple[ClusterEdges, FeatureActs, Sites, Unknown]:
    """Return the edges of all clusters, what is known of features, the sites, and what is unknown of edges.

    Raises ConfigError if the edges do not fit into `memory_gb` and if fewer than two features are in at least
    `min_clusters` clusters.
    """
    num_clusters = int(cluster_of.max(initial=-1)) + 1
    sites = find_sites_of_one_model(prompts, _READ_ROWS)
    nodes = node_inclusion(prompts, sites, cluster_of, _HALF)
    found_by_site = np.zeros(len(sites), dtype=np.int64)
    found_by_site[nodes.key_I] = np.bincount(nodes.item_Y, minlength=len(nodes.key_I))
    feature_by_site = sites.is_kind(NodeKind.FEATURE) & (found_by_site >= min_clusters)
    num_features = int(feature_by_site.sum())
    if num_features < 2:
        raise ConfigError(
            f"{counted(num_features, 'feature')} of {sites.num_features:,} are nodes in at least "
            f"{counted(min_clusters, 'cluster')} of {num_clusters:,}: communities need more; lower --min-clusters, or "
            "choose more prompts"
        )
    other_by_site = (sites.is_kind(NodeKind.TOKEN) | sites.is_kind(NodeKind.TARGET)) & (found_by_site > 0)
    site_N = np.concatenate([np.flatnonzero(feature_by_site), np.flatnonzero(other_by_site)])
    node_by_site = np.full(len(sites), -1, dtype=np.int32)
    node_by_site[site_N] = np.arange(len(site_N), dtype=np.int32)
    parts = [(np.zeros(0, np.int32),) * 3 + (np.zeros(0),)]
    most, held = int(memory_gb * 1e9) // ENTRY_BYTES, 0
    starts = sites.ranges(num_passes(prompts.num_edges, memory_gb)).tolist()
    for targets in pairwise(starts):
        found, unknown = edge_inclusion(
            prompts, sites, cluster_of, _HALF, memory_gb, targets
        )  # `unknown` is of all targets
        target, source = (node_by_site[ends] for ends in np.divmod(found.key_I, len(sites)))
        kept = ((target >= 0) & (source >= 0) & (np.minimum(target, source) < num_features))[found.item_Y]
        item = found.item_Y[kept]
        held += len(item)
        if held > most:
            raise ConfigError(
                f"more than {most:,} edges in clusters do not fit into {memory_gb:g} GB: give more with --memory-gb, "
                "raise --min-clusters, or choose fewer prompts with --where"
            )
        parts.append((source[item], target[item], found.cluster_Y[kept], found.signed_Y[kept]))
    source_E, target_E, cluster_E, share_E = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    of_nodes = (site_N, sites.layer_I[site_N], sites.kind_I[site_N])
    edges = ClusterEdges(source_E, target_E, cluster_E, share_E, *of_nodes, num_features, num_clusters)
    own_Y = feature_by_site[nodes.key_I][nodes.item_Y]
    feature_Y = node_by_site[nodes.key_I[nodes.item_Y[own_Y]]].astype(np.int64)
    influence_F = np.bincount(feature_Y, nodes.value_Y[own_Y], num_features) / num_clusters
    acts = FeatureActs(feature_Y, nodes.cluster_Y[own_Y], influence_F, found_by_site[site_N[:num_features]])
    return edges.replaced(source_E, target_E), acts, sites, unknown
