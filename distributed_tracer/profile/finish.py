"""Finish: the parts of a profile become its Parquet files, one layer and one range of features after another.

Axes: F feature, I candidate, X bin or range of positions of any feature, Y quantile.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..table_folder import write_parquet
from .activation_bins import BIN_BITS, bins_of, histogram, lower_edges, middles, rank_bins
from .candidates import Candidates
from .counts import ranks_in_runs
from .layer_state import FRACTION_BITS, POSITION_BITS, POSITION_STARTS, LayerState, Sizes, empty_state, merge
from .layout import CONTEXTS, FEATURES, FEATURES_OF_GROUP, Columns, arrow_table, layer_file
from .parts import Part
from .ragged import Ragged

QUANTILES = (0, 100, 250, 500, 750, 900, 950, 990, 999, 1000)
"""Shares of the activations, in thousandths, at which quantiles are given."""
HISTOGRAM_BINS = 40


def finish_layer(folder: Path, layer: int, parts: Sequence[Part], sizes: Sizes, memory_bytes: int) -> int:
    """Write the files of one layer, and return the number of its active features; with none, nothing is written.

    Memory holds the state of a range of features, and this layer's state of one part.
    """
    num_features = 0
    states = list(_ranges(layer, parts, memory_bytes))
    if not states:
        return 0

    def merged() -> Iterator[LayerState]:
        for first, last in states:
            state = empty_state()
            for part in parts:
                if (found := part.state(layer)) is not None:
                    state = merge([state, found.between(first, last)], sizes)
            yield from _in_groups(state)

    path = folder / layer_file(CONTEXTS, layer)
    features: list[Any] = []

    def contexts() -> Iterator[Any]:
        nonlocal num_features
        for state in merged():
            num_features += len(state)
            features.append(arrow_table(feature_columns(layer, state)))
            yield arrow_table(context_columns(state, sizes))

    write_parquet(path, contexts())
    write_parquet(folder / layer_file(FEATURES, layer), iter(features))
    return num_features


def _ranges(layer: int, parts: Sequence[Part], memory_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of features, from a first to one after the last, whose states take about a quarter of the memory."""
    last = 1 + max((part.last_feature(layer) for part in parts), default=-1)
    num_bytes = sum(part.num_bytes(layer) for part in parts)
    count = max(1, -(-4 * num_bytes // memory_bytes))
    borders = [last * number // count for number in range(count + 1)] if last else []
    yield from (pair for pair in itertools.pairwise(borders) if pair[0] < pair[1])


def _in_groups(state: LayerState) -> Iterator[LayerState]:
    for start in range(0, len(state), FEATURES_OF_GROUP):
        feature_F = state.feature_F[start : start + FEATURES_OF_GROUP]
        yield state.between(int(feature_F[0]), int(feature_F[-1]) + 1)


def feature_columns(layer: int, state: LayerState) -> Columns:
    """Return the columns of the file of features. There must be at least one feature."""
    bin_X, start_F = _local(state.bins.key_X, state.feature_F, BIN_BITS)
    count_X = state.bins.count_X
    shown = [_shown(bin_X[a:b].tolist(), count_X[a:b].tolist()) for a, b in itertools.pairwise(start_F)]
    range_X, range_start_F = _local(state.positions.key_X, state.feature_F, POSITION_BITS)
    counts = [_filled(range_X[a:b], state.positions.count_X[a:b]) for a, b in itertools.pairwise(range_start_F)]
    borders = Ragged.of([borders for _, borders in shown], np.int64)
    return {
        "layer": np.full(len(state), layer, dtype=np.int16),
        "feature": state.feature_F,
        "num_active_tokens": state.num_tokens_F,
        "num_active_prompts": state.num_prompts_F,
        "min_activation": state.min_F,
        "max_activation": state.max_F,
        "mean_activation": (state.whole_F + np.ldexp(state.fraction_F.astype(np.float64), -FRACTION_BITS))
        / state.num_tokens_F,
        "quantiles": _rows(quantiles(state)),
        "histogram": Ragged.of([counts for counts, _ in shown], np.int64),
        "bin_edges": Ragged(lower_edges(borders.values_X), borders.indptr),
        "position_starts": Ragged.of([POSITION_STARTS[: len(found)] for found in counts], np.int32),
        "position_counts": Ragged.of(counts, np.int64),
    }


def quantiles(state: LayerState) -> npt.NDArray[np.float32]:
    """Return the quantiles [F, Y] of each feature's activations: the activation of rank ceil(share * count).

    The smallest and the largest are exact; others are the middle of the bin that holds the activation.
    """
    bin_X, start_F = _local(state.bins.key_X, state.feature_F, BIN_BITS)
    rank_FY = np.maximum(1, -(-state.num_tokens_F[:, None] * np.array(QUANTILES) // 1000))
    middle_FY = middles(rank_bins(bin_X, state.bins.count_X, start_F[:-1], rank_FY))
    found_FY = np.clip(middle_FY, state.min_F[:, None], state.max_F[:, None]).astype(np.float32)
    found_FY[:, 0], found_FY[:, -1] = state.min_F, state.max_F
    return found_FY


def context_columns(state: LayerState, sizes: Sizes) -> Columns:
    """Return the columns of the file of contexts."""
    candidates, quantile_I = with_quantiles(state, sizes)
    return {
        "feature": candidates.feature_I,
        "quantile": quantile_I.astype(np.int8),
        "prompt": candidates.prompt_I,
        "position": candidates.position_I,
        "start": candidates.start_I,
        "stop": candidates.stop_I,
        "activation": candidates.activation_I,
        "offsets": Ragged(candidates.span.values_X["offset"].astype(np.int32), candidates.span.indptr),
        "activations": Ragged(candidates.span.values_X["activation"].copy(), candidates.span.indptr),
    }


def with_quantiles(state: LayerState, sizes: Sizes) -> tuple[Candidates, npt.NDArray[np.int64]]:
    """Return the contexts of each feature and the quantile of each, by feature, then quantile, the strongest first.

    Quantile 0 has the strongest. Quantile q from 1 to `intervals` has activations from the share 1 - q / intervals to
    the share 1 - (q - 1) / intervals: of those in the sample, the `per_quantile` with the smallest hashes that are not
    in quantile 0. An activation is in the lower one of two quantiles if it is in the bin of the border between them.
    """
    candidates = state.candidates
    bin_X, start_F = _local(state.bins.key_X, state.feature_F, BIN_BITS)
    share_Y = np.arange(1, sizes.intervals)
    rank_FY = -(-state.num_tokens_F[:, None] * share_Y // sizes.intervals)
    border_FY = rank_bins(bin_X, state.bins.count_X, start_F[:-1], rank_FY)
    row_I = np.searchsorted(state.feature_F, candidates.feature_I)
    above_I = (bins_of(candidates.activation_I)[:, None] > border_FY[row_I]).sum(axis=1)
    quantile_I = np.where(candidates.strongest_I, 0, sizes.intervals - above_I)
    # candidates are in the order of (feature, hash), which a stable sort keeps within each quantile
    order_I = np.argsort(candidates.feature_I.astype(np.int64) << 8 | quantile_I, kind="stable")
    group_I = (candidates.feature_I.astype(np.int64) << 8 | quantile_I)[order_I]
    order_I = order_I[ranks_in_runs(group_I) < sizes.per_quantile]
    keys = (candidates.hash_I, -candidates.activation_I, quantile_I, candidates.feature_I)
    order_I = order_I[np.lexsort([key_I[order_I] for key_I in keys])]
    return candidates.take(order_I), quantile_I[order_I]


def _local(
    key_X: npt.NDArray[np.uint64], feature_F: npt.NDArray[np.int32], bits: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the keys without their features, and where the keys of each feature begin, with the end: [F + 1]."""
    start_F = np.searchsorted(key_X, feature_F.astype(np.uint64) << np.uint64(bits))
    return (key_X & np.uint64((1 << bits) - 1)).astype(np.int64), np.append(start_F, len(key_X))


def _shown(bin_I: list[int], count_I: list[int]) -> tuple[list[int], list[int]]:
    return histogram(bin_I, count_I, HISTOGRAM_BINS)


def _filled(range_X: npt.NDArray[np.int64], count_X: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the counts of all ranges up to the last one that has any."""
    counts = np.zeros(range_X[-1] + 1, dtype=np.int64)
    counts[range_X] = count_X
    return counts


def _rows(values_FY: npt.NDArray[Any]) -> Ragged:
    num_rows, width = values_FY.shape
    return Ragged(values_FY.ravel(), np.arange(num_rows + 1, dtype=np.int64) * width)
