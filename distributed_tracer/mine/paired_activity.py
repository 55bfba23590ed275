"""Paired activity: the features of one of two stores over the sites that both have, and of which of them data can say
anything.

Axes: A active feature, Y cluster, F feature that is active somewhere, I site of both stores, X prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..errors import ConfigError
from ..text import counted
from .activity import Activity
from .character_spans import NO_SEGMENT
from .paired_prompts import PairedPrompts
from .prompts import ChosenPrompts

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_BYTES_OF_ROW = 64
"""Bytes that an active feature takes in memory, in all copies."""


@dataclass(frozen=True, eq=False)
class SideActivity:
    """The features of one store that are active at common sites, by layer, then by index."""

    layer_F: Ints
    feature_F: Ints
    activation: csr_array
    """Activation of each feature at each site [I, F]."""
    clusters_F: Ints
    """Clusters in which it is active; without a named field each prompt is one."""
    varying_F: Ints
    """Templates with a position at which its activation is not the same in all prompts; all prompts are one template
    without a named field."""

    def __len__(self) -> int:
        return len(self.layer_F)

    @cached_property
    def num_sites_F(self) -> Ints:
        """Number of sites at which each feature is active."""
        return np.bincount(self.activation.indices, minlength=len(self)).astype(np.int64)

    def is_known(self, min_clusters: int) -> npt.NDArray[np.bool_]:
        """Return whether the data can say anything of each feature: it is active in enough clusters, and something
        else than template and position decides where."""
        known: npt.NDArray[np.bool_] = (self.clusters_F >= min_clusters) & (self.varying_F > 0)
        return known

    def in_clusters(self, pairs: PairedPrompts) -> csr_array:
        """Return 1 for each feature that is active in a prompt of a cluster [clusters, F]."""
        entries = self.activation.tocoo()
        rank_I = np.repeat(np.arange(len(pairs)), pairs.num_sites_X)
        found = csr_array(
            (np.ones(len(entries.row), np.int64), (pairs.clusters.number_I[rank_I[entries.row]], entries.col)),
            shape=(len(pairs.clusters), len(self)),
        )
        found.data[:] = 1
        return found

    def clusters_at(self, pairs: PairedPrompts, is_chosen_Y: npt.NDArray[np.bool_]) -> Ints:
        """Return in how many of some clusters each feature is active."""
        return np.asarray(self.in_clusters(pairs)[np.flatnonzero(is_chosen_Y)].sum(axis=0)).astype(np.int64)

    def only(self, columns: npt.NDArray[np.intp]) -> csr_array:
        """Return the activations of some features [I, columns]."""
        return csr_array(self.activation[:, columns])


def read_activity(pairs: PairedPrompts, side: str, memory_gb: float) -> SideActivity:
    """Return the features of store `a` or `b` over common sites.

    Where several tokens of a store belong to one site, the activation farthest from 0 counts. Raises ConfigError for
    prompts without active features, and if the features need more than `memory_gb` (10^9 bytes).
    """
    prompts: ChosenPrompts = getattr(pairs, side)
    site_of = pairs.site_of_a if side == "a" else pairs.site_of_b
    found = []
    with TemporaryDirectory(prefix="universality-") as folder:
        Activity.write(prompts, Path(folder), prompts.store.num_layers, memory_gb)
        activity = Activity(prompts, Path(folder))
        if activity.num_rows * _BYTES_OF_ROW > memory_gb * 1e9:
            raise ConfigError(
                f"{counted(activity.num_rows, 'active feature')} of {prompts.store.url} need --memory-gb "
                f"{activity.num_rows * _BYTES_OF_ROW / 1e9:.2g}, not {memory_gb:g}; or choose fewer prompts with "
                "--where"
            )
        for layer in range(activity.num_layers):
            own = activity.layer(layer)
            site_A = site_of[own.site_A]
            kept = site_A != NO_SEGMENT
            found.append(
                (
                    np.full(int(kept.sum()), layer),
                    own.feature_F[own.column_A][kept],
                    site_A[kept],
                    own.activation_A[kept],
                )
            )
    layer_A, feature_A, site_A, activation_A = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return _side(pairs, layer_A.astype(np.int64), feature_A.astype(np.int64), site_A, activation_A)


def _side(pairs: PairedPrompts, layer_A: Ints, feature_A: Ints, site_A: Ints, activation_A: Floats) -> SideActivity:
    code_A = layer_A << 32 | feature_A
    order = np.lexsort((-np.abs(activation_A), site_A, code_A))
    code_A, site_A, activation_A = code_A[order], site_A[order], activation_A[order]
    first = np.append(True, (np.diff(code_A) != 0) | (np.diff(site_A) != 0))[: len(code_A)]
    first &= activation_A != 0
    code_A, site_A, activation_A = code_A[first], site_A[first], activation_A[first]
    code_F, column_A = np.unique(code_A, return_inverse=True)
    num_sites, size = int(pairs.num_sites_X.sum()), len(code_F)
    rank_I = np.repeat(np.arange(len(pairs)), pairs.num_sites_X)
    position_I = np.arange(num_sites) - (np.cumsum(pairs.num_sites_X) - pairs.num_sites_X)[rank_I]
    cell_I = pairs.template_X[rank_I] * int(pairs.num_sites_X.max(initial=1)) + position_I
    in_cluster = np.unique(column_A * len(pairs.clusters) + pairs.clusters.number_I[rank_I[site_A]])
    matrix = csr_array((activation_A, (site_A, column_A)), shape=(num_sites, size))
    return SideActivity(
        code_F >> 32,
        code_F & ((1 << 32) - 1),
        matrix,
        np.bincount(in_cluster // len(pairs.clusters), minlength=size).astype(np.int64),
        _varying(
            column_A, cell_I[site_A], activation_A, np.bincount(cell_I), int(pairs.num_sites_X.max(initial=1)), size
        ),
    )


def _varying(
    column_A: Ints, cell_A: Ints, activation_A: Floats, sites_of_cell: Ints, num_positions: int, num_features: int
) -> Ints:
    """Return in how many templates each feature is not the same at all sites of some cell: template and position."""
    if not len(column_A):
        return np.zeros(num_features, dtype=np.int64)
    order = np.lexsort((cell_A, column_A))
    column_A, cell_A, activation_A = column_A[order], cell_A[order], activation_A[order]
    first = np.flatnonzero(np.append(True, (np.diff(column_A) != 0) | (np.diff(cell_A) != 0)))
    number = np.diff(np.append(first, len(column_A)))
    varies = np.maximum.reduceat(activation_A, first) > np.minimum.reduceat(activation_A, first)
    varies |= number < sites_of_cell[cell_A[first]]
    own = np.unique(np.stack([column_A[first], cell_A[first] // num_positions])[:, varies], axis=1)
    return np.bincount(own[0], minlength=num_features).astype(np.int64)
