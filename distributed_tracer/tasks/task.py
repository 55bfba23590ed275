"""Task: a function of this package with arguments, and the folder of files that it leaves when it is finished.

A task writes into a temporary folder, which is renamed once everything is in it: the files, and last `task.json` with
their sizes and digests. So there is never half of a task, whenever its process is killed, and two processes may do the
same task at the same time. Nothing is synced: after a power failure the digests tell which tasks must be done again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import shutil
import traceback
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, TracerError
from ..store.format.checksummed_json import MALFORMED, dump_checksummed, load_checksummed
from ..table_folder import size_and_digest

MARKER, TOKEN = "task.json", "token"
"""Names of the file that makes a task's folder finished, and of the file that says that a folder is the work folder."""

RESULTS = ".parquet"
"""Ending of files that become files of a result, so that their SHA-256 is wanted; others are compared by a digest that
takes a tenth of its time."""
_WORDS, _BLOCK_BYTES = 64, 1 << 20
"""Words of 8 bytes that are added up for the quick digest, which is the size of a disk's sector; bytes read at once."""

TaskFunction = Callable[..., Any]
"""Function at the top level of a module, called as `function(place, **arguments)` with a Place.

It writes files into the folder `place.out`, or into folders in it, may read what earlier phases left in `place.work`,
and returns a small value that JSON can hold. Files and value must depend on nothing but its arguments and what it reads
there.
"""


@dataclass(frozen=True)
class Place:
    """Where a task works."""

    work: Path
    """Folder of all phases, to which the folders of earlier tasks are relative."""
    out: Path
    """Empty folder for the files of this task."""
    given: Mapping[str, Any]
    """What only says where something is, such as the address of a store, and is no part of a task's hash."""


@dataclass(frozen=True)
class Task:
    """A function and its arguments, which JSON can hold."""

    function: TaskFunction
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the function, as `module:function`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    def digest(self, context: Mapping[str, Any]) -> str:
        """Return a hash of what the result depends on: the function, its arguments, and the context of all tasks."""
        text = json.dumps([self.name, dict(self.arguments), dict(context)], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Done:
    """What a finished task left."""

    value: Any
    """What the function returned."""
    folder: str
    """Folder of its files, relative to the work folder, so that it can be an argument of later tasks."""
    files: Mapping[str, tuple[int, str]]
    """Size and digest of each file, by its path in the folder: SHA-256 if it ends in RESULTS, else `quick_digest`."""


@dataclass(frozen=True)
class TaskCall:
    """A task as an executor passes it to a worker process, by pickle; the function is pickled by its name."""

    work: str
    token: str
    """Content of the file TOKEN in the work folder."""
    folder: str
    task: Task
    given: Mapping[str, Any]

    def perform(self) -> Done:
        """Do the task, or find that another process has finished it meanwhile.

        Raises what the function raises, and ConfigError if this process does not see the work folder.
        """
        check_work_folder(self.work, self.token)
        work = Path(self.work)
        place = work / self.folder
        temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}.tmp")
        temporary.mkdir(parents=True)
        try:
            value = self.task.function(Place(work, temporary, self.given), **self.task.arguments)
            paths = [path for path in sorted(temporary.rglob("*")) if path.is_file()]
            files = {path.relative_to(temporary).as_posix(): list(_size_and_digest(path)) for path in paths}
            document = {"task": self.task.name, "folder": self.folder, "value": value, "files": files}
            (temporary / MARKER).write_bytes(dump_checksummed(document))
            try:
                os.rename(temporary, place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        found = finished(work, self.folder, check_files=False)
        if found is None:
            raise OSError(errno.EIO, f"the result of {self.task.name} is gone from", str(place))
        return found


def quick_digest(path: Path) -> str:
    """Return a digest that says whether a file lost sectors, or has others: SHA-256 of the sums of each sector's words.

    A file that someone altered on purpose may have the same digest.
    """
    digest, block = hashlib.sha256(), np.empty(_BLOCK_BYTES, dtype=np.uint8)
    with path.open("rb") as file:
        while size := file.readinto(block.data):
            end = -(-size // (8 * _WORDS)) * 8 * _WORDS
            block[size:end] = 0
            digest.update(block[:end].view(np.uint64).reshape(-1, _WORDS).sum(axis=1).tobytes())
    return f"sums:{digest.hexdigest()}"


def _size_and_digest(path: Path) -> tuple[int, str]:
    return size_and_digest(path) if path.suffix == RESULTS else (path.stat().st_size, quick_digest(path))


def finished(work: Path, folder: str, check_files: bool = True) -> Done | None:
    """Return what a finished task left in a folder; None if it is not finished, or if its files are damaged."""
    try:
        document = load_checksummed((work / folder / MARKER).read_bytes())
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in document["files"].items()}
        if document["folder"] != folder:
            return None
        if check_files:
            for name, expected in files.items():
                path = work / folder / name
                if path.stat().st_size != expected[0] or _size_and_digest(path) != expected:
                    return None
        return Done(document["value"], folder, files)
    except (OSError, *MALFORMED):
        return None


def check_work_folder(work: str, token: str) -> None:
    """Raise ConfigError if this process does not see the work folder of the process that gives out the tasks."""
    path = Path(work) / TOKEN
    try:
        is_same = path.read_text(encoding="ascii") == token
    except (OSError, ValueError):
        is_same = False
    if not is_same:
        raise ConfigError(
            f"{os.uname().nodename} does not see the folder {work}: all machines that work on a result must have "
            "it under the same path; give --out on a file system that they share"
        )


def portable(error: Exception) -> Exception:
    """Return an error that can be sent to another process; one that does not come from us says where it happened."""
    if not isinstance(error, TracerError | OSError):
        error.add_note("".join(traceback.format_exception(error)).rstrip())
    with suppress(Exception):  # many errors with their own constructor arguments cannot be pickled
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # a pickle of our own
            return error
    found = TracerError(f"{type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", ()):
        found.add_note(note)
    return found
