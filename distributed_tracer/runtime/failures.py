"""Reasons: what a worker says of an exception that ended a prompt."""

from __future__ import annotations

import gc
import traceback
from pathlib import Path

import torch

from ..errors import OutOfMemory

_PACKAGE = Path(__file__).parents[1]


def is_out_of_memory(error: Exception) -> bool:
    """Of the device, or of the machine."""
    if isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in str(error) or "start new thread" in str(error)):
        return True  # torch and Python have no types of their own for a full main memory
    return isinstance(error, OutOfMemory | torch.OutOfMemoryError | MemoryError)


def release_memory() -> None:
    """What a failed attempt has left."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(error: Exception) -> str:
    """Of its message."""
    return next(iter(str(error).splitlines()), "")


def traceback_summary(error: Exception) -> str:
    """The innermost three places of ours in a traceback: a bug is found from the store's record alone."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(f.filename).parents]
    places = (f"{Path(f.filename).relative_to(_PACKAGE)}:{f.lineno} {f.name}" for f in reversed(frames[-3:]))
    return "at " + ", called from ".join(places)
