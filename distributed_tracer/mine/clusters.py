"""Clusters of chosen prompts, and means over them of shares that add up exactly.

Axes: I prompt by rank, X key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..documents.json_text import to_json_types
from ..errors import ConfigError
from ..store.read.prompt_table import METADATA
from ..store.read.select import metadata_columns
from ..text import counted, short
from .prompt_sets import FEW_CLUSTERS
from .prompts import ChosenPrompts
from .statistics import CONFIDENCE, Floats

Ints = npt.NDArray[np.int64]
UNIT = 2.0**-40
"""Shares are added as integers in this unit, so that sums are exact and do not depend on their order."""
_MOST_WAITING = 1 << 20


@dataclass(frozen=True, eq=False)
class Clusters:
    """The cluster of each prompt. Without a named field, each prompt is one."""

    number_I: npt.NDArray[np.int32]
    names: Sequence[str]
    """Name of each cluster: the value of the field, or the id of its only prompt."""
    field: str | None

    def __len__(self) -> int:
        return len(self.names)

    def sizes(self, counted_I: npt.NDArray[np.bool_]) -> Ints:
        """Return how many of the prompts that count each cluster has."""
        return np.bincount(self.number_I[counted_I], minlength=len(self.names)).astype(np.int64)

    def means(self, value_I: Floats, counted_I: npt.NDArray[np.bool_]) -> Floats:
        """Return the mean of the prompts that count of each cluster that has any, in the order of clusters."""
        sizes = self.sizes(counted_I)
        sums = np.bincount(self.number_I[counted_I], value_I[counted_I], len(self.names))
        means: Floats = sums[sizes > 0] / sizes[sizes > 0]
        return means

    def doubts(self) -> list[str]:
        """Return warnings about clusters that are not named or too few."""
        if self.field is None:
            return [
                "no clusters are named, so that each prompt counts as independent evidence: if prompts share "
                "templates, documents or subjects, intervals are too narrow (--cluster FIELD)"
            ]
        if len(self) < 2:
            return [f"all prompts are of one cluster, {short(self.names[0])}: there are no intervals"]
        if len(self) < FEW_CLUSTERS:
            return [f"there are only {counted(len(self), 'cluster')}: intervals are wide and rough"]
        return []


def clusters_of(prompts: ChosenPrompts, field: str | None) -> Clusters:
    """Return the clusters of the chosen prompts, which must have been chosen with the same field.

    Raises ConfigError if a prompt has no value of the field.
    """
    if field is None or prompts.clusters is None:
        return Clusters(np.arange(len(prompts), dtype=np.int32), prompts.ids, None)
    if len(missing := np.flatnonzero(prompts.clusters < 0)):
        raise ConfigError(
            f"{counted(len(missing), 'prompt')}, such as {short(prompts.ids[missing[0]])}, have no {short(field)} that "
            "says their cluster: name a field that all have, or choose prompts with --where"
        )
    values = metadata_values(prompts, field)
    names = [""] * (int(prompts.clusters.max(initial=-1)) + 1)
    for number, value in zip(prompts.clusters.tolist(), values, strict=True):
        names[number] = value_text(value)
    return Clusters(prompts.clusters, names, field)


def metadata_values(prompts: ChosenPrompts, field: str) -> list[object]:
    """Return the value that each prompt has of a metadata field, by rank; None where it has none."""
    table = prompts.store.prompts
    column = metadata_columns(table)[field.removeprefix(METADATA)]
    value_of = dict(zip(table["id"].tolist(), table[column].tolist(), strict=True))
    return [value_of[prompt_id] for prompt_id in prompts.ids]


def value_text(value: object) -> str:
    """Return a metadata value as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(to_json_types(value), sort_keys=True)


def interval_of_means(means: Floats) -> tuple[float, float, float]:
    """Return the mean of one value for each cluster and its 95% confidence interval (Student's); NaN where unknown."""
    if not len(means):
        return float("nan"), float("nan"), float("nan")
    mean = float(means.mean())
    half = float(student_half(np.array([np.square(means - mean).sum()]), len(means))[0])
    return mean, mean - half, mean + half


def student_half(squares_X: Floats, num_clusters: int) -> Floats:
    """Return half the width of Student's 95% interval of means over clusters, from sums of squared deviations."""
    if num_clusters < 2:
        return np.full(len(squares_X), np.nan)
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, num_clusters - 1))
    half: Floats = t * np.sqrt(squares_X / (num_clusters - 1) / num_clusters)
    return half


@dataclass(frozen=True, eq=False)
class KeyMeans:
    """Means over all clusters for each key, keys ascending. A cluster that lacks a key has 0 there."""

    key_X: Ints
    mean_X: Floats
    low_X: Floats
    high_X: Floats
    prompts_X: Ints
    """Number of prompts that have the key."""
    entries_X: Ints
    mean_present_X: Floats
    """Mean over these prompts."""


class ClusterSums:
    """Adds up shares of prompts by key and cluster. Sums are integers, so that no order matters.

    Memory grows with the number of different pairs of a key and a cluster.
    """

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self._rows = [np.zeros((0, 5), np.int64)]
        self._num_waiting = 0

    def add(self, rank: npt.NDArray[np.int32], key: Ints, share: Ints) -> None:
        """Add the shares of whole prompts, in units of UNIT."""
        order = np.lexsort((key, rank))
        rank, key, share = rank[order], key[order], share[order]
        first = np.flatnonzero(np.append(True, (np.diff(rank) != 0) | (np.diff(key) != 0)))[: len(key)]
        if not len(first):
            return
        counts = np.diff(np.append(first, len(key)))
        cluster = self._clusters.number_I[rank[first]].astype(np.int64)
        sums: Ints = np.add.reduceat(share, first)
        self._rows.append(np.stack([key[first], cluster, sums, np.ones_like(sums), counts], axis=1))
        self._num_waiting += len(first)
        if self._num_waiting > _MOST_WAITING:
            self._reduce()

    def by_cluster(self) -> tuple[Ints, Ints, Ints]:
        """Return key, cluster and sum, in units of UNIT, of all that was added, by key, then by cluster."""
        self._reduce()
        key, cluster, sums = self._rows[0][:, :3].T
        return key, cluster, sums

    def rows(self) -> Ints:
        """Return all that was added as rows of numbers, which `add_rows` takes; the first of each is the key."""
        self._reduce()
        return self._rows[0]

    def add_rows(self, rows: Ints) -> None:
        """Add the rows of other prompts."""
        self._rows.append(rows)
        self._num_waiting += len(rows)
        if self._num_waiting > _MOST_WAITING:
            self._reduce()

    def means(self, sizes: Ints) -> KeyMeans:
        """Return the means of all that was added over the clusters that have prompts: `sizes` is their number."""
        self._reduce()
        (rows,) = self._rows
        key_X, place = np.unique(rows[:, 0], return_inverse=True)
        number, size = int(np.count_nonzero(sizes)), len(key_X)
        of_cluster = rows[:, 2] * UNIT / sizes[rows[:, 1]]
        mean_X = np.bincount(place, of_cluster, size) / number
        squares_X = np.bincount(place, np.square(of_cluster - mean_X[place]), size).astype(np.float64)
        squares_X += (number - np.bincount(place, minlength=size)) * np.square(mean_X)
        half_X = student_half(squares_X, number)
        share_X, prompts_X, entries_X = (self._sums(rows[:, column], place, size) for column in (2, 3, 4))
        means = (mean_X, mean_X - half_X, mean_X + half_X)
        return KeyMeans(key_X, *means, prompts_X, entries_X, share_X * UNIT / prompts_X)

    @staticmethod
    def _sums(values: Ints, place: Ints, size: int) -> Ints:
        sums = np.zeros(size, np.int64)
        np.add.at(sums, place, values)
        return sums

    def _reduce(self) -> None:
        rows = np.concatenate(self._rows)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        if len(rows):
            first = np.flatnonzero(np.append(True, (np.diff(rows[:, :2], axis=0) != 0).any(axis=1)))
            rows = np.concatenate([rows[first, :2], np.add.reduceat(rows[:, 2:], first, axis=0)], axis=1)
        self._rows, self._num_waiting = [rows], 0
