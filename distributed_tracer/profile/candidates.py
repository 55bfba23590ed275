"""Candidates: the active tokens of each feature that may become its contexts, chosen so that choices can be merged.

Of each feature two choices are kept. The *strongest*: the `per_quantile` windows with the highest activation, each at
its strongest token (the first one of equal ones); of windows with equal activation, those with the smaller hash. The
*sample*: the `sample` active tokens with the smallest hashes. Both are choices of the smallest by one order, so the
choice from a union is the choice from the union of the choices, exactly.

Axes: I candidate, F feature, X active token in the span of any candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .counts import ranks_in_runs, run_starts
from .ragged import Ragged, concatenate

ACTIVE_TOKEN = np.dtype([("offset", "<i2"), ("activation", "<f4")])
"""An active token of a span: its place in it, from 0, and the feature's activation."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Active tokens of features of one layer, ascending by feature, and the spans of text around them.

    `span` has the tokens of the span at which the feature is active, as ACTIVE_TOKEN. Positions count the tokens
    of the prompt.
    """

    feature_I: npt.NDArray[np.int32]
    activation_I: npt.NDArray[np.float32]
    hash_I: npt.NDArray[np.uint64]
    prompt_I: npt.NDArray[np.int32]
    position_I: npt.NDArray[np.int32]
    start_I: npt.NDArray[np.int32]
    stop_I: npt.NDArray[np.int32]
    strongest_I: npt.NDArray[np.bool_]
    sampled_I: npt.NDArray[np.bool_]
    span: Ragged

    @classmethod
    def none(cls) -> Candidates:
        """Return no candidates."""
        kinds = (*("<i4", "<f4", "<u8"), *("<i4",) * 4, "?", "?")
        span = Ragged(np.empty(0, dtype=ACTIVE_TOKEN), np.zeros(1, dtype=np.int64))
        arrays: dict[str, Any] = dict(zip(COLUMNS, (np.empty(0, dtype=kind) for kind in kinds), strict=True))
        return cls(**arrays, span=span)

    def __len__(self) -> int:
        return len(self.feature_I)

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays."""
        return self.span.num_bytes + sum(int(getattr(self, name).nbytes) for name in COLUMNS)

    def take(self, index_I: npt.NDArray[np.intp]) -> Candidates:
        """Return the candidates at `index_I`."""
        arrays = {name: getattr(self, name)[index_I] for name in COLUMNS}
        return Candidates(**arrays, span=self.span.take(index_I))

    def between(self, first: int, last: int) -> Candidates:
        """Return the candidates of the features from `first` to `last - 1`."""
        low, high = np.searchsorted(self.feature_I, [first, last]).tolist()
        arrays = {name: getattr(self, name)[low:high] for name in COLUMNS}
        return Candidates(**arrays, span=self.span.slice(low, high))


COLUMNS = tuple(entry.name for entry in fields(Candidates) if entry.name != "span")
"""Names of the columns that have one value for each candidate."""


@dataclass(frozen=True, eq=False)
class Limits:
    """What a further active token must be at least in order to become a candidate, by feature number.

    Features from the arrays' length on accept all.
    """

    activation_F: npt.NDArray[np.float32]
    hash_F: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, candidates: Candidates, per_quantile: int, sample: int) -> Limits:
        """Return the limits that chosen candidates set: the last of each choice that is full."""
        num_features = int(candidates.feature_I[-1]) + 1 if len(candidates) else 0
        activation_F = np.full(num_features, -np.inf, dtype=np.float32)
        hash_F = np.full(num_features, np.iinfo(np.uint64).max)
        for mask_I, number, limit_F, value_I, reduce in (
            (candidates.strongest_I, per_quantile, activation_F, candidates.activation_I, np.minimum),
            (candidates.sampled_I, sample, hash_F, candidates.hash_I, np.maximum),
        ):
            feature_I = candidates.feature_I[mask_I]
            start_X = run_starts(feature_I)
            if len(start_X):
                is_full = np.diff(start_X, append=len(feature_I)) >= number
                limit_F[feature_I[start_X[is_full]]] = reduce.reduceat(value_I[mask_I], start_X)[is_full]
        return cls(activation_F, hash_F)

    def extended(self, num_features: int) -> Limits:
        """Return the limits of at least `num_features` features."""
        missing = max(0, num_features - len(self.activation_F))
        return Limits(
            np.append(self.activation_F, np.full(missing, -np.inf, dtype=np.float32)),
            np.append(self.hash_F, np.full(missing, np.iinfo(np.uint64).max)),
        )


def choose(candidates: Candidates, per_quantile: int, sample: int) -> Candidates:
    """Return the candidates that are in one of the two choices, ascending by feature, then by hash."""
    order_I = _by_hash(candidates)
    feature_I, activation_I = candidates.feature_I[order_I], candidates.activation_I[order_I]
    sampled_I, strongest_I = candidates.sampled_I[order_I], candidates.strongest_I[order_I]
    place_X = np.flatnonzero(sampled_I)
    sampled_I[place_X[ranks_in_runs(feature_I[place_X]) >= sample]] = False
    place_X = np.flatnonzero(strongest_I)
    place_X = place_X[np.lexsort((-activation_I[place_X], feature_I[place_X]))]
    strongest_I[place_X[ranks_in_runs(feature_I[place_X]) >= per_quantile]] = False
    kept_I = np.flatnonzero(sampled_I | strongest_I)
    chosen = candidates.take(order_I[kept_I])
    return replace(chosen, sampled_I=sampled_I[kept_I], strongest_I=strongest_I[kept_I])


def _by_hash(candidates: Candidates) -> npt.NDArray[np.intp]:
    """Return the order by (feature, hash); of equal hashes, which are very rare, by prompt and position.

    The part of the key that fits into one integer is sorted first, and by the algorithm that is fast for a few sorted
    parts, which is what states consist of.
    """
    key_I = (candidates.feature_I.astype(np.uint64) << np.uint64(32)) | (candidates.hash_I >> np.uint64(32))
    order_I = np.argsort(key_I, kind="stable")
    ordered_I = key_I[order_I]
    is_equal_I = np.concatenate([[False], ordered_I[1:] == ordered_I[:-1], [False]])
    tied_X = np.flatnonzero(is_equal_I[1:] | is_equal_I[:-1])
    if len(tied_X):
        index_X = order_I[tied_X]
        rest = (candidates.position_I[index_X], candidates.prompt_I[index_X], candidates.hash_I[index_X])
        order_I[tied_X] = index_X[np.lexsort((*rest, key_I[index_X]))]
    return order_I


def join(parts: Sequence[Candidates]) -> Candidates:
    """Return the candidates of all parts, one part after the other; there must be at least one part."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return Candidates(**arrays, span=concatenate([part.span for part in parts]))
