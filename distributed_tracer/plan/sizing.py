"""Sizing: the sizes on which planner and tracer must agree.

They are the precision, the bytes per row and the rows of a sweep, the size of a round, the slots of columns, and the
edges that are examined together. This module does not import torch, so that a plan can be made on a login node.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..config import Precision, SweepPrecision, TraceConfig
from ..shapes import ModelShape

EXTRA_SLOTS = 2
"""Number of slots that a position has besides those of its features: one for its error and one for the constant, which
is not a column. They come last."""
SEGMENT_PADDING, SEGMENT_SLACK = 1.3, 128
"""A segment of columns ends where its slots would exceed `SEGMENT_PADDING` times those in use plus `SEGMENT_SLACK`.
That number of slots costs no more than a call."""
_SLOTS_PER_ACTIVE, _SLOTS_PER_SITE, _SLOTS_PER_LAYER = 1.5, 24, 256
"""Expected slots per active feature, per layer and position (EXTRA_SLOTS, and rounding up to as many as 16), and per
layer. Their sum is more than padding and slack allow where features are spread as usual."""
EDGES_EXAMINED_AT_ONCE = {"cpu": 2**21, "cuda": 2**25}
"""Number of edges that are examined together while the largest are found, by type of device. On a CPU they take 16 MiB
of indices, as much of weights, and three histograms of 16 MiB each; on a GPU fewer would take many calls."""
EDGES_WEIGHTED_AT_ONCE = 2**26
"""Number of edges whose absolute values are held together on a GPU while features are ranked: 256 MiB of float32."""
FEWEST_SWEEP_ROWS = 8
"""Least number of rows in a sweep. A sweep of fewer rows is slow, so a prompt that does not fit with this many is too
large for the machine."""
_SWEEP_BYTES = {"cpu": 256 * 2**20, "cuda": 4 * 2**30}
"""Bytes that all rows of a sweep may take, with gradients and intermediate results. They are fixed, and not the free
memory, because the size of matrix products affects the last bits of edges, which must not depend on other users of a
machine. On a GPU, they hold 2,048 rows of 64 tokens in bfloat16 for a model of the size of Llama-3.1-8B (3.8 GB)."""
_SWEEP_ROWS = {"cpu": 256, "cuda": 2048}
"""Largest number of rows in a sweep; larger sweeps are not faster. On a GPU, a layer's arithmetic takes 5 ms for 2,048
rows (Gemma-2-2B shapes, 64 tokens, half of 800 TFLOP/s) and its twelve launches take 0.2 ms of host time."""
_SWEEP_POSITIONS = {"cpu": 2**14, "cuda": 2**22}
"""Rows times tokens from which a sweep is fast. A long prompt's round is cut into several batches of about this size,
which idle workers can share. The value for GPUs was never measured, and is so large that it does not matter."""

_ROUND_SIZE = 256
_ROUND_SIZE_ON_GPU = 1024
_CHOICES = 4
"""Sizes of a round if `TraceConfig.round_size` is "auto", and how often a GPU's graph chooses features at least.

On a CPU, choosing features takes 1 to 3% of a graph's time with rounds of 256. On a GPU, a round costs the host some
600 kernel launches of 13 microseconds, however few rows it has. For 7,500 feature nodes of Gemma-2-2B shapes and 64
tokens, rounds of 256 take 0.21 s of launches, and rounds of 1,024 take 0.07 s; the arithmetic takes 0.08 s at half of
800 TFLOP/s (0.2 s for Llama-3.1-8B), so that larger rounds would save little more. docs/engine.md ("Rounds") shows that
four choices lose about 1% of the replacement score, and a single one up to a tenth."""


def default_round_size(device: str, max_feature_nodes: int | None) -> int:
    """Return the size of a round for a type of device and a budget of feature nodes.

    It depends on nothing else, such as the model of the GPU, because it is part of the result.
    """
    quarter = _ROUND_SIZE_ON_GPU if max_feature_nodes is None else -(-max_feature_nodes // _CHOICES)
    return _ROUND_SIZE if device == "cpu" else max(_ROUND_SIZE, min(_ROUND_SIZE_ON_GPU, quarter))


def with_round_size(trace: TraceConfig, device: str, recorded: int | None = None) -> TraceConfig:
    """Return the settings with a number for `round_size`.

    It is the configured number; with "auto" it is `recorded`, the number of the store that is continued, or else the
    default for the type of device.
    """
    if trace.round_size != "auto":
        return trace
    return replace(trace, round_size=recorded or default_round_size(device, trace.max_feature_nodes))


def sweep_precision(setting: SweepPrecision, forward: Precision) -> Precision:
    """Return the precision in which the numbers of a sweep are kept: its gradients, weights and vectors.

    `setting` is `TraceConfig.sweep_dtype`. With "tf32", which is a precision of products, numbers are float32. A
    float64 forward pass serves as a reference, so its sweep is float64, too, unless another precision than float32 is
    given.
    """
    if setting == "float32" and forward == "float64":
        return "float64"
    return "float32" if setting == "tf32" else setting


def expected_slots(num_active: int, num_sites: int, num_layers: int) -> int:
    """Return the number of slots that the columns of a prompt are expected to take, padding included.

    A site is a layer at a position. The layout of the real columns depends on how many features each site has.
    """
    return round(_SLOTS_PER_ACTIVE * num_active) + _SLOTS_PER_SITE * num_sites + _SLOTS_PER_LAYER * num_layers


def sweep_row_bytes(model: ModelShape, num_tokens: int, item_bytes: int, device: str) -> int:
    """Return the bytes of one row of a sweep.

    They hold the row's gradient, a second copy of it that is gathered for reading, the intermediate results of one
    group of attention heads (on a GPU, of all groups), and the sum over the groups.
    """
    groups = 1 if device == "cpu" else model.num_kv_heads
    queries = model.num_heads // model.num_kv_heads
    mixed = (groups * (2 * queries + 1) + model.num_kv_heads) * model.head_dim
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
    fitting = _SWEEP_BYTES[device] // sweep_row_bytes(model, num_tokens, item_bytes, device)
    return max(FEWEST_SWEEP_ROWS, min(_SWEEP_ROWS[device], fitting, max(32, _SWEEP_POSITIONS[device] // num_tokens)))
