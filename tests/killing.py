"""Runs the command line as a process of its own, which can be killed with signal 9 while it works."""

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
    """Start a command of distributed-tracer."""
    program = [sys.executable, "-m", "distributed_tracer", *command]
    return subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*command: str) -> str:
    """Run a command to its end and return its output. It must succeed."""
    process = start(*command)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    return printed


def kill_until_done(
    command: list[str], has_begun: Callable[[], bool], check: Callable[[], None], longest_wait: float, most: int
) -> None:
    """Start the command again and again, kill it at random moments, up to `most` times, and then let it finish.

    Kills come after `has_begun`, and `check` examines what each killed command left. On a fast machine the command may
    finish before it is killed. The first kill therefore comes as soon as `has_begun`, so that at least one takes
    effect.
    """
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
