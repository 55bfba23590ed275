"""WorkUnit: one prompt as work for a worker. Outcome: what became of it. Both are plain picklable data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..prompt import Prompt


@dataclass(frozen=True)
class WorkUnit:
    """One tokenized prompt to trace, with the plan's expectations."""

    prompt: Prompt
    expected_seconds: float = 0.0
    expected_bytes: int = 0
    """Memory that this prompt needs in addition to the weights."""
    sweep_rows: int = 256
    """Rows of a sweep if the configuration says "auto": a number that fits into memory according to the plan."""
    attempt: int = 1
    """Number of this attempt. It grows by one each time a worker dies while it traces this prompt."""
    refusals: int = 0
    """Number of parts with this prompt's graph that were refused at their commit."""


Status = Literal["traced", "done", "failed", "retried"]


@dataclass(frozen=True)
class Outcome:
    """What became of one prompt.

    *traced*: the graph is in a worker's memory and not written yet. *done*: the part that holds the graph is committed.
    *failed*: the prompt is given up; `phase` and `reason` say where and why. *retried*: the prompt will be traced
    again, because of `reason`.
    """

    prompt_id: str
    status: Status
    phase: str | None = None
    reason: str | None = None
    attempt: int = 1
    seconds: float = 0.0
    expected_seconds: float = 0.0
    """Seconds that the plan expected."""
    num_nodes: int = 0
    num_edges: int = 0
    replacement: float = float("nan")
    completeness: float = float("nan")
    worker: str = ""
    """Process that traced the prompt, as `host:pid`."""
    num_rows: int = 0
    """Number of rows computed, before pruning."""
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds that the worker spent since its previous outcome, by phase: load, encode, rows, prune, store, idle."""
    gpu_peak_bytes: int = 0
    """Peak GPU memory that the worker has used so far."""
