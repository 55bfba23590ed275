"""The values of features in prompts, as far as a store knows them: absent is not zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..store.reader import Store
from ..table import Table
from .statistics import Floats, Mask

Ints = npt.NDArray[np.int64]
_LAYER = 1 << 32


@dataclass(frozen=True, eq=False)
class FeatureValues:
    """The features that enough clusters have, and a row for each prompt and feature that is active in it.

    Rows are sorted by feature, then by prompt. All other values are zero: a feature that is not active contributes
    nothing.
    """

    keys: Ints
    """One number for each feature: layer * 2^32 + index."""
    num_rare: int
    """The number of features that too few clusters have."""
    column: Ints
    """The number of each row's feature in `keys`."""
    prompt: Ints
    """The number of each row's prompt, in the order of ids."""
    value: Floats
    """Influence or activation, summed over positions."""
    is_unknown: Mask
    """Whether a position at which the feature is active is not a node, so that the influence is not known."""
    site_column: Ints
    """The number of the feature of each active position, of all prompts."""
    site_token: npt.NDArray[Any]
    """The token at each of these positions."""

    @property
    def layer(self) -> npt.NDArray[np.int16]:
        """The layer of each feature."""
        return (self.keys // _LAYER).astype(np.int16)

    @property
    def feature(self) -> npt.NDArray[np.int32]:
        """The index of each feature in its layer."""
        return (self.keys % _LAYER).astype(np.int32)

    def matrices(self, num_prompts: int, columns: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return values, NaN where not known, and 1 where present, of consecutive features [prompts, columns]."""
        value, present = np.zeros((2, num_prompts, len(columns)))
        if len(columns):
            rows = slice(*np.searchsorted(self.column, [columns[0], columns[-1] + 1]))
            place = self.prompt[rows], self.column[rows] - columns[0]
            value[place] = np.where(self.is_unknown[rows], np.nan, self.value[rows])
            present[place] = 1.0
        return value, present


def read_feature_values(
    store: Store, ids: Sequence[str], clusters: Sequence[str], measure: str, min_clusters: int
) -> FeatureValues:
    """Read the influence or the activation of all features that at least `min_clusters` of the clusters have.

    A cluster has a feature if the feature is a node (influence) or is active (activation) in one of its prompts. Memory
    grows with the active positions of these features in these prompts. Raises ConfigError for influence that is not
    known and for prompts stored without active features.
    """
    number_of = {prompt: number for number, prompt in enumerate(ids)}
    cluster_numbers = np.unique(np.array(clusters, dtype=object), return_inverse=True)[1].astype(np.int64)
    seen = np.zeros((0, 2), np.int64)
    of_nodes: list[tuple[npt.NDArray[Any], ...]] = []
    of_influence = measure == "influence"
    if of_influence:
        stream = store.nodes(ids, ("prompt", "layer", "position", "feature", "influence"), {"kind": "feature"})
    else:
        stream = store.active(ids, ("prompt", "layer", "feature"))
    for table in stream:
        prompt, key = _prompts(table, number_of), _keys(table)
        seen = np.unique(np.concatenate([seen, np.stack([key, cluster_numbers[prompt]], axis=1)]), axis=0)
        if of_influence:
            influence = table["influence"].astype(np.float64)
            if np.isnan(influence).any():
                raise ConfigError(
                    "the influence of features is not known for some of these graphs: try measure='activation'"
                )
            of_nodes.append((key, prompt, table["position"].astype(np.int64), influence))
    keys, num_clusters = np.unique(seen[:, 0], return_counts=True)
    kept = keys[num_clusters >= min_clusters]
    place, activation, is_node, token = _active_sites(store, ids, number_of, kept)
    rows, row = np.unique(place, return_inverse=True)
    is_unknown = np.zeros(len(rows), dtype=bool)
    if of_influence:
        is_unknown[row[~is_node]] = True
        value = _node_sums(of_nodes, kept, len(ids), rows)
    else:
        value = np.bincount(row, activation, len(rows)).astype(np.float64)
    column, prompt = np.divmod(rows, len(ids))
    return FeatureValues(kept, len(keys) - len(kept), column, prompt, value, is_unknown, column[row], token)


def _active_sites(
    store: Store, ids: Sequence[str], number_of: dict[str, int], kept: Ints
) -> tuple[Ints, Floats, Mask, npt.NDArray[Any]]:
    """Return all active positions of the kept features, sorted by feature, prompt and position.

    The first array is the number of the feature times the number of prompts, plus the number of the prompt. Then come
    activation, whether the feature is a node there, and token.
    """
    names = ("prompt", "layer", "position", "feature", "activation", "is_node", "token")
    found: list[tuple[npt.NDArray[Any], ...]] = [
        (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool), np.zeros(0, object))
    ]
    for table in store.active(ids, names):
        key = _keys(table)
        rows = np.flatnonzero(np.isin(key, kept))
        place = np.searchsorted(kept, key[rows]) * len(ids) + _prompts(table, number_of)[rows]
        columns = (table[name][rows] for name in ("position", "activation", "is_node", "token"))
        found.append((place, *columns))
    place, position, activation, is_node, token = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((position, place))
    return place[order], activation[order].astype(np.float64), is_node[order], token[order]


def _node_sums(of_nodes: Sequence[tuple[npt.NDArray[Any], ...]], kept: Ints, num_prompts: int, rows: Ints) -> Floats:
    """Return the influence of each row, summed over positions from the first to the last.

    `of_nodes` are feature, prompt, position and influence of all nodes. Raises ConfigError for a node without a row,
    that is, for a feature that is a node but not active.
    """
    if not of_nodes:
        return np.zeros(len(rows))
    key, prompt, position, influence = (np.concatenate(parts) for parts in zip(*of_nodes, strict=True))
    is_kept = np.isin(key, kept)
    place = np.searchsorted(kept, key[is_kept]) * num_prompts + prompt[is_kept]
    order = np.lexsort((position[is_kept], place))
    place = place[order]
    row = np.searchsorted(rows, place)
    if not np.isin(place, rows).all():
        raise ConfigError(
            "some graphs have nodes that are not among their active features, as imported graphs do: it is not known "
            "where features are inactive"
        )
    sums: Floats = np.bincount(row, influence[is_kept][order], len(rows)).astype(np.float64)
    return sums


def _keys(table: Table) -> Ints:
    key: Ints = table["layer"].astype(np.int64) * _LAYER + table["feature"].astype(np.int64)
    return key


def _prompts(table: Table, number_of: dict[str, int]) -> Ints:
    return np.fromiter((number_of[prompt] for prompt in table["prompt"]), np.int64, len(table))
