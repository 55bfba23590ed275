"""TaskProcess: a worker process on this machine, which does one task at a time, and how it is ended and noticed."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Thread

from ..plan.control_group import Kills
from ..tasks.task import Done, TaskCall, portable

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
_MAIN = (
    f"import json, sys; sys.path[:] = json.loads(sys.argv[2]); from {__name__} import serve; serve(int(sys.argv[1]))"
)
"""Program of the process. It imports from the same folders as this process, and, unlike a process of multiprocessing,
does not run the main script again."""


class TaskProcess:
    """A process that was started for tasks. It ends when this process ends, however that happens."""

    def __init__(self) -> None:
        own, theirs = socket.socketpair()
        with own, theirs:
            command = [sys.executable, "-P", "-c", _MAIN, str(theirs.fileno()), json.dumps(sys.path)]
            self._kills = Kills.here()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
                pass_fds=[theirs.fileno()],
                process_group=0,  # a Ctrl-C on the keyboard is for the driver, which lets tasks finish
            )
            self.connection = Connection(own.detach())

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def give(self, call: TaskCall) -> None:
        """Begin a task. A process that has died is noticed when its answer is read."""
        with suppress(OSError):
            self.connection.send(call)

    def answer(self) -> Done | Exception:
        """Return what the task left, or the error that it raised. Raises EOFError or OSError if the process died."""
        found: Done | Exception = self.connection.recv()
        return found

    def reason(self) -> str:
        """Return in words how the process, which has died, ended."""
        code = self._process.wait()
        if code == -signal.SIGKILL and self._kills is not None and self._kills.more():
            return "was killed by the kernel, as there was no memory left"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def end(self) -> None:
        """End the process at once; a task that it is at counts as not begun."""
        self.connection.close()
        self._process.kill()
        self._process.wait()


def serve(descriptor: int) -> None:
    """Do the tasks that arrive until the driver ends: the main function of the process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # sent to a whole group or unit: for the driver
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_end_with_driver, args=(descriptor,), daemon=True).start()
    os.dup2(2, 1)  # what libraries print goes to standard error: standard output has the answer of the command alone
    connection = Connection(descriptor)
    while True:
        try:
            call: TaskCall = connection.recv()
        except EOFError:
            return
        try:
            answer: Done | Exception = call.perform()
        except Exception as error:
            answer = portable(error)
        connection.send(answer)


def _end_with_driver(descriptor: int) -> None:
    """End this process, also in the middle of a task, when the driver's end of the connection is closed."""
    poller = select.poll()
    poller.register(descriptor, 0)  # a hang-up is always reported
    poller.poll()
    os._exit(1)
