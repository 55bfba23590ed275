"""Phases: what a worker is doing, for logs and failure records, and how many seconds it spent in each phase."""

from __future__ import annotations

import time
from collections.abc import Callable

TRACE = ("encode", "rows")
"""Phases of the algorithm itself; a failure record calls both of them `trace`."""


class PhaseTimer:
    """Measures the seconds of each phase: first load; then encode, rows, prune and store per prompt; otherwise idle."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.now = "load"
        self._clock = clock
        self._since = clock()
        self._seconds: dict[str, float] = {}
        self.steps = 0
        """Number of phases begun and steps finished; it grows as long as the worker makes progress."""

    def start(self, phase: str) -> None:
        """Begin a phase, and end the one before."""
        now = self._clock()
        self._seconds[self.now] = self._seconds.get(self.now, 0.0) + now - self._since
        self.now, self._since = phase, now
        self.step()

    def step(self) -> None:
        """Count one finished step within a phase."""
        self.steps += 1

    def pop(self) -> dict[str, float]:
        """Return the seconds spent in each phase since the last call, by the phase's name."""
        self.start(self.now)
        taken, self._seconds = self._seconds, {}
        return taken
