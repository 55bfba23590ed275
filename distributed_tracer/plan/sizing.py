"""Sizes on which the planner and the tracer must agree: bytes per row of a sweep, and rows per sweep."""

from __future__ import annotations

from typing import Literal

from ..shapes import ModelShape

_SWEEP_BYTES = {"cpu": 256 * 2**20, "cuda": 4 * 2**30}
"""What all rows of a sweep may take, gradients and intermediate results. Fixed, not what is free: the size of products
decides the last bits of edges, which must not depend on who else uses a machine."""
_SWEEP_ROWS = {"cpu": 256, "cuda": 2048}
"""Larger sweeps are no faster."""
_SWEEP_POSITIONS = {"cpu": 2**14, "cuda": 2**22}
"""Rows times tokens from which on a sweep is fast: a long prompt's round is cut into several, which idle workers can
share. On GPUs never measured, hence so large that it does not matter."""


def sweep_row_bytes(model: ModelShape, num_tokens: int, item_bytes: int) -> int:
    """One row of a sweep: its gradient, gathered once more to be read; what a group of heads makes of it; their sum."""
    queries = model.num_heads // model.num_kv_heads
    mixed = (2 * queries + 1 + model.num_kv_heads) * model.head_dim
    joining = model.num_heads * (2 * model.d_model + num_tokens)
    return item_bytes * (num_tokens * (2 * model.d_model + mixed) + joining)


def num_sweep_rows(
    setting: int | Literal["auto"], model: ModelShape, num_tokens: int, item_bytes: int, device: str
) -> int:
    """Rows that one sweep of a prompt computes: as many as `TraceConfig.sweep_rows` says, or from sizes alone."""
    if setting != "auto":
        return setting
    fitting = _SWEEP_BYTES[device] // sweep_row_bytes(model, num_tokens, item_bytes)
    return max(8, min(_SWEEP_ROWS[device], fitting, max(32, _SWEEP_POSITIONS[device] // num_tokens)))
