"""Phases: what a worker is doing, for logs and failure records, and how long it has done what since it last said."""

from __future__ import annotations

import time
from collections.abc import Callable

TRACE = ("encode", "rows")
"""Phases of the algorithm itself; a failure record calls both `trace`."""


class PhaseTimer:
    """A stopwatch with a name: load, then encode, rows, prune and store for each prompt, idle in between."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.now = "load"
        self._clock = clock
        self._since = clock()
        self._seconds: dict[str, float] = {}
        self.steps = 0
        """Grows with all that is done."""

    def start(self, phase: str) -> None:
        """What was done until now ends."""
        now = self._clock()
        self._seconds[self.now] = self._seconds.get(self.now, 0.0) + now - self._since
        self.now, self._since = phase, now
        self.step()

    def step(self) -> None:
        """Something within a phase is done."""
        self.steps += 1

    def pop(self) -> dict[str, float]:
        """Seconds by phase since this was last asked."""
        self.start(self.now)
        taken, self._seconds = self._seconds, {}
        return taken
