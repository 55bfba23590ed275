"""Encode a prompt: which features are active, what they write, and which errors remain.

Axes: A active feature, L layer, P position, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..graph.nodes import ActiveTable
from ..model.forward_cache import ForwardCache
from ..model.model import Model
from ..plan.machine import free_bytes_of
from ..transcoder.base import Transcoders
from .column_layout import ColumnLayout, Tiling
from .device import to_device_async
from .source_vectors import SourceVectors, vector_bytes


@dataclass(frozen=True, eq=False)
class ActiveFeatures:
    """The active features of one prompt in the order of (layer, position, index), with the vectors that they and the
    errors write."""

    layer_A: Tensor
    position_A: Tensor
    feature_A: Tensor
    activation_A: Tensor
    columns: ColumnLayout
    source_vectors: SourceVectors

    def __len__(self) -> int:
        return len(self.layer_A)

    def table(self) -> ActiveTable:
        """Return the active features as numpy arrays on the host."""
        layer_A, position_A, feature_A = torch.stack([self.layer_A, self.position_A, self.feature_A]).numpy(force=True)
        return ActiveTable(
            layer_A.astype(np.int16),
            position_A.astype(np.int32),
            feature_A.astype(np.int32),
            self.activation_A.float().numpy(force=True),
        )


def encode(
    model: Model,
    cache: ForwardCache,
    transcoders: Transcoders,
    zeroed: int,
    sweep_dtype: torch.dtype = torch.float32,
    keep_vectors: bool | None = None,
) -> ActiveFeatures:
    """Encode the input of every layer. The features and errors of the first `zeroed` positions are left out.

    `sweep_dtype` is the dtype of the `SourceVectors`, and `keep_vectors` says whether they stay in memory. None keeps
    them if they fit into half of the free memory.
    """
    device, num_positions = transcoders.device, len(cache.tokens_P)
    per_layer = [transcoders.encode(layer, x_PD.to(device)) for layer, x_PD in enumerate(cache.inputs_PD)]
    position_A, feature_A, activation_A = (torch.cat(parts) for parts in zip(*per_layer, strict=True))
    count_L = to_device_async([len(position) for position, _, _ in per_layer], device)
    layer_A = torch.repeat_interleave(torch.arange(len(count_L), device=device), count_L, output_size=len(position_A))
    place_A = (position_A >= zeroed).nonzero()[:, 0]
    layer_A, position_A, feature_A, activation_A = (x[place_A] for x in (layer_A, position_A, feature_A, activation_A))
    tiling = Tiling.of(sweep_dtype, device)
    prefix_length = zeroed if min(cache.logits) >= zeroed else 0  # a target in the prefix needs its gradient there
    columns = ColumnLayout.of(layer_A, position_A, len(count_L), num_positions, tiling, prefix_length)
    if keep_vectors is None:
        keep_vectors = 2 * vector_bytes(columns, transcoders.shape, sweep_dtype) <= free_bytes_of(device)
    source_vectors = SourceVectors(
        model, cache, transcoders, columns, feature_A, activation_A, zeroed, sweep_dtype, keep=keep_vectors
    )
    return ActiveFeatures(layer_A, position_A, feature_A, activation_A, columns, source_vectors)
