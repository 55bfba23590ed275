"""Where features act: at which tokens, at which distance from the end of a prompt, and which clusters have a token.

Sums are integers in units of UNIT, so that they do not depend on the order in which prompts are read.

Axes: F feature, N node of a part range, I prompt of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .clusters import UNIT
from .prompts import ChosenPrompts
from .scan import scan_ranges

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
DISTANCES = ("0", "1", "2 to 3", "4 to 7", "8 or more")
"""Classes of distances from the last token."""
_READ_ROWS = 1_000_000
_MOST_WAITING = 1 << 21


@dataclass(frozen=True, eq=False)
class FeatureContexts:
    """Where features act, by influence; the cluster has as much weight as any other, however many prompts it has."""

    token_X: Ints
    """Token id of each pair of a feature and a token, sorted by feature, then by token. Axes: X pair."""
    feature_X: Ints
    influence_X: Floats
    distance_F: Ints
    """Class of distances from the end where the feature has most influence; -1 if it has none."""
    token_Y: Ints
    """Token id of each pair of a token and a cluster, sorted by both. Axes: Y pair."""
    cluster_Y: Ints


def read_contexts(prompts: ChosenPrompts, cluster_of: npt.NDArray[np.int32], code_F: Ints) -> FeatureContexts:
    """Return where features act, given the codes of their sites, one or more, ascending. Prompts without a cluster are
    left out."""
    size = np.maximum(1, np.bincount(cluster_of[cluster_of >= 0]))
    pairs, distances, seen = _Sums(), _Sums(), [np.zeros(0, dtype=np.int64)]
    for scanned in scan_ranges(prompts, _READ_ROWS):
        own, nodes = scanned.part_range, scanned.nodes
        tokens = own.part.read({"tokens/token": own.rows("num_tokens")})["tokens/token"].astype(np.int64)
        num_tokens_I = own.sizes("num_tokens").astype(np.int64)
        cluster_I = cluster_of[scanned.rank_I].astype(np.int64)
        cluster = np.repeat(cluster_I, num_tokens_I)
        known = (tokens >= 0) & (cluster >= 0)
        seen.append(np.unique(tokens[known] << 32 | cluster[known]))
        if sum(map(len, seen)) > _MOST_WAITING + 2 * len(seen[0]):
            seen = [np.unique(np.concatenate(seen))]
        feature_N = np.searchsorted(code_F, scanned.code_N).clip(max=len(code_F) - 1)
        kept_N = (code_F[feature_N] == scanned.code_N) & (cluster_I[own.prompt_N] >= 0)
        prompt, feature, position = (
            values[kept_N].astype(np.int64) for values in (own.prompt_N, feature_N, nodes["position"])
        )
        influence = np.nan_to_num(nodes["influence"][kept_N].astype(np.float64), posinf=0.0, neginf=0.0)
        share = np.rint(np.abs(influence) / size[cluster_I[prompt]] / UNIT).astype(np.int64)
        first_I = np.cumsum(num_tokens_I) - num_tokens_I
        distance = num_tokens_I[prompt] - 1 - position
        token = tokens[first_I[prompt] + position]
        pairs.add((feature << 32 | token)[token >= 0], share[token >= 0])
        distances.add(feature * len(DISTANCES) + _class_of(distance), share)
    code, sums = pairs.total()
    place, of_classes = distances.total()
    table_by_class = np.zeros((len(code_F), len(DISTANCES)), dtype=np.int64)
    table_by_class.flat[place] = of_classes
    every = np.unique(np.concatenate(seen))
    return FeatureContexts(
        code & 0xFFFFFFFF,
        code >> 32,
        (sums * UNIT).astype(np.float64),
        np.where(table_by_class.any(axis=1), table_by_class.argmax(axis=1), -1),
        every >> 32,
        every & 0xFFFFFFFF,
    )


def _class_of(distance: Ints) -> Ints:
    return np.searchsorted(np.array([1, 2, 4, 8]), distance, side="right").astype(np.int64)


class _Sums:
    """Integer sums by key."""

    def __init__(self) -> None:
        self._waiting = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        self._num_waiting = 0

    def add(self, key: Ints, value: Ints) -> None:
        self._waiting.append((key, value))
        self._num_waiting += len(key)
        if self._num_waiting > _MOST_WAITING:
            self.total()

    def total(self) -> tuple[Ints, Ints]:
        """Return the keys, ascending, and the sum of each."""
        key, value = (np.concatenate(columns) for columns in zip(*self._waiting, strict=True))
        keys, place = np.unique(key, return_inverse=True)
        sums = np.zeros(len(keys), dtype=np.int64)
        np.add.at(sums, place, value)
        self._waiting, self._num_waiting = [(keys, sums)], 0
        return keys, sums
