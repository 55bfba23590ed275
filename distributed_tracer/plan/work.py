"""WorkUnit: one prompt as work for somebody. Plain picklable data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..prompt import Prompt


@dataclass(frozen=True)
class WorkUnit:
    """One tokenized prompt to trace, with what the plan expects of it."""

    prompt: Prompt
    expected_seconds: float = 0.0
    expected_bytes: int = 0
    """Memory that this prompt needs beside the weights."""
    sweep_rows: int = 256
    """Rows of a sweep where the configuration says auto, as the plan found them to fit."""
    attempt: int = 1
    """Counts up when a worker died while it ran this prompt."""
    refusals: int = 0
    """So often a part that its graph was in was refused when it was to be committed."""


Status = Literal["traced", "done", "failed", "retried"]


@dataclass(frozen=True)
class Outcome:
    """What became of one prompt.

    *traced*: its graph waits in a worker's memory to be written. *done*: the part that holds it is committed.
    *failed*: for good; `phase` and `reason` say where and why. *retried*: it will be traced again, for `reason`.
    """

    prompt_id: str
    status: Status
    phase: str | None = None
    reason: str | None = None
    attempt: int = 1
    seconds: float = 0.0
    expected_seconds: float = 0.0
    """What the plan said."""
    num_nodes: int = 0
    num_edges: int = 0
    replacement: float = float("nan")
    completeness: float = float("nan")
    worker: str = ""
    """`host:pid` of the process that did it."""
    num_rows: int = 0
    """Rows computed, before pruning."""
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    """What the worker did since its outcome before this one: load, encode, rows, prune, store, idle."""
    gpu_peak_bytes: int = 0
    """The most that the worker has used of a GPU's memory so far."""
