"""Outcome: what became of a step: a result of mining with its certificates, or why there is none."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, ResultError, StoreCorrupt, StoreError, StoreUnavailable
from ..mine.result import Result

DONE, LEFT_OUT = "done", "left out"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a mining step and of the certificates of its findings."""

    step: str
    kind: str
    """Kind of the result: the mining command that makes it."""
    about: str = ""
    result: Result | None = None
    why: str = ""
    """Why there is no result."""
    certificates: Result | None = None
    why_uncertified: str = ""
    """Why there are no certificates."""

    @property
    def status(self) -> str:
        """`done` or `left out`."""
        return LEFT_OUT if self.result is None else DONE


def reason(error: Exception, folder: Path | None = None) -> str:
    """Return why a step is left out, given the error that it ended with, without the place of the step's `folder`.

    Reraises an error that says nothing about the step, and after which the others would fail as well: a full disk, an
    outage, or a worker that died.
    """
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        raise error
    is_of_step = isinstance(error, InputError | ResultError | StoreError)
    if not is_of_step or isinstance(error, StoreUnavailable | StoreCorrupt):
        raise error
    text = " ".join(str(error).split())
    if folder is not None:
        text = re.sub(rf"\bthe [a-z]+ at {re.escape(str(folder))} ", "it ", text)
        text = text.replace(f"{folder.parent}/", "")
    return text
