"""TaskProcesses: does tasks in several processes on this machine. A process that dies costs the task that it was at."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterable
from multiprocessing.connection import wait

from ..tasks.task import Done, TaskCall
from .task_attempts import TaskAttempts
from .task_process import TaskProcess

_log = logging.getLogger(__name__)


class TaskProcesses:
    """Up to `workers` processes, which are started when there is work for them and kept until `close`."""

    def __init__(self, workers: int, attempts: int) -> None:
        """Give up a task whose process has died `attempts` times."""
        self._workers, self._attempts = workers, attempts
        self._idle: list[TaskProcess] = []
        self._busy: dict[TaskProcess, TaskCall] = {}

    def run(self, calls: Iterable[TaskCall]) -> Generator[tuple[TaskCall, Done]]:
        """Do the calls, which are taken only as processes become free, and yield each that is done.

        Raises the first error that a task raises, and WorkerLost; other tasks under way are then given up.
        """
        fresh, again = iter(calls), deque[TaskCall]()
        attempts = TaskAttempts(self._attempts)
        try:
            while True:
                while len(self._busy) < self._workers:
                    call = again.popleft() if again else next(fresh, None)
                    if call is None:
                        break
                    process = self._idle.pop() if self._idle else TaskProcess()
                    self._busy[process] = call
                    process.give(call)
                if not self._busy:
                    return
                process_of = {process.connection: process for process in self._busy}
                for connection in wait(list(process_of)):
                    process = process_of[connection]  # type: ignore[index]  # only connections are waited for
                    call = self._busy.pop(process)
                    try:
                        answer = process.answer()
                    except (EOFError, OSError):
                        reason = f"process {process.pid} {process.reason()}"
                        process.end()
                        attempts.lost(call, reason)
                        again.append(call)
                        continue
                    self._idle.append(process)
                    if isinstance(answer, Exception):
                        raise answer
                    yield call, answer
        finally:
            for process in self._busy:
                process.end()
            self._busy.clear()

    def close(self) -> None:
        """End all processes."""
        for process in self._idle:
            process.end()
        self._idle.clear()
