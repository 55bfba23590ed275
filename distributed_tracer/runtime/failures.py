"""Failures: how a worker classifies and describes an exception that ended the tracing of a prompt."""

from __future__ import annotations

import gc
import traceback
from pathlib import Path

import torch

from ..errors import OutOfMemory

_PACKAGE = Path(__file__).parents[1]


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception means that the memory of the GPU or of the machine is exhausted."""
    if isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in str(error) or "start new thread" in str(error)):
        return True  # for a full main memory, torch and Python raise plain RuntimeErrors
    return isinstance(error, OutOfMemory | torch.OutOfMemoryError | MemoryError)


def release_memory() -> None:
    """Release the memory that a failed attempt still holds, on the host and on the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message; empty if it has no message."""
    return next(iter(str(error).splitlines()), "")


def traceback_summary(error: Exception) -> str:
    """Return the innermost three locations of this package in a traceback.

    With them, the record in the store is enough to find a bug.
    """
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(f.filename).parents]
    places = (f"{Path(f.filename).relative_to(_PACKAGE)}:{f.lineno} {f.name}" for f in reversed(frames[-3:]))
    return "at " + ", called from ".join(places)
