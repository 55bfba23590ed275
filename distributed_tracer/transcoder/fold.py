"""What a format computes around its weights, folded into them: shifts and scales of inputs, outputs and features.

S features kept here · D model width
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_ROW_NUMBERS = 2**24  # of rows widened to float64 at once: 128 MiB


@dataclass(frozen=True)
class Fold:
    """How the stored weights differ from those of a transcoder that reads x and writes y. `Fold()`: not at all."""

    subtract_b_dec: bool = False
    """The encoder reads x - b_dec, so b_enc - W_enc @ b_dec is its bias."""
    input_scale: float = 1.0
    """The encoder reads input_scale * x."""
    output_scale: float = 1.0
    """y is output_scale times what decoder and b_dec give."""
    unit_decoders: bool = False
    """Features are compared, with thresholds or each other, by their pre-activation times the norm of their decoder.

    They are rescaled so that every stored decoder has norm 1: activations become what is compared, and what a feature
    writes stays. A feature whose decoder is zero never fires. For decoders that write to one layer only.
    """
    log_threshold: bool = False
    """Thresholds are stored as their logarithms."""


def encoder_bias(fold: Fold, W_enc_SD: Tensor, b_enc_S: Tensor, b_dec_D: Tensor | None) -> Tensor:
    """The bias [S] of an encoder that reads x, in float64; the same whichever rows are given together."""
    bias_S = b_enc_S.double()
    if not fold.subtract_b_dec or b_dec_D is None:
        return bias_S
    b_dec_D = b_dec_D.double()
    return bias_S - torch.cat([rows_RD.double() @ b_dec_D for rows_RD in _blocks(W_enc_SD)])


def feature_scales(fold: Fold, W_dec_SD: Tensor | None) -> tuple[Tensor, Tensor]:
    """What encoder and encoder bias are multiplied with, and what the decoder is: [S] or scalars, in float64."""
    one = torch.ones((), dtype=torch.float64)
    if W_dec_SD is None:
        return one, one
    norm_S = torch.cat([torch.linalg.vector_norm(rows_RD.double(), dim=1) for rows_RD in _blocks(W_dec_SD)])
    return norm_S, torch.where(norm_S > 0, 1 / norm_S, 0.0)


def scaled(stored: Tensor, scale_S: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows times their scales, computed in float32 or wider, so that rounding to `dtype` is what remains to be done.

    As they are stored where the scale is exactly one.
    """
    if scale_S.ndim == 0 and scale_S == 1:
        return stored
    dtype = torch.promote_types(torch.promote_types(stored.dtype, torch.float32), dtype)
    return stored.to(dtype) * scale_S.to(stored.device, dtype).view(-1, *[1] * (stored.ndim - 1))


def _blocks(rows_SD: Tensor) -> Iterator[Tensor]:
    """All rows, some at a time; one empty block of none."""
    size = max(1, _ROW_NUMBERS // max(1, rows_SD.shape[1]))
    for start in range(0, max(1, len(rows_SD)), size):
        yield rows_SD[start : start + size]
