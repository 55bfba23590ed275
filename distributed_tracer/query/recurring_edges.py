"""Recurring edges: the strongest edges between features that recur over prompts, disregarding positions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..store.reader import Store
from ..table import Table
from .strongest_edges import strongest_edges, sums_of_pairs
from .sum_by_key import KeyedSums, as_keys, site_columns


def recurring_edges(
    store: Store, top: int = 50, min_prompts: int = 2, num_buckets: int = 1 << 22, buckets_per_pass: int = 1 << 18
) -> Table:
    """Return the strongest feature-to-feature edges that at least `min_prompts` prompts have, disregarding positions.

    An edge's weight in one prompt is the sum over all positions of both ends. The columns are source_layer,
    source_feature, target_layer, target_feature, prompts, mean_weight (over those prompts) and strength (the sum over
    prompts of |weight|); the strongest edge comes first. `num_buckets` and `buckets_per_pass` trade memory (8 bytes per
    bucket, and the edges of one pass) for passes over the store; they do not change the answer.
    """
    return _table(strongest_edges(store.graphs, feature_edges, top, min_prompts, num_buckets, buckets_per_pass))


def feature_edges(graph: Graph) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return one graph's edges between features and their summed weights [n].

    An edge is a row (source layer, source feature, target layer, target feature) of an array [n, 4].
    """
    nodes, target_E = graph.nodes, graph.target_E()
    is_feature_N = nodes.kind_N == NodeKind.FEATURE
    between_E = is_feature_N[graph.source_E] & is_feature_N[target_E]
    key_N = as_keys(nodes.layer_N, nodes.feature_N)
    return sums_of_pairs(key_N, graph.source_E[between_E], target_E[between_E], graph.weight_E[between_E])


def _table(edges: KeyedSums) -> Table:
    keys, sums = edges
    keys = keys.reshape(-1, 4)
    return Table(
        {
            **site_columns(keys, "source_", "target_"),
            "prompts": sums[:, 0].astype(np.int64),
            "mean_weight": sums[:, 1] / sums[:, 0],
            "strength": sums[:, 2],
        }
    )
