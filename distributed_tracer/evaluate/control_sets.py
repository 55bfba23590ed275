"""Control sets: random sets of a prompt's active features that match a given set in size, layers and activations.

A prompt's active features are divided into strata: those of one layer, in order of their largest activation, in groups
of at least `STRATUM`. A control has as many features of each stratum as the given set has. It is any such set with
equal probability, and may share features with the given set. So a set that was itself drawn at random has every rank
among its controls with equal probability. Controls that avoid the given set do not have this property: if one feature
of ten does everything, a random set has it in a tenth of all cases, and then beats all sets that avoid it.

Control number n prefers the same features in every prompt: a hash orders all features for it, and of each stratum it
takes the first. So the effects of a control differ as little between prompts as those of a finding, which is the same
set in all of them.

Axes: F feature of a prompt, A active feature at a position, Y control, X feature of a set or a stratum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..graph.nodes import ActiveTable
from .hypotheses import FeatureSite

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
STRATUM = 40
"""Least number of features of a stratum, unless the layer has fewer: a single feature that has the largest effect of
its stratum in every prompt has a p-value of about 1/40, or less in longer prompts."""
_ODD, _FIRST, _SECOND = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True, eq=False)
class PromptFeatures:
    """The distinct active features of a prompt, each with the rows of the active table that it has."""

    active: ActiveTable
    row_A: Ints
    """Number of the feature of each row of the active table."""
    layer_F: Ints
    feature_F: Ints
    stratum_F: Ints

    @classmethod
    def of(cls, active: ActiveTable) -> PromptFeatures:
        """Return the features of a prompt, in strata."""
        key_A = (active.layer_A.astype(np.int64) << 32) | active.feature_A.astype(np.int64)
        key_F, row_A = np.unique(key_A, return_inverse=True)
        largest_F = np.zeros(len(key_F), dtype=np.float32)
        np.maximum.at(largest_F, row_A, active.activation_A)
        layer_F = key_F >> 32
        return cls(active, row_A, layer_F, key_F & 0xFFFFFFFF, _strata(layer_F, largest_F))

    def numbers(self, off: tuple[FeatureSite, ...]) -> Ints:
        """Return the numbers of those of some features that are active, ascending."""
        wanted = np.array([(layer << 32) | feature for layer, feature in off], dtype=np.int64)
        return np.flatnonzero(np.isin((self.layer_F << 32) | self.feature_F, wanted))

    def controls(self, chosen_X: Ints, count: int, seed: int) -> list[Ints]:
        """Return `count` control sets for the features with the numbers `chosen_X`, each ascending."""
        parts = []
        for stratum, size in zip(*np.unique(self.stratum_F[chosen_X], return_counts=True), strict=True):
            own_X = np.flatnonzero(self.stratum_F == stratum)
            order_YX = _priorities(self.layer_F[own_X], self.feature_F[own_X], count, seed).argsort(1, kind="stable")
            parts.append(own_X[order_YX[:, :size]])
        drawn = np.sort(np.concatenate(parts, axis=1), axis=1)
        return list(drawn)


def _strata(layer_F: Ints, largest_F: npt.NDArray[np.float32]) -> Ints:
    """Return a number for the layer and the group of activations of each feature."""
    stratum_F, used = np.zeros(len(layer_F), dtype=np.int64), 0
    for layer in np.unique(layer_F):
        own_X = np.flatnonzero(layer_F == layer)
        ordered_X = own_X[np.argsort(largest_F[own_X], kind="stable")]
        for group_X in np.array_split(ordered_X, max(1, len(own_X) // STRATUM)):
            stratum_F[group_X] = used
            used += 1
    return stratum_F


def _priorities(layer_X: Ints, feature_X: Ints, count: int, seed: int) -> Words:
    """Return a random number [Y, X] for each feature and each control that depends on nothing else but the seed."""
    key_X = _mixed((layer_X.astype(np.uint64) << np.uint64(32)) | feature_X.astype(np.uint64))
    key_Y = _mixed(np.arange(count, dtype=np.uint64) + _mixed(np.array([seed], dtype=np.uint64)))
    return _mixed(key_X[None, :] ^ key_Y[:, None])


def _mixed(words: Words) -> Words:
    """Return well-mixed bits of each word: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    words = words + _ODD  # arrays of unsigned integers wrap around
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed
