"""Runs pip in a process of its own. pip knows the indexes, proxies and passwords that the user configured for it."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable

from ...redact import redacted

_NUM_LINES = 40


def run_pip(*arguments: str, show: Callable[[str], None] = lambda line: None) -> tuple[bool, list[str]]:
    """Run pip, and return whether it succeeded and its last lines. `show` is called with each line as pip prints it.

    No line contains the user part or the query of an address. pip never asks for a password, because nobody may be
    there to give it.
    """
    command = [sys.executable, "-m", "pip", *arguments, "--no-input", "--disable-pip-version-check"]
    lines = deque[str](maxlen=_NUM_LINES)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            lines.append(redacted(line.rstrip("\n")))
            show(lines[-1])
    return pip.returncode == 0, list(lines)


def why_pip_failed(lines: list[str]) -> str:
    """Return the reason for a failure of pip, from its last lines."""
    output = "\n".join(lines)
    if "No space left" in output:
        return "the disk is full; make room and run the same command again: it goes on where it stopped"
    if "No module named pip" in output:
        return "there is no pip in this environment: python -m ensurepip"
    errors = [line.strip() for line in lines if line.lstrip().startswith("ERROR:")] or lines[-5:]
    return " ".join([*errors, *circumstances(lines)])


def circumstances(lines: list[str]) -> list[str]:
    """Return where pip looked, and its last warning: an index that is unreachable or refuses is not an error to it."""
    looked = [line.strip() for line in lines if line.startswith("Looking in ")]
    return looked + [line.strip() for line in lines if line.startswith("WARNING:")][-1:]
