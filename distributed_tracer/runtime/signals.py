"""Stopping early: the first SIGINT, SIGTERM or SIGHUP ends the handing out of work, the second ends the program.

One request may come as several signals: `timeout` sends SIGTERM to its program and then to the program's group, Slurm
to a script, which hands it on, and to all that the script has started. SIGTERM or SIGHUP counts as the second only
after ECHO_SECONDS. SIGINT is a key on a keyboard, and counts at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from ..config import LogFormat
from ..plan.work import WorkUnit
from .telemetry.logs import stopping_line

ECHO_SECONDS = 2.0


class NothingBegun(KeyboardInterrupt):
    """Raised by the first signal if no work was handed out: what is being made ready is of no use."""


class GracefulShutdown:
    """While entered, listens to signals. Outside the main thread, where that is not possible, it only passes units."""

    def __init__(self, log_format: LogFormat = "text") -> None:
        self.requested = False
        self.signal = ""
        """The name of the signal that asked for it."""
        self._begun = False
        self._log_format: LogFormat = log_format
        self._asked_at = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> GracefulShutdown:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                ignored = signal.getsignal(number) == signal.SIG_IGN
                if not (number == signal.SIGHUP and ignored):  # as it is under nohup
                    self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def take_until_stopped(self, units: Iterable[WorkUnit]) -> Iterator[WorkUnit]:
        """The units, until somebody asks to stop."""
        for unit in units:
            if self.requested:
                return
            self._begun = True
            yield unit

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number != signal.SIGINT and time.monotonic() < self._asked_at + ECHO_SECONDS:
            return
        if self.requested:
            raise KeyboardInterrupt
        self._asked_at = time.monotonic()
        self.requested, self.signal = True, signal.Signals(number).name
        # not print: the signal may have come in the middle of one
        with suppress(OSError):  # that nobody reads it must not end the run
            os.write(2, stopping_line(self._log_format))
        if not self._begun:
            raise NothingBegun
