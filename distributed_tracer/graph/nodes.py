"""NodeTable: what each row and column of a graph stands for, in the canonical order.

The order is: features by (layer, position, index), errors by (layer, position), tokens by position, targets.
Axes: N node, A active feature, P position, S feature of the dictionary, K target.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from ..text import counted


class NodeKind(IntEnum):
    """The kind of a node."""

    FEATURE = 0
    ERROR = 1
    TOKEN = 2
    TARGET = 3


@dataclass(frozen=True, eq=False)
class ActiveTable:
    """Every active feature of a prompt, sorted by (layer, position, index), without those of zeroed positions."""

    layer_A: npt.NDArray[np.int16]
    position_A: npt.NDArray[np.int32]
    feature_A: npt.NDArray[np.int32]
    activation_A: npt.NDArray[np.float32]
    computed_A: npt.NDArray[np.bool_] | None = None
    """Whether the row of the feature was computed, in which case pruning alone decided whether it is a node. None if
    that is not known: the graph was imported, or stored by an early version or without its active features."""

    def __repr__(self) -> str:
        return f"<ActiveTable: {counted(len(self), 'active feature')} of layers {_span(self.layer_A)}>"

    def __len__(self) -> int:
        return len(self.layer_A)

    def take(self, index: npt.NDArray[np.int64]) -> ActiveTable:
        """Return the table of the features at `index`."""
        computed_A = None if self.computed_A is None else self.computed_A[index]
        return ActiveTable(
            self.layer_A[index], self.position_A[index], self.feature_A[index], self.activation_A[index], computed_A
        )

    def activation(self, layer: int, position: int, feature: int) -> float:
        """Return the activation of one feature at one position; 0 if the feature is not active there."""
        found = (self.layer_A == layer) & (self.position_A == position) & (self.feature_A == feature)
        return float(self.activation_A[found].sum())

    def dense(self, layer: int, num_positions: int, num_features: int) -> npt.NDArray[np.float32]:
        """Return the activations [P, S] of one layer's features at every position, in float32."""
        dense_PS = np.zeros((num_positions, num_features), dtype=np.float32)
        here = self.layer_A == layer
        dense_PS[self.position_A[here], self.feature_A[here]] = self.activation_A[here]
        return dense_PS


@dataclass(frozen=True, eq=False)
class NodeTable:
    """The nodes of one graph.

    `layer_N` is -1 for tokens and the number of layers for targets. `feature_N` is the index of a feature in its
    transcoder, -1 for errors, the token id for tokens, and the number of the target for targets. `activation_N` is NaN
    for every node that is not a feature.
    """

    kind_N: npt.NDArray[np.uint8]
    layer_N: npt.NDArray[np.int16]
    position_N: npt.NDArray[np.int32]
    feature_N: npt.NDArray[np.int32]
    activation_N: npt.NDArray[np.float32]

    def __repr__(self) -> str:
        return f"<NodeTable: {', '.join(counted(len(self.where(kind)), kind.name.lower()) for kind in NodeKind)}>"

    def __len__(self) -> int:
        return len(self.kind_N)

    def take(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> NodeTable:
        """Return the table of the nodes at `index`, which may be a mask."""
        return NodeTable(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def where(self, kind: NodeKind) -> npt.NDArray[np.intp]:
        """Return the numbers of all nodes of one kind, ascending."""
        return np.flatnonzero(self.kind_N == kind)

    @classmethod
    def build(
        cls,
        features: ActiveTable,
        num_layers: int,
        tokens_P: npt.NDArray[np.int32],
        target_positions_K: npt.NDArray[np.int32],
    ) -> NodeTable:
        """Return the nodes of one prompt: its features, which must be in order, and every error, token and target."""
        num_positions, num_targets = len(tokens_P), len(target_positions_K)
        error_layer = np.repeat(np.arange(num_layers), num_positions)
        every_position = np.arange(num_positions)
        counts = (len(features), len(error_layer), num_positions, num_targets)
        return cls(
            kind_N=np.repeat(np.array(list(NodeKind), dtype=np.uint8), counts),
            layer_N=np.concatenate(
                [features.layer_A, error_layer, np.full(num_positions, -1), np.full(num_targets, num_layers)]
            ).astype(np.int16),
            position_N=np.concatenate(
                [features.position_A, np.tile(every_position, num_layers), every_position, target_positions_K]
            ).astype(np.int32),
            feature_N=np.concatenate(
                [features.feature_A, np.full(len(error_layer), -1), tokens_P, np.arange(num_targets)]
            ).astype(np.int32),
            activation_N=np.concatenate(
                [features.activation_A, np.full(sum(counts[1:]), np.nan, dtype=np.float32)]
            ).astype(np.float32),
        )


def _span(layers: npt.NDArray[np.int16]) -> str:
    return f"{layers.min()} to {layers.max()}" if len(layers) else "(none)"
