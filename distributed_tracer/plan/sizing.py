"""Sizing: the sizes on which planner and tracer must agree, which are bytes per row of a sweep and rows per sweep."""

from __future__ import annotations

from typing import Literal

from ..shapes import ModelShape

_SWEEP_BYTES = {"cpu": 256 * 2**20, "cuda": 4 * 2**30}
"""Bytes that all rows of a sweep may take, with gradients and intermediate results. They are fixed, and not the free
memory, because the size of matrix products affects the last bits of edges, which must not depend on other users of a
machine."""
_SWEEP_ROWS = {"cpu": 256, "cuda": 2048}
"""Largest number of rows in a sweep; larger sweeps are not faster."""
_SWEEP_POSITIONS = {"cpu": 2**14, "cuda": 2**22}
"""Rows times tokens from which a sweep is fast. A long prompt's round is cut into several batches of about this size,
which idle workers can share. The value for GPUs was never measured, and is so large that it does not matter."""


def sweep_row_bytes(model: ModelShape, num_tokens: int, item_bytes: int) -> int:
    """Return the bytes of one row of a sweep.

    They hold the row's gradient, a second copy of it that is gathered for reading, the intermediate results of one
    group of attention heads, and the sum over the groups.
    """
    queries = model.num_heads // model.num_kv_heads
    mixed = (2 * queries + 1 + model.num_kv_heads) * model.head_dim
    joining = model.num_heads * (2 * model.d_model + num_tokens)
    return item_bytes * (num_tokens * (2 * model.d_model + mixed) + joining)


def num_sweep_rows(
    setting: int | Literal["auto"], model: ModelShape, num_tokens: int, item_bytes: int, device: str
) -> int:
    """Return the number of rows that one sweep of a prompt computes.

    It is `setting`, the value of `TraceConfig.sweep_rows`; "auto" computes it from sizes alone.
    """
    if setting != "auto":
        return setting
    fitting = _SWEEP_BYTES[device] // sweep_row_bytes(model, num_tokens, item_bytes)
    return max(8, min(_SWEEP_ROWS[device], fitting, max(32, _SWEEP_POSITIONS[device] // num_tokens)))
