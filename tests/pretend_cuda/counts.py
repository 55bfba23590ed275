"""Counts: what a pretended GPU was asked to do, by line of this package's code, and how long it would take."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from torch import Tensor

_LAUNCHING_NOTHING = {
    *("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach", "alias", "lift_fresh"),
    *("_unsafe_view", "is_pinned", "_local_scalar_dense"),
}
_LAUNCHES = {"sort": 6, "argsort": 6, "topk": 3, "nonzero": 4, "cumsum": 2, "bincount": 6, "masked_select": 6}
"""Kernels of operations that launch several; every other one counts once."""


@dataclass
class Counts:
    """Waits, kernel launches, floating-point operations and bytes copied to the host since the last `reset`."""

    waits: Counter[str] = field(default_factory=Counter)
    """How often the host waited, by line of code and reason."""
    launches: Counter[str] = field(default_factory=Counter)
    """Kernels by line of code."""
    flops: int = 0
    """Floating-point operations of matrix products."""
    to_host_bytes: int = 0

    def reset(self) -> None:
        """Begin to count anew."""
        self.waits.clear()
        self.launches.clear()
        self.flops = self.to_host_bytes = 0

    def wait(self, why: str, num_bytes: int = 0) -> None:
        """Count a wait of the host, and the bytes that it received."""
        self.waits[f"{_line()}: {why}"] += 1
        self.to_host_bytes += num_bytes

    def operation(self, func: Any, name: str, operands: Iterable[Any], results: Iterable[Any]) -> None:
        """Count the launches and floating-point operations of one operation of PyTorch."""
        if func.is_view or name in _LAUNCHING_NOTHING:
            return
        self.launches[_line()] += _LAUNCHES.get(name, 1)
        if name in ("mm", "bmm", "addmm", "addmm_", "baddbmm", "baddbmm_", "mv", "dot", "addmv", "addmv_"):
            tensors = [t for t in operands if isinstance(t, Tensor)]
            left = tensors[1] if name.startswith(("addm", "baddbmm")) else tensors[0]
            made = next(t.numel() for t in results if isinstance(t, Tensor))
            self.flops += 2 * made * left.shape[-1]


def _line() -> str:
    """Return the line of this package's code that is being executed, or that of a library if none is."""
    frame: FrameType | None = sys._getframe(2)
    library = "elsewhere"
    while frame is not None:
        name, line = frame.f_code.co_filename, frame.f_lineno
        if "/distributed_tracer/" in name:
            return f"{name.rsplit('/distributed_tracer/')[-1]}:{line}"
        if library == "elsewhere" and ("/transformers/" in name or "/accelerate/" in name):
            library = f"{'/'.join(name.split('/')[-2:])}:{line}"
        frame = frame.f_back
    return library
