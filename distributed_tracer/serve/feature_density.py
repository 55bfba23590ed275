"""Feature density: in which share of a store's prompts each feature is a node of the graph.

Axes: X feature of the store, N node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..query.feature_counts import feature_counts
from ..store.reader import Store
from .served_store import ServedStore

MOST_SCANNED_NODES = 20_000_000
"""Largest number of nodes that no index covers and that are read for densities: some seconds."""


def densities(
    served: ServedStore, store: Store, layer_N: npt.NDArray[Any], feature_N: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    """Return the density of each feature: float32 [N], NaN where it is not known.

    It is known for every feature of the store unless more nodes are without an index than are read for it.
    Raises StoreCorrupt.
    """
    key_X, density_X = _of_store(served, store)
    key_N = site_keys(layer_N, feature_N)
    place_N = np.minimum(np.searchsorted(key_X, key_N), max(len(key_X) - 1, 0))
    if not len(key_X):
        return np.full(len(key_N), np.nan, dtype=np.float32)
    return np.where(key_X[place_N] == key_N, density_X[place_N], np.nan).astype(np.float32)


def are_known(store: Store) -> bool:
    """Whether densities are computed: the nodes that no index covers are few enough to be read."""
    first = store.num_indexed
    sizes = store.catalogue.columns["num_nodes"][store.catalogue.columns["commit"] >= first]
    return int(sizes.sum()) <= MOST_SCANNED_NODES


def site_keys(layer: npt.NDArray[Any], feature: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return one number for each feature, ordered by layer, then by index."""
    keys: npt.NDArray[np.int64] = layer.astype(np.int64) * (1 << 32) + feature
    return keys


def _of_store(served: ServedStore, store: Store) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return keys of all features, ascending, and their densities; kept until the store has other parts."""
    kept = served.shared.get("densities")
    if kept is None or kept[0] != store.catalogue.commits:
        kept = (store.catalogue.commits, *_counted(store))
        served.shared["densities"] = kept
    return kept[1], kept[2]


def _counted(store: Store) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    if not are_known(store):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    found = feature_counts(store)
    key_X = site_keys(found["layer"], found["feature"])
    order = np.argsort(key_X)
    return key_X[order], found["prompts"][order] / len(store)
