"""What fits: bytes that a row takes in a sweep, how many rows that allows, and how much main memory is free."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from .control_group import memory_limits
from .shapes import ModelShape

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


def free_cpu_bytes() -> int:
    """Main memory that can still be taken, by the account of the machine and of every control group above."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    return min([free, *(group.free for group in memory_limits())])


def size_text(num_bytes: int) -> str:
    """Bytes for people."""
    return f"{num_bytes / 2**30:,.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.1f} MiB"
