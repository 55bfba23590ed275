"""Stopping early: the first SIGINT, SIGTERM or SIGHUP ends the handing out of work, the second ends the program."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from ..config import LogFormat
from ..plan.unit import WorkUnit
from .logs import stopping_line


class NothingBegun(KeyboardInterrupt):
    """Raised by the first signal if no work was handed out: what is being made ready is of no use."""


class Stopping:
    """While entered, listens to signals. Outside the main thread, where that is not possible, it only passes units."""

    def __init__(self, log_format: LogFormat = "text") -> None:
        self.requested = False
        self.signal = ""
        """The name of the signal that asked for it."""
        self._begun = False
        self._log_format: LogFormat = log_format
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
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

    def until_asked(self, units: Iterable[WorkUnit]) -> Iterator[WorkUnit]:
        """The units, until somebody asks to stop."""
        for unit in units:
            if self.requested:
                return
            self._begun = True
            yield unit

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested, self.signal = True, signal.Signals(number).name
        # not print: the signal may have come in the middle of one
        with suppress(OSError):  # that nobody reads it must not end the run
            os.write(2, stopping_line(self._log_format))
        if not self._begun:
            raise NothingBegun
