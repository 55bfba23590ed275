"""WorkUnit: one prompt as work for somebody. Plain picklable data."""

from __future__ import annotations

from dataclasses import dataclass

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
