"""Bounds on how far round-off may move a result, derived from the arithmetic. Numeric tests use them as tolerances.

They hold whatever the processor, its kernels and their number of threads.

Use `of_roundings` for a number that is rounded a few times on its way; `round_off` for sums; `of_model` and
`of_tiny_model` for what a whole model computes, where any of many values may be the one with the largest error; and
`of_norms` for a distance between many values together, in which errors of single values do not matter.
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
    """Return the largest difference of two sums of the same `terms` numbers that are added in different orders.

    Every addition rounds by at most eps / 2 of the sum so far, which `magnitude` bounds. The sign of an error is as
    good as random, so errors grow with the root of their number (Higham and Mary, "A new approach to probabilistic
    rounding error analysis", 2019); each of the two sums has its own. For products of products, count the terms of all.
    """
    return _SURE * sqrt(terms) * torch.finfo(dtype).eps * magnitude


def of_roundings(dtype: torch.dtype, count: int, magnitude: float = 1.0) -> float:
    """Return the most by which `count` roundings can change a number, if all go the same way: half of eps each."""
    return count * torch.finfo(dtype).eps / 2 * magnitude


def of_norms(dtype: torch.dtype, terms: int) -> float:
    """Return a bound on the norm of the difference of two tensors, divided by the norm of either.

    It is that of `round_off`, but for all values together, whose errors are no larger than their standard deviation.
    """
    return sqrt(terms) * torch.finfo(dtype).eps


def additions(num_layers: int, d_model: int) -> int:
    """Return the number of terms in a forward pass, or in a row of edges.

    Each layer has four products with weights (into and out of attention and MLP), of about the model's width or a small
    multiple of it.
    """
    return 4 * num_layers * 4 * d_model


def factors(num_layers: int) -> int:
    """Return the number of roundings of an edge whose factors are coarse and whose sums are float32.

    In each layer there are the two factors of four products (out of attention, through its pattern, into it, the skip);
    two more are those of the edge itself.
    """
    return 2 * (4 * num_layers + 1)


def of_model(shape: ModelShape, magnitude: float = 1.0, dtype: torch.dtype = torch.float32) -> float:
    """Return how far two passes of a model, or two rows of edges, may be apart in values of up to `magnitude`.

    The bound is absolute.
    """
    return round_off(dtype, additions(shape.num_layers, shape.d_model), magnitude)


def of_tiny_model(*values: Values, dtype: torch.dtype = torch.float32) -> float:
    """Return the bound of `of_model` for a model of `tests/tiny.py` and the largest of `values`.

    The dtype is float32 also for float64 models that are compared with their libraries', whose norms and rotary angles
    are float32 in any case.
    """
    return round_off(dtype, additions(LAYERS, WIDTH), largest(*values))


def largest(*values: Values) -> float:
    """Return the largest absolute value of all; 0 if there are none."""
    return max(float(np.abs(np.asarray(value)).max(initial=0.0)) for value in values)


def nearly(expected: Any, terms: int, dtype: torch.dtype = torch.float64, magnitude: float | None = None) -> Any:
    """Return an approximation of plain numbers (one, a sequence, a dictionary) that are sums of about `terms` numbers.

    It compares with `==`. Python's own numbers are float64. `magnitude` is the largest of them if it is not given.
    """
    if magnitude is None:
        magnitude = largest(list(expected.values()) if isinstance(expected, dict) else expected)
    return pytest.approx(expected, rel=0.0, abs=round_off(dtype, terms, magnitude))


def apart(first: torch.Tensor, second: torch.Tensor, off: float) -> bool:
    """Whether any two values differ by more than round-off explains."""
    return bool(((first - second).abs() > off).any())
