"""The command line as a process of its own, to be killed -9 while it works."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def start(*command: str) -> subprocess.Popen[str]:
    """A command of distributed-tracer under way."""
    program = [sys.executable, "-m", "distributed_tracer", *command]
    return subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*command: str) -> str:
    """What the command prints; it must end well."""
    process = start(*command)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    return printed


def kill_until_done(
    command: list[str], has_begun: Callable[[], bool], check: Callable[[], None], longest_wait: float, most: int
) -> None:
    """Start the command again and again and kill it at random moments after `has_begun`, up to `most` times, checking
    each time what it left; then let it finish. On a fast machine it may finish before its turn to be killed; the first
    kill comes at once, as something is there, so that it hits."""
    rng = random.Random(0)
    num_killed = 0
    for attempt in range(most):
        process = start(*command)
        while process.poll() is None and not has_begun():
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, longest_wait) if attempt else 0.0)
        process.kill()
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
        num_killed += process.returncode != 0
        check()
    assert num_killed > 0, "done too soon to be killed"
    finish(*command)
    check()
