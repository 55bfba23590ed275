"""Buffers that are reused, copies to a device, and the precision of the sweep's products.

On a CPU, the kernel pages in every large tensor that is newly allocated, which takes up to half the time of the product
that fills it. `Scratch` therefore uses the same memory again for every intermediate result of one kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import prod
from typing import Any, cast

import torch
from torch import Tensor

from ..config import Precision, SweepPrecision, TraceConfig
from ..model.library_check import tolerance
from ..plan.sizing import sweep_precision
from ..threads import multiply

_AT_ONCE = 4096


class Scratch:
    """One buffer for each name, dtype and device, as large as its largest use. Each use overwrites the one before."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return a contiguous tensor of the given shape whose content is undefined."""
        key, size = (name, dtype, device), prod(shape)
        if key not in self._buffers or len(self._buffers[key]) < size:
            self._buffers[key] = torch.empty(size, dtype=dtype, device=device)
        return self._buffers[key][:size].view(shape)

    def mm(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """Return a @ b in the buffer `name`."""
        product = self.take(name, (len(a), b.shape[1]), a.dtype, a.device)
        for part in parts(a):
            multiply(a[part], b, product[part])
        return product

    def bmm(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """Return a @ b for every pair of matrices of two batches, in the buffer `name`."""
        return multiply(a, b, self.take(name, (len(a), a.shape[1], b.shape[2]), a.dtype, a.device))


def parts(a: Tensor) -> list[slice]:
    """Return the ranges of rows of a matrix that are multiplied at once.

    It is one range of all rows, except in bfloat16 on a CPU: there oneDNN makes a kernel of up to 0.8 MB for each
    number of rows and never frees it, so a range has at most 4,096 rows.
    """
    if a.dtype != torch.bfloat16 or a.device.type != "cpu":
        return [slice(len(a))]
    return [slice(first, first + _AT_ONCE) for first in range(0, len(a), _AT_ONCE)]


def to_device_async(values: Sequence[Any], device: torch.device) -> Tensor:
    """Return integers, nested or not, as an int64 tensor on a device, without waiting for a GPU.

    The copy starts from pinned memory: from pageable memory it would wait for everything before it.
    """
    table = torch.tensor(values, dtype=torch.long)
    return table.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else table.to(device)


def sweep_dtype(precision: SweepPrecision, forward: torch.dtype) -> torch.dtype:
    """Return the dtype of the sweep's gradients, weights and vectors; see `sweep_precision`."""
    dtype: torch.dtype = getattr(
        torch, sweep_precision(precision, cast(Precision, str(forward).removeprefix("torch.")))
    )
    return dtype


def max_closing_error(config: TraceConfig, forward: torch.dtype) -> float:
    """Return the share of a row's sum of |edge| by which the row may miss its node's value.

    It is the configured value, or with "auto" what rounding explains.
    """
    if config.max_closing_error != "auto":
        return config.max_closing_error
    sweep = {"tf32": torch.float16, "bfloat16": torch.bfloat16}.get(config.sweep_dtype, torch.float32)
    return max(tolerance(forward), tolerance(sweep))  # tf32 has as many mantissa bits as float16


_FP32 = tuple(
    of.matmul
    for of in (torch.backends.cuda, torch.backends.mkldnn)
    if hasattr(getattr(of, "matmul", None), "fp32_precision")
)
"""Where torch 2.9 and later keep the precision of float32 products. Their older setting can no longer be read once a
program has used the new one."""
_REDUCED_SUMS = "allow_bf16_reduced_precision_reduction"


@contextmanager
def matmul_precision(precision: SweepPrecision) -> Iterator[None]:
    """Set the precision of matrix products inside the block, whatever the program has set for its own products.

    With "tf32", float32 products use TensorFloat-32 where a GPU has it; otherwise they are computed in full float32.
    bfloat16 products are accumulated in float32.
    """
    matmul = torch.backends.cuda.matmul
    with ExitStack() as put_back:
        put_back.callback(setattr, matmul, _REDUCED_SUMS, getattr(matmul, _REDUCED_SUMS))
        setattr(matmul, _REDUCED_SUMS, False)
        for of in _FP32:
            put_back.callback(setattr, of, "fp32_precision", of.fp32_precision)
            of.fp32_precision = "tf32" if of is matmul and precision == "tf32" else "ieee"
        if not _FP32:
            put_back.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        yield
