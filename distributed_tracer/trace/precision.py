"""Precision of a sweep: the type of its gradients, and what kind of product is made of float32 numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..config import SweepPrecision, TraceConfig
from ..model.reference import tolerance


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
def products(precision: SweepPrecision) -> Iterator[None]:
    """Inside, float32 products are exact, or use TensorFloat-32 where a GPU has it; bfloat16 ones add up in float32."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction
    matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction = precision == "tf32", False
    try:
        yield
    finally:
        matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction = before
