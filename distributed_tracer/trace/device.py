"""Scratch: memory that is used again for every intermediate result of one kind.

A large tensor made anew is paged in by the kernel each time on a CPU: up to half the time of a product that fills it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..config import SweepPrecision, TraceConfig
from ..model.library_check import tolerance
from ..threads import multiply

_AT_ONCE = 4096


class Scratch:
    """One buffer for each name, type and device, as large as its largest use. What was in it is overwritten."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        """A contiguous tensor with anything in it."""
        key, size = (name, dtype, device), prod(shape)
        if key not in self._buffers or len(self._buffers[key]) < size:
            self._buffers[key] = torch.empty(size, dtype=dtype, device=device)
        return self._buffers[key][:size].view(shape)

    def mm(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """a @ b."""
        product = self.take(name, (len(a), b.shape[1]), a.dtype, a.device)
        for part in parts(a):
            multiply(a[part], b, product[part])
        return product

    def bmm(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """a @ b for every pair of matrices."""
        return multiply(a, b, self.take(name, (len(a), a.shape[1], b.shape[2]), a.dtype, a.device))


def parts(a: Tensor) -> list[slice]:
    """Rows of a matrix that are multiplied at once: all, but in bfloat16 on a CPU, where oneDNN makes a kernel of up to
    0.8 MB for each number of rows and keeps it for good."""
    if a.dtype != torch.bfloat16 or a.device.type != "cpu":
        return [slice(len(a))]
    return [slice(first, first + _AT_ONCE) for first in range(0, len(a), _AT_ONCE)]


def to_device_async(values: Sequence[Any], device: torch.device) -> Tensor:
    """Integers, nested or not, as int64. From pageable memory a copy to a GPU waits for everything before it."""
    table = torch.tensor(values, dtype=torch.long)
    return table.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else table.to(device)


def sweep_dtype(precision: SweepPrecision, forward: torch.dtype) -> torch.dtype:
    """Of gradients, weights and vectors. A float64 forward pass is for judging: its sweep is float64 too."""
    if forward == torch.float64 and precision == "float32":
        return torch.float64
    return {"bfloat16": torch.bfloat16, "float64": torch.float64}.get(precision, torch.float32)


def max_closing_error(config: TraceConfig, forward: torch.dtype) -> float:
    """Share of a row's sum of |edge| by which it may miss its node's value: what rounding explains, or configured."""
    if config.max_closing_error != "auto":
        return config.max_closing_error
    sweep = {"tf32": torch.float16, "bfloat16": torch.bfloat16}.get(config.sweep_dtype, torch.float32)
    return max(tolerance(forward), tolerance(sweep))  # tf32 has as many digits as float16


@contextmanager
def matmul_precision(precision: SweepPrecision) -> Iterator[None]:
    """Inside, float32 products are exact, or use TensorFloat-32 where a GPU has it; bfloat16 ones add up in float32."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction
    matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction = precision == "tf32", False
    try:
        yield
    finally:
        matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction = before
