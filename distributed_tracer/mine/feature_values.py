"""The values of features in prompts, as far as a store knows them: absent is not zero."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
_OF_NODES = ("key", "prompt", "position", "influence")


Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class FeatureValues:
    """The features that enough clusters have, and a row for each prompt and feature that is active in it.

    Rows are sorted by feature, then by prompt. All other values are zero: a feature that is not active contributes
    nothing.
    """

    keys: Ints
    """One number for each feature: layer * 2^32 + index."""
    column: Ints
    """The number of each row's feature in `keys`."""
    prompt: Ints
    """The number of each row's prompt, in the order of ids."""
    value: Floats
    """Influence or activation, summed over positions."""
    is_unknown: Mask
    """Whether a position at which the feature is active is not a node, so that the influence is not known."""
    differing_tokens: Floats
    """For each feature the share of its active positions whose token occurs in the prompts of one set only. A feature
    with a share of 1 may be no more than a name of these tokens."""

    @property
    def layer(self) -> npt.NDArray[np.int16]:
        """The layer of each feature."""
        return (self.keys // _LAYER).astype(np.int16)

    @property
    def feature(self) -> npt.NDArray[np.int32]:
        """The index of each feature in its layer."""
        return (self.keys % _LAYER).astype(np.int32)

    def matrices(self, num_prompts: int, first: int, end: int) -> tuple[Floats, Floats]:
        """Return values, NaN where not known, and 1 where present, of features `first` to `end` - 1 [prompts,
        features]."""
        value, present = np.zeros((2, num_prompts, end - first))
        rows = slice(*np.searchsorted(self.column, [first, end]))
        place = self.prompt[rows], self.column[rows] - first
        value[place] = np.where(self.is_unknown[rows], np.nan, self.value[rows])
        present[place] = 1.0
        return value, present

    @classmethod
    def joined(
        cls, keys: Ints, sites: Sequence[Arrays], nodes: Sequence[Arrays], num_prompts: int, of_influence: bool
    ) -> FeatureValues:
        """Return the values of the features `keys`, from what `active_sites` and `seen_features` returned for all
        prompts. Raises ConfigError for a feature that is a node but not active."""
        names = ("place", "position", "activation", "is_node", "differs")
        place, position, activation, is_node, differs = (np.concatenate([one[name] for one in sites]) for name in names)
        order = np.lexsort((position, place))
        rows, row = np.unique(place[order], return_inverse=True)
        is_unknown = np.zeros(len(rows), dtype=bool)
        if of_influence:
            is_unknown[row[~is_node[order]]] = True
            value = _node_sums(nodes, keys, num_prompts, rows)
        else:
            value = np.bincount(row, activation[order].astype(np.float64), len(rows)).astype(np.float64)
        column, prompt = np.divmod(rows, num_prompts)
        counts = np.bincount(column[row], minlength=len(keys))
        hits = np.bincount(column[row], differs[order].astype(np.float64), len(keys))
        shares: Floats = np.divide(hits, counts, out=np.full(len(keys), np.nan), where=counts > 0)
        return cls(keys, column, prompt, value, is_unknown, shares)


def seen_features(
    store: Store, ids: Sequence[str], number_of: Mapping[str, int], cluster_of: Ints, measure: str
) -> dict[str, npt.NDArray[Any]]:
    """Return which features which clusters have, of some prompts, and with influence all nodes of features.

    A cluster has a feature if the feature is a node (influence) or is active (activation) in one of its prompts.
    `number_of` has the number of each prompt, and `cluster_of` the cluster of each number. The arrays are `seen` (rows
    of feature and cluster, each once) and `key`, `prompt`, `position` and `influence` of nodes. Raises ConfigError for
    influence that is not known and for prompts stored without active features.
    """
    seen = np.zeros((0, 2), np.int64)
    of_nodes: list[tuple[npt.NDArray[Any], ...]] = [(*(np.zeros(0, np.int64) for _ in range(3)), np.zeros(0))]
    of_influence = measure == "influence"
    if of_influence:
        stream = store.nodes(ids, ("prompt", "layer", "position", "feature", "influence"), {"kind": "feature"})
    else:
        stream = store.active(ids, ("prompt", "layer", "feature"))
    for table in stream:
        prompt, key = _prompts(table, number_of), _keys(table)
        seen = np.unique(np.concatenate([seen, np.stack([key, cluster_of[prompt]], axis=1)]), axis=0)
        if of_influence:
            influence = table["influence"].astype(np.float64)
            if np.isnan(influence).any():
                raise ConfigError(
                    "the influence of features is not known for some of these graphs: try measure='activation'"
                )
            of_nodes.append((key, prompt, table["position"].astype(np.int64), influence))
    columns = (np.concatenate(parts) for parts in zip(*of_nodes, strict=True))
    return {"seen": seen, **dict(zip(_OF_NODES, columns, strict=True))}


def features_of_clusters(parts: Sequence[Arrays], min_clusters: int) -> tuple[Ints, int]:
    """Return the features that at least `min_clusters` clusters have, and the number of others, from what
    `seen_features` returned for all prompts."""
    seen = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *(part["seen"] for part in parts)]), axis=0)
    keys, num_clusters = np.unique(seen[:, 0], return_counts=True)
    kept = keys[num_clusters >= min_clusters]
    return kept, len(keys) - len(kept)


def active_sites(
    store: Store, ids: Sequence[str], number_of: Mapping[str, int], kept: Ints, differing: Collection[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return all positions of some prompts at which the kept features are active.

    `place` is the number of the feature times the number of all prompts, plus the number of the prompt; then come
    `position`, `activation`, `is_node`, and `differs`: whether the token there is one of `differing`.
    """
    names = ("prompt", "layer", "position", "feature", "activation", "is_node", "token")
    kinds = {"place": np.int64, "position": np.int64, "activation": np.float32, "is_node": bool, "differs": bool}
    found: list[tuple[npt.NDArray[Any], ...]] = [tuple(np.zeros(0, kind) for kind in kinds.values())]
    for table in store.active(ids, names):
        key = _keys(table)
        rows = np.flatnonzero(np.isin(key, kept))
        place = np.searchsorted(kept, key[rows]) * len(number_of) + _prompts(table, number_of)[rows]
        tokens = table["token"][rows].tolist()
        differs = np.fromiter((token in differing for token in tokens), bool, len(tokens))
        found.append((place, *(table[name][rows] for name in ("position", "activation", "is_node")), differs))
    columns = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return {name: column.astype(kinds[name]) for name, column in zip(kinds, columns, strict=True)}


def _node_sums(nodes: Sequence[Arrays], kept: Ints, num_prompts: int, rows: Ints) -> Floats:
    """Return the influence of each row, summed over positions from the first to the last.

    Raises ConfigError for a node without a row, that is, for a feature that is a node but not active.
    """
    key, prompt, position, influence = (np.concatenate([one[name] for one in nodes]) for name in _OF_NODES)
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


def _prompts(table: Table, number_of: Mapping[str, int]) -> Ints:
    return np.fromiter((number_of[prompt] for prompt in table["prompt"]), np.int64, len(table))
