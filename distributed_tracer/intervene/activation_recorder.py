"""ActivationRecorder: collects, layer by layer, every feature that is active in a pass over several prompts.

Axes: B row of a batch (a prompt), P position, D model width, A active feature, I feature that is set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from ..graph.nodes import ActiveTable
from ..transcoder.base import Transcoders

FeaturePosition = tuple[int, int, int]
"""Where a feature is: (layer, position, feature)."""


class ActivationRecorder:
    """A LayerObserver that encodes the inputs it receives and keeps the active features."""

    def __init__(self, transcoders: Transcoders) -> None:
        self._transcoders = transcoders
        self._found: list[tuple[np.ndarray, ...]] = []

    def __call__(self, layer: int, x_BPD: Tensor) -> None:
        if layer == self._transcoders.shape.num_layers:
            return  # the final norm's output
        flat, feature_A, activation_A = self._transcoders.encode(layer, x_BPD.flatten(0, 1))
        row_A, position_A = np.divmod(flat.numpy(force=True), x_BPD.shape[1])
        layer_A = np.full(len(row_A), layer, dtype=np.int16)
        activation = activation_A.float().numpy(force=True)
        self._found.append((row_A, layer_A, position_A, feature_A.numpy(force=True), activation))

    def tables(
        self, spans_B: Sequence[range], values_B: Sequence[Mapping[FeaturePosition, float]]
    ) -> list[ActiveTable]:
        """Return one table of active features per prompt, limited to the positions of its span.

        Features that were set to `values_B` are listed with those values.
        """
        row_A, *columns = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        return [
            _with_values([column_A[row_A == row] for column_A in columns], span, values)
            for row, (span, values) in enumerate(zip(spans_B, values_B, strict=True))
        ]


def _with_values(columns: Sequence[np.ndarray], span: range, values: Mapping[FeaturePosition, float]) -> ActiveTable:
    layer_A, position_A, feature_A, activation_A = columns
    is_set_A = np.array([site in values for site in zip(*map(np.ndarray.tolist, columns[:3]), strict=True)], dtype=bool)
    kept_A = (position_A >= span.start) & (position_A < span.stop) & ~is_set_A
    fires = [(*site, value) for site, value in values.items() if value != 0]
    layer_I, position_I, feature_I, value_I = zip(*fires, strict=True) if fires else ((), (), (), ())
    layer_A = np.append(layer_A[kept_A], np.array(layer_I, np.int16))
    position_A = np.append(position_A[kept_A], np.array(position_I, np.int32)).astype(np.int32)
    feature_A = np.append(feature_A[kept_A], np.array(feature_I, np.int32)).astype(np.int32)
    activation_A = np.append(activation_A[kept_A], np.array(value_I, np.float32)).astype(np.float32)
    return ActiveTable(layer_A.astype(np.int16), position_A, feature_A, activation_A).take(
        np.lexsort((feature_A, position_A, layer_A))
    )
