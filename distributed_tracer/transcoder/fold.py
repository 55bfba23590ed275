"""Fold into the weights what a format computes around them: shifts and scales of inputs, outputs and features.

Axes: S feature of the dictionary (kept here), D model width, B row of a batch (of rows of weights).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_ROW_NUMBERS = 2**24  # numbers that are converted to float64 at once: 128 MiB


@dataclass(frozen=True)
class Fold:
    """How the stored weights differ from those of a transcoder that reads x and writes y.

    `Fold()` means that they do not differ.
    """

    subtract_b_dec: bool = False
    """Whether the encoder reads x - b_dec. Its bias is then b_enc - W_enc @ b_dec."""
    input_scale: float = 1.0
    """The encoder reads input_scale * x."""
    output_scale: float = 1.0
    """The output y is output_scale times the sum of the decoder's output and b_dec."""
    unit_decoders: bool = False
    """Whether features are compared with thresholds, or with each other, by their pre-activation times the norm of
    their decoder.

    Features are then rescaled so that every decoder has norm 1: activations become the values that are compared, and
    what a feature writes stays the same. A feature whose decoder is zero is never active. This works only for decoders
    that write to one layer.
    """
    log_threshold: bool = False
    """Whether thresholds are stored as their logarithms."""


def encoder_bias(fold: Fold, W_enc_SD: Tensor, b_enc_S: Tensor, b_dec_D: Tensor | None) -> Tensor:
    """Return the bias [S] of an encoder that reads x, in float64.

    The bias of a feature does not depend on which other features are given with it.
    """
    bias_S = b_enc_S.double()
    if not fold.subtract_b_dec or b_dec_D is None:
        return bias_S
    b_dec_D = b_dec_D.double()
    return bias_S - torch.cat([rows_BD.double() @ b_dec_D for rows_BD in _blocks(W_enc_SD)])


def feature_scales(fold: Fold, W_dec_SD: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the factors of the encoder and its bias, and the factors of the decoder: [S] or scalars, in float64.

    `W_dec_SD` is None if features are not to be rescaled.
    """
    one = torch.ones((), dtype=torch.float64)
    if W_dec_SD is None:
        return one, one
    norm_S = torch.cat([torch.linalg.vector_norm(rows_BD.double(), dim=1) for rows_BD in _blocks(W_dec_SD)])
    return norm_S, torch.where(norm_S > 0, 1 / norm_S, 0.0)


def scaled(stored: Tensor, scale_S: Tensor, dtype: torch.dtype) -> Tensor:
    """Return rows times their scales, computed in float32 or wider, so that only rounding to `dtype` remains.

    If the scale is exactly one, the stored tensor is returned unchanged.
    """
    if scale_S.ndim == 0 and scale_S == 1:
        return stored
    dtype = torch.promote_types(torch.promote_types(stored.dtype, torch.float32), dtype)
    return stored.to(dtype) * scale_S.to(stored.device, dtype).view(-1, *[1] * (stored.ndim - 1))


def _blocks(rows_SD: Tensor) -> Iterator[Tensor]:
    """Yield all rows in blocks. If there are no rows, one empty block is yielded."""
    size = max(1, _ROW_NUMBERS // max(1, rows_SD.shape[1]))
    for start in range(0, max(1, len(rows_SD)), size):
        yield rows_SD[start : start + size]
