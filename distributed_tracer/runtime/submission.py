"""Submission: what is sent to a cluster's job server, a job file or `trace` with its flags. No Ray in here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import JobConfig
from ..errors import ConfigError

_SECRET_IN_ADDRESS = re.compile(r"://([^/\s]*@|\S*\?)")


@dataclass(frozen=True)
class Submission:
    """A command for the head, and the folder that it runs in, which is sent along."""

    entrypoint: str
    folder: Path | None = None


def of_file(file: str, arguments: Sequence[str], python: str) -> Submission:
    """A job file, in its own folder, which is all that it may import. Raises ConfigError."""
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"there is no job file {file}; flags of trace come after --, as in: submit -- --model M ...")
    folder = path.resolve().parent
    if Path.home().resolve().is_relative_to(folder):
        raise ConfigError(f"all of {folder} would be sent with {path.name}: keep job files in a folder of their own")
    return Submission(shlex.join([python, path.name, *arguments]), folder)


def of_flags(flags: Sequence[str], config: JobConfig, python: str) -> Submission:
    """`trace` with flags that were read as `config`. Raises ConfigError for what means nothing on another machine, or
    would show a password to all who can list jobs."""
    given = {
        "--prompts": config.corpus.prompts,
        "--store": config.store.store,
        "--model": config.model.model,
        "--transcoders": config.transcoders.transcoders,
    }
    if config.corpus.prompts == "-":
        raise ConfigError("--prompts - is standard input, which stays on this machine: give a file that the head sees")
    for flag, value in given.items():
        if _SECRET_IN_ADDRESS.search(value):
            raise ConfigError(f"{flag} is an address with a password or signature, and the job server shows commands")
        may_be_hub_id = flag in ("--model", "--transcoders") and not Path(value).exists()
        if "://" not in value and not Path(value).is_absolute() and not may_be_hub_id:
            raise ConfigError(f"{flag} {value} is a place on this machine: give an absolute path that all nodes share")
    return Submission(shlex.join([python, "-m", "distributed_tracer", "trace", *flags]))
