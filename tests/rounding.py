"""How far round-off may take a result: from the arithmetic, whatever the processor, its kernels and their number of
threads. What the tests of numbers are held to.

Which to take: `of_roundings` for a number that is rounded a few times on its way; `round_off` for sums, `of_model` and
`of_tiny_model` for what a whole model computes, where any of many values may be the one that is furthest off; and
`of_norms` for a distance of many values together, in which errors of single ones do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tiny import LAYERS, WIDTH

from distributed_tracer.shapes import ModelShape

_SURE = 8.0
"""Standard deviations: a result is further off once in 10^13."""

Values = torch.Tensor | npt.NDArray[Any] | Sequence[float] | float


def round_off(dtype: torch.dtype, terms: int, magnitude: float = 1.0) -> float:
    """The largest difference of two sums of the same `terms` numbers that are added in different orders.

    Every addition rounds by at most eps / 2 of what is added up so far, which `magnitude` bounds. Its sign is as good
    as random, so that errors grow with the root of their number (Higham and Mary, "A new approach to probabilistic
    rounding error analysis", 2019); each of the two sums has its own. Products of products count the terms of all.
    """
    return _SURE * sqrt(terms) * torch.finfo(dtype).eps * magnitude


def of_roundings(dtype: torch.dtype, count: int, magnitude: float = 1.0) -> float:
    """The most that `count` roundings can make of a number, even if all go the same way: half of eps each."""
    return count * torch.finfo(dtype).eps / 2 * magnitude


def of_norms(dtype: torch.dtype, terms: int) -> float:
    """Norm of the difference of two tensors by the norm of either: as in `round_off`, but of all values together, whose
    errors are no larger than their standard deviation."""
    return sqrt(terms) * torch.finfo(dtype).eps


def additions(num_layers: int, d_model: int) -> int:
    """Terms of what a forward pass, or a row of edges, is made of: in each layer four products with weights (into and
    out of attention and MLP), of about the model's width or some times that."""
    return 4 * num_layers * 4 * d_model


def factors(num_layers: int) -> int:
    """Roundings of an edge whose factors are coarse and whose sums are float32: in each layer the two factors of four
    products (out of attention, through its pattern, into it, the skip), and those of the edge itself."""
    return 2 * (4 * num_layers + 1)


def of_model(shape: ModelShape, magnitude: float = 1.0, dtype: torch.dtype = torch.float32) -> float:
    """How far two passes of a model, or two rows of edges, may be apart in values of up to `magnitude`, absolute."""
    return round_off(dtype, additions(shape.num_layers, shape.d_model), magnitude)


def of_tiny_model(*values: Values, dtype: torch.dtype = torch.float32) -> float:
    """The same for a model of `tests/tiny.py` and the largest of `values`.

    float32 also for float64 models beside their libraries', whose norms and rotary angles are float32 in any case.
    """
    return round_off(dtype, additions(LAYERS, WIDTH), largest(*values))


def largest(*values: Values) -> float:
    """The largest absolute value of all; 0 of none."""
    return max(float(np.abs(np.asarray(value)).max(initial=0.0)) for value in values)


def nearly(expected: Any, terms: int, dtype: torch.dtype = torch.float64, magnitude: float | None = None) -> Any:
    """Plain numbers (one, a sequence, a dictionary of them) that are sums of about `terms` numbers; Python's own are
    float64. `magnitude` is the largest of them if not given."""
    if magnitude is None:
        magnitude = largest(list(expected.values()) if isinstance(expected, dict) else expected)
    return pytest.approx(expected, rel=0.0, abs=round_off(dtype, terms, magnitude))


def apart(first: torch.Tensor, second: torch.Tensor, off: float) -> bool:
    """Whether any two values differ by more than round-off explains."""
    return bool(((first - second).abs() > off).any())
