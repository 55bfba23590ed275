"""Features that are nodes of the same prompts' graphs as a given feature.

Axes: N node, I prompt that has the feature.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from ..store.index import Index
from ..store.read.feature_bounds import check_feature, check_site
from ..store.read.node_scan import NodeScan
from ..store.reader import Store
from ..table import Table
from .sum_by_key import KeyedSums, as_keys, merge_sums, site_columns, sum_by_key


def cooccurring(store: Store, layer: int, feature: int, top: int | None = 20) -> Table:
    """Return features by the number of prompts whose graphs have them and the given one, most first; then by lift.

    Columns: layer, feature, prompts (that have both), share (of the given feature's prompts) and lift (the number of
    prompts with both, divided by the number expected if the two were independent). The given feature is left out;
    positions do not matter. Raises ConfigError for a layer or a feature index that does not exist.
    """
    check_site(layer, feature)
    both: KeyedSums = (np.zeros((0, 2), np.int64), np.zeros((0, 2)))
    num_having = 0
    if store.index:
        num_having, counts = _of_index(store.index, layer, feature)
        both = merge_sums(both, counts)
    for scan in store.scan_nodes(["kind", "layer", "feature"], store.num_indexed):
        having, counts = _of_part(scan, layer, feature)
        num_having, both = num_having + having, merge_sums(both, counts)
    if not num_having:
        check_feature(layer, feature, store.num_layers, store.info, store.url)
    keys, sums = both
    keys, (with_both, with_other) = keys[sums[:, 0] > 0], sums[sums[:, 0] > 0].T
    lift = with_both * len(store) / (with_other * max(num_having, 1))
    order = np.lexsort((*keys.T[::-1], -lift, -with_both))
    best = order[(keys[order] != (layer, feature)).any(axis=1)][:top]
    return Table(
        {
            **site_columns(keys[best]),
            "prompts": with_both[best].astype(np.int64),
            "share": with_both[best] / max(num_having, 1),
            "lift": lift[best],
        }
    )


def _of_index(index: Index, layer: int, feature: int) -> tuple[int, KeyedSums]:
    """Return how many prompts have the feature; and for every feature, how many of these and of all prompts have it."""
    prompt_I = np.unique(index.postings(layer, feature)["prompt"].astype(np.int64))
    table = index.features
    counts = np.bincount(index.features_of(prompt_I), minlength=len(table["features/layer"]))
    keys = as_keys(table["features/layer"], table["features/feature"])
    return len(prompt_I), (keys, np.column_stack([counts, table["features/num_prompts"]]).astype(np.float64))


def _of_part(scan: NodeScan, layer: int, feature: int) -> tuple[int, KeyedSums]:
    """Return the same counts as `_of_index`, for the prompts of one part."""
    is_feature = scan.columns["kind"] == NodeKind.FEATURE
    sites = (scan.columns["layer"][is_feature], scan.columns["feature"][is_feature])
    keys = np.unique(as_keys(*sites, scan.prompt_N[is_feature]), axis=0)
    having: npt.NDArray[np.int64] = keys[(keys[:, :2] == (layer, feature)).all(axis=1), 2]
    sums = np.column_stack([np.isin(keys[:, 2], having), np.ones(len(keys))]).astype(np.float64)
    return len(having), sum_by_key(keys[:, :2], sums)
