"""What a task has loaded and the next task of this process needs too: kept until the phases of a command end."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_forget: list[Callable[[], None]] = []


def kept_for_next(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that keeps its last answer, for arguments that can be hashed."""
    kept = lru_cache(1)(function)
    _forget.append(kept.cache_clear)
    return kept  # type: ignore[return-value]  # lru_cache does not say which arguments it takes


def forget_kept() -> None:
    """Give up all that is kept: memory, and files that are mapped into it and are removed now."""
    for forget in _forget:
        forget()
