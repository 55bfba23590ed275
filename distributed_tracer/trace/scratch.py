"""Scratch: memory that is used again for every intermediate result of one kind.

A large tensor made anew is paged in by the kernel each time on a CPU: up to half the time of a product that fills it.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

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
