"""How far round-off may take a result: from the arithmetic, whatever the processor, its kernels and their number of
threads. What the tests of numbers are held to."""

from __future__ import annotations

from math import sqrt

import torch
from tiny import LAYERS, WIDTH

_SURE = 8.0
"""Standard deviations: a result is further off once in 10^13."""


def round_off(dtype: torch.dtype, terms: int, magnitude: float = 1.0) -> float:
    """The largest difference of two sums of the same `terms` numbers that are added in different orders.

    Every addition rounds by at most eps / 2 of what is added up so far, which `magnitude` bounds. Its sign is as good
    as random, so that errors grow with the root of their number (Higham and Mary, "A new approach to probabilistic
    rounding error analysis", 2019); each of the two sums has its own. Products of products count the terms of all.
    """
    return _SURE * sqrt(terms) * torch.finfo(dtype).eps * magnitude


def of_tiny_model(values: torch.Tensor) -> float:
    """How far two float32 passes of a model of `tests/tiny.py` may be apart in `values`, absolute."""
    return round_off(torch.float32, additions(LAYERS, WIDTH), float(values.abs().max()))


def additions(num_layers: int, d_model: int) -> int:
    """Terms of what a forward pass, or a row of edges, is made of: in each layer four products with weights (into and
    out of attention and MLP), of about the model's width or some times that."""
    return 4 * num_layers * 4 * d_model
