"""Signals: the first SIGINT, SIGTERM or SIGHUP stops the handing out of work, and the second ends the program.

One request may arrive as several signals: `timeout` sends SIGTERM to its program and then to the program's group. Slurm
sends it to a script, which passes it on, and to all processes that the script has started. SIGTERM or SIGHUP therefore
counts as the second signal only after ECHO_SECONDS. SIGINT comes from a key on a keyboard and always counts.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, TypeVar

from ..config import LogFormat
from .telemetry.logs import stopping_line

ECHO_SECONDS = 2.0
_T = TypeVar("_T")


class NothingBegun(KeyboardInterrupt):
    """Raised by the first signal if no work was handed out yet: then it is not worth completing the preparations."""


class GracefulShutdown:
    """Context manager that handles signals while it is entered.

    Outside the main thread, where Python cannot handle signals, it only passes units through.
    """

    def __init__(self, log_format: LogFormat = "text") -> None:
        self.requested = False
        self.signal = ""
        """Name of the signal that requested the stop; empty before that."""
        self._begun = False
        self._log_format: LogFormat = log_format
        self._requested_at = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> GracefulShutdown:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                ignored = signal.getsignal(number) == signal.SIG_IGN
                if not (number == signal.SIGHUP and ignored):  # nohup makes a program ignore SIGHUP
                    self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def take_until_stopped(self, units: Iterable[_T]) -> Iterator[_T]:
        """Yield the units until a signal requests a stop."""
        for unit in units:
            if self.requested:
                return
            self._begun = True
            yield unit

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number != signal.SIGINT and time.monotonic() < self._requested_at + ECHO_SECONDS:
            return
        if self.requested:
            raise KeyboardInterrupt
        self._requested_at = time.monotonic()
        self.requested, self.signal = True, signal.Signals(number).name
        # not print: the signal may have interrupted a print
        with suppress(OSError):  # a closed standard error must not end the run
            os.write(2, stopping_line(self._log_format))
        if not self._begun:
            raise NothingBegun
