"""Mantissa rounding: float32 weights with fewer significant bits compress to half the size and keep their range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MANTISSA_BITS = 23


def round_weights(weight_E: npt.NDArray[np.float32], bits: int) -> npt.NDArray[np.float32]:
    """Weights with `bits` of the 23 mantissa bits, rounded half to even; 23 returns the argument itself.

    NaN and infinities stay as they are. A finite weight never becomes infinite: it is cut off instead.
    """
    if bits == MANTISSA_BITS:
        return weight_E
    dropped = MANTISSA_BITS - bits
    pattern_E = weight_E.view(np.uint32)
    keep = np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    last_kept_bit_E = pattern_E >> np.uint32(dropped) & np.uint32(1)
    rounded_E = pattern_E + (np.uint32((1 << dropped - 1) - 1) + last_kept_bit_E) & keep
    result_E = rounded_E.view(np.float32)
    overflow_E = ~np.isfinite(result_E)
    result_E[overflow_E] = (pattern_E[overflow_E] & keep).view(np.float32)
    special_E = ~np.isfinite(weight_E)
    result_E[special_E] = weight_E[special_E]
    return result_E
