"""The Transcoders protocol: what tracing asks of a set of transcoders, wherever its weights are."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..shapes import TranscoderShape


class Transcoders(Protocol):
    """A set of transcoders, one per layer (PLT) or cross-layer (CLT).

    All tensors returned are in `dtype` on the device of the tensor given (or on `device` where none is given).
    """

    shape: TranscoderShape
    dtype: torch.dtype
    device: torch.device

    def encode(self, layer: int, x_PD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Active features at `layer`: positions [A], features [A] (both int64) and activations [A].

        Sorted by (position, feature). `x_PD` is the value at the input site. A feature is active if its activation is
        not zero.
        """
        ...

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder vectors [F, D] and encoder biases [F]."""
        ...

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        """Decoder vectors [F, D] with which features of `layer` write to `output_layer`, not scaled by activation."""
        ...

    def decoder_bias(self, layer: int) -> Tensor:
        """What layer's reconstruction adds whatever fires: [D]."""
        ...

    def skip(self, layer: int) -> Tensor | None:
        """`W_skip` [D_out, D_in] such that the reconstruction adds `W_skip @ x`; None without a skip connection."""
        ...
