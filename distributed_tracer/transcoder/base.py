"""The Transcoders protocol: what tracing needs from a set of transcoders, wherever its weights are."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..shapes import TranscoderShape


class Transcoders(Protocol):
    """A set of transcoders, per-layer (PLT) or cross-layer (CLT).

    Tensors of activations and weights are returned in `dtype`. All tensors are returned on the device of the tensor
    given, or on `device` if none is given.

    Axes: P position, D model width, A active feature, F feature requested.
    """

    shape: TranscoderShape
    dtype: torch.dtype
    device: torch.device

    @property
    def decoder_device(self) -> torch.device:
        """The device on which decoder rows are gathered. Features that are given there are read without waiting for
        another device."""
        ...

    def encode(self, layer: int, x_PD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the active features at `layer`: positions [A], features [A] (both int64) and activations [A].

        They are sorted by (position, feature). `x_PD` is the value at the input site. A feature is active if its
        activation is not zero.
        """
        ...

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder vectors [F, D] and encoder biases [F] of features of `layer`."""
        ...

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        """Return the decoder vectors [F, D] with which features of `layer` write to `output_layer`.

        They are not multiplied by activations.
        """
        ...

    def decoder_bias(self, layer: int) -> Tensor:
        """Return what the reconstruction of `layer` adds whichever features are active: [D]."""
        ...

    def skip(self, layer: int) -> Tensor | None:
        """Return `W_skip` [D_out, D_in], or None without a skip connection. The reconstruction adds `W_skip @ x`."""
        ...
