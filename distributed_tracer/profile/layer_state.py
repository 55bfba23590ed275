"""LayerState: what is known of the features of one layer after some of the texts; states of disjoint texts add up.

Nothing in a state depends on the order in which texts were examined, nor on how they were divided: counts are integers,
sums of activations are kept as integers too, and contexts are chosen as `candidates` says.

Axes: F feature that is active, ascending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .activation_bins import BIN_BITS
from .candidates import Candidates, choose, join
from .counts import Counts, add, run_starts

FRACTION_BITS = 40
LARGEST_ACTIVATION = 2.0**40
"""Bound of activations, so that the sum of those of one chunk of texts is an exact integer of 2^-40."""
POSITION_BITS = 6
POSITION_STARTS = np.array([0, 1, 2, 3, *(half << n for n in range(1, 20) for half in (2, 3))], dtype=np.int64)
"""First positions of the ranges by which active tokens are counted: 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, ..."""


@dataclass(frozen=True)
class Sizes:
    """How many contexts are kept of each feature: `per_quantile` in each of `intervals` and of the strongest."""

    per_quantile: int = 4
    intervals: int = 4

    @property
    def sample(self) -> int:
        """Number of active tokens in the sample from which the contexts of the intervals are taken.

        With three times as many as are wanted, an interval gets fewer contexts than wanted once in 1,300 times.
        """
        return 3 * self.per_quantile * self.intervals


@dataclass(frozen=True, eq=False)
class LayerState:
    """Counts, sums and candidates of the active features of one layer."""

    feature_F: npt.NDArray[np.int32]
    num_tokens_F: npt.NDArray[np.int64]
    num_prompts_F: npt.NDArray[np.int64]
    min_F: npt.NDArray[np.float32]
    max_F: npt.NDArray[np.float32]
    whole_F: npt.NDArray[np.int64]
    """Sum of the activations, rounded down; `fraction_F` is what it lacks, in units of 2^-40."""
    fraction_F: npt.NDArray[np.int64]
    bins: Counts
    """Number of activations by feature and bin: the key is `feature << BIN_BITS | bin`."""
    positions: Counts
    """Number of active tokens by feature and range of positions: `feature << POSITION_BITS | range`."""
    candidates: Candidates

    def __len__(self) -> int:
        return len(self.feature_F)

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays."""
        others = self.bins.num_bytes + self.positions.num_bytes + self.candidates.num_bytes
        return others + len(self) * (4 + 8 + 8 + 4 + 4 + 8 + 8)

    def between(self, first: int, last: int) -> LayerState:
        """Return the state of the features from `first` to `last - 1`."""
        part = slice(*np.searchsorted(self.feature_F, [first, last]).tolist())
        return LayerState(
            **{name: getattr(self, name)[part] for name in COLUMNS},
            bins=self.bins.between(first << BIN_BITS, last << BIN_BITS),
            positions=self.positions.between(first << POSITION_BITS, last << POSITION_BITS),
            candidates=self.candidates.between(first, last),
        )


COLUMNS = ("feature_F", "num_tokens_F", "num_prompts_F", "min_F", "max_F", "whole_F", "fraction_F")
_REDUCE = (np.add, np.add, np.minimum, np.maximum, np.add, np.add)


def merge(states: Sequence[LayerState], sizes: Sizes) -> LayerState:
    """Return the state of all texts of `states`, which must have no text in common; at least one."""
    if len(states) == 1:
        return states[0]
    feature_F = np.concatenate([state.feature_F for state in states])
    order_F = np.argsort(feature_F, kind="stable")
    start_F = run_starts(feature_F[order_F])
    merged: dict[str, Any] = {"feature_F": feature_F[order_F][start_F]}
    for name, reduce in zip(COLUMNS[1:], _REDUCE, strict=True):
        column_F = np.concatenate([getattr(state, name) for state in states])[order_F]
        merged[name] = reduce.reduceat(column_F, start_F) if len(start_F) else column_F
    merged["whole_F"], merged["fraction_F"] = carried(merged["whole_F"], merged["fraction_F"])
    candidates = choose(join([state.candidates for state in states]), sizes.per_quantile, sizes.sample)
    return LayerState(
        **merged,
        bins=add([state.bins for state in states]),
        positions=add([state.positions for state in states]),
        candidates=candidates,
    )


def carried(
    whole_F: npt.NDArray[np.int64], fraction_F: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return a sum with its fraction less than 1."""
    return whole_F + (fraction_F >> FRACTION_BITS), fraction_F & ((1 << FRACTION_BITS) - 1)


def empty_state() -> LayerState:
    """Return the state before any text."""
    ints, floats = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    return LayerState(
        ints.astype(np.int32), ints, ints, floats, floats, ints, ints, no_counts(), no_counts(), Candidates.none()
    )


def no_counts() -> Counts:
    """Return counts without any key."""
    return Counts(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64))
