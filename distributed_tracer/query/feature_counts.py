"""Feature counts: the features that occur in many prompts' graphs."""

from __future__ import annotations

import numpy as np

from ..graph.nodes import NodeKind
from ..store.index import Index
from ..store.read.node_scan import NodeScan
from ..store.reader import Store
from ..table import Table
from .sum_by_key import KeyedSums, as_keys, as_values, merge_sums, site_columns, sum_by_key


def feature_counts(store: Store, top: int | None = None) -> Table:
    """Return features by the number of prompts whose graph has them, most first; then by mean influence.

    Columns: layer, feature, prompts, nodes (one for each position), mean_influence (over those prompts, of the sum
    over positions), mean_activation (over nodes). Reads the index, and the node tables of parts that it does not cover.
    """
    totals = _of_index(store.index) if store.index else None
    for scan in store.scan_nodes(["kind", "layer", "feature", "influence", "activation"], store.num_indexed):
        totals = merge_sums(totals, _of_part(scan))
    keys, sums = totals if totals is not None else (np.zeros((0, 2), np.int64), np.zeros((0, 4)))
    layer, feature = keys.T
    prompts, nodes, influence, activation = sums.T
    best = np.lexsort((feature, layer, -influence / prompts, -prompts))[:top]
    return Table(
        {
            **site_columns(keys[best]),
            "prompts": prompts[best].astype(np.int64),
            "nodes": nodes[best].astype(np.int64),
            "mean_influence": influence[best] / prompts[best],
            "mean_activation": activation[best] / nodes[best],
        }
    )


def _of_index(index: Index) -> KeyedSums:
    """Return sums by (layer, feature): prompts, nodes, influence, activation."""
    layer, feature, *sums = (
        index.features[f"features/{name}"]
        for name in ("layer", "feature", "num_prompts", "num_nodes", "influence", "activation")
    )
    return as_keys(layer, feature), as_values(*sums)


def _of_part(scan: NodeScan) -> KeyedSums:
    """Return the same sums as `_of_index`, for the prompts of one part."""
    is_feature = scan.columns["kind"] == NodeKind.FEATURE
    layer, feature, influence, activation = (
        scan.columns[name][is_feature] for name in ("layer", "feature", "influence", "activation")
    )
    keys = as_keys(layer, feature, scan.prompt_N[is_feature])
    by_prompt, sums = sum_by_key(keys, as_values(np.ones(len(layer)), influence, activation))
    return sum_by_key(by_prompt[:, :2], np.column_stack([np.ones(len(sums)), sums]))
