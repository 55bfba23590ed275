"""Chunk: the active features of some texts, and the LayerState that they make.

A place is a position in all texts of the chunk, one after the other. Axes: P position in the chunk, A active feature,
F feature, L layer, I candidate, Y window or run of active tokens of one feature, X active token of several runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..errors import PromptError
from .activation_bins import BIN_BITS, bins_of
from .candidates import ACTIVE_TOKEN, Candidates, Limits, choose
from .counts import Counts, run_starts
from .layer_state import (
    FRACTION_BITS,
    LARGEST_ACTIVATION,
    POSITION_BITS,
    POSITION_STARTS,
    LayerState,
    Sizes,
    carried,
    empty_state,
)
from .ragged import Ragged, ranges
from .sampling_hash import hashes, position_keys

Active = tuple[npt.NDArray[np.integer], npt.NDArray[np.integer], npt.NDArray[np.float32]]
"""Places [A], features [A] and activations [A] of the active features of one layer."""


@dataclass(frozen=True, eq=False)
class Window:
    """A span of a prompt that the model reads at once, without repeated leading tokens.

    `first` is the position of its first token in the prompt, and `depth` that in what the model reads.
    """

    number: int
    """Number of the prompt."""
    piece: int
    """Number of the piece of the prompt; pieces count as prompts of their own."""
    prompt_id: str
    first: int
    depth: int
    num_tokens: int
    active_L: tuple[Active, ...]
    """Active features of each layer; places count the tokens of the window."""

    @property
    def num_active(self) -> int:
        """Number of active features of all layers and tokens."""
        return sum(len(feature_A) for _, feature_A, _ in self.active_L)


def check_activations(layer: int, activation_A: npt.NDArray[np.float32]) -> None:
    """Raise PromptError for activations that are NaN, infinite or beyond all measure."""
    if len(activation_A) and not np.abs(activation_A).max() < LARGEST_ACTIVATION:
        raise PromptError(
            f"activations of layer {layer} are not finite, or larger than {LARGEST_ACTIVATION:.0e}, on this prompt; "
            "try --forward-dtype float32"
        )


class Chunk:
    """The tokens of some windows: their places, and what is known of each."""

    def __init__(self, windows: list[Window], radius: int, seed: int) -> None:
        self._windows = windows
        size_Y = np.array([window.num_tokens for window in windows])
        self._stop_Y = np.cumsum(size_Y)
        self._start_Y = self._stop_Y - size_Y
        self._window_P = np.repeat(np.arange(len(windows)), size_Y)
        offset_P = np.arange(size_Y.sum()) - self._start_Y[self._window_P]
        self._position_P = offset_P + np.array([window.first for window in windows])[self._window_P]
        depth_P = offset_P + np.array([window.depth for window in windows])[self._window_P]
        self._range_P = np.searchsorted(POSITION_STARTS, depth_P, side="right") - 1
        self._prompt_P = np.array([window.number for window in windows])[self._window_P]
        pieces = [(window.number, window.piece) for window in windows]
        self._piece_Y = np.cumsum([a != b for a, b in zip(pieces, [None, *pieces], strict=False)])
        positions = np.split(self._position_P, self._stop_Y[:-1])
        keys = [position_keys(seed, window.prompt_id, p) for window, p in zip(windows, positions, strict=True)]
        self._key_P, self._radius = np.concatenate(keys), radius

    def state(self, layer: int, limits: Limits, sizes: Sizes) -> LayerState:
        """Return the state of one layer after the texts of this chunk.

        Active tokens beyond `limits` are no candidates.
        """
        parts = [window.active_L[layer] for window in self._windows]
        feature_A = np.concatenate([feature_A for _, feature_A, _ in parts])
        if not len(feature_A):
            return empty_state()
        place_A = np.concatenate([place + start for (place, _, _), start in zip(parts, self._start_Y, strict=True)])
        activation_A = np.concatenate([activation_A for _, _, activation_A in parts])
        site_A = feature_A.astype(np.uint64) << np.uint64(32) | place_A.astype(np.uint64)
        order_A = np.argsort(site_A)
        site_A, feature_A, place_A = site_A[order_A], feature_A[order_A], place_A[order_A]
        activation_A = activation_A[order_A]
        start_F = run_starts(feature_A)
        prompt_start_Y = run_starts(feature_A.astype(np.int64) << 32 | self._piece_Y[self._window_P[place_A]])
        whole_A = np.floor(activation_A)
        rest_A = activation_A.astype(np.float64) - whole_A
        fraction_A = np.rint(np.ldexp(rest_A, FRACTION_BITS)).astype(np.int64)
        key_A = feature_A.astype(np.uint64)
        return LayerState(
            feature_A[start_F].astype(np.int32),
            np.diff(start_F, append=len(feature_A)),
            np.diff(np.searchsorted(prompt_start_Y, start_F), append=len(prompt_start_Y)),
            np.minimum.reduceat(activation_A, start_F),
            np.maximum.reduceat(activation_A, start_F),
            *carried(np.add.reduceat(whole_A.astype(np.int64), start_F), np.add.reduceat(fraction_A, start_F)),
            Counts.of(key_A << np.uint64(BIN_BITS) | bins_of(activation_A)),
            Counts.of(key_A << np.uint64(POSITION_BITS) | self._range_P[place_A].astype(np.uint64)),
            self._candidates(layer, site_A, feature_A, place_A, activation_A, limits, sizes),
        )

    def _candidates(
        self,
        layer: int,
        site_A: npt.NDArray[np.uint64],
        feature_A: npt.NDArray[np.integer],
        place_A: npt.NDArray[np.integer],
        activation_A: npt.NDArray[np.float32],
        limits: Limits,
        sizes: Sizes,
    ) -> Candidates:
        """Return the chosen candidates among active features in the order of (feature, place)."""
        limits = limits.extended(int(feature_A[-1]) + 1)
        hash_A = hashes(layer, feature_A, self._key_P[place_A])
        sampled_A = hash_A <= limits.hash_F[feature_A]
        strongest_A = self._peaks(feature_A, place_A, activation_A, limits)
        index_I = np.flatnonzero(sampled_A | strongest_A)
        place_I = place_A[index_I]
        start_I = np.maximum(place_I - self._radius, self._start_Y[self._window_P[place_I]])
        stop_I = np.minimum(place_I + self._radius + 1, self._stop_Y[self._window_P[place_I]])
        found = choose(
            Candidates(
                feature_A[index_I].astype(np.int32),
                activation_A[index_I],
                hash_A[index_I],
                self._prompt_P[place_I].astype(np.int32),
                place_I.astype(np.int32),
                start_I.astype(np.int32),
                stop_I.astype(np.int32),
                strongest_A[index_I],
                sampled_A[index_I],
                Ragged(np.empty(0, dtype=ACTIVE_TOKEN), np.zeros(len(index_I) + 1, dtype=np.int64)),
            ),
            sizes.per_quantile,
            sizes.sample,
        )
        return self._with_spans(found, site_A, place_A, activation_A)

    def _peaks(
        self,
        feature_A: npt.NDArray[np.integer],
        place_A: npt.NDArray[np.integer],
        activation_A: npt.NDArray[np.float32],
        limits: Limits,
    ) -> npt.NDArray[np.bool_]:
        """Return a mask [A] of the strongest token of each feature in each window, unless it is below the limit."""
        start_Y = run_starts(feature_A.astype(np.int64) << 32 | self._window_P[place_A])
        max_Y = np.maximum.reduceat(activation_A, start_Y)
        size_Y = np.diff(start_Y, append=len(feature_A))
        wanted_Y = np.flatnonzero(max_Y >= limits.activation_F[feature_A[start_Y]])
        index_X, indptr = ranges(start_Y[wanted_Y], start_Y[wanted_Y] + size_Y[wanted_Y])
        run_X = np.repeat(wanted_Y, np.diff(indptr))
        is_peak_X = activation_A[index_X] == max_Y[run_X]
        index_X, run_X = index_X[is_peak_X], run_X[is_peak_X]
        mask_A = np.zeros(len(feature_A), dtype=bool)
        mask_A[index_X[run_starts(run_X)]] = True
        return mask_A

    def _with_spans(
        self,
        found: Candidates,
        site_A: npt.NDArray[np.uint64],
        place_A: npt.NDArray[np.integer],
        activation_A: npt.NDArray[np.float32],
    ) -> Candidates:
        """Return candidates whose positions are places with the active tokens around them, and with true positions."""
        base_I = found.feature_I.astype(np.uint64) << np.uint64(32)
        low_I, high_I = (
            np.searchsorted(site_A, base_I | place_I.astype(np.uint64)) for place_I in (found.start_I, found.stop_I)
        )
        index_X, indptr = ranges(low_I, high_I)
        active_X = np.empty(len(index_X), dtype=ACTIVE_TOKEN)
        active_X["offset"] = place_A[index_X] - np.repeat(found.start_I, np.diff(indptr))
        active_X["activation"] = activation_A[index_X]
        shift_I = (self._position_P[found.position_I] - found.position_I).astype(np.int32)
        return replace(
            found,
            position_I=found.position_I + shift_I,
            start_I=found.start_I + shift_I,
            stop_I=found.stop_I + shift_I,
            span=Ragged(active_X, indptr),
        )
