"""Tasks of mining whose process is killed, once, after it has done the task and before the task counts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from distributed_tracer.mine.result import Result
from distributed_tracer.tasks.phases import Execute
from distributed_tracer.tasks.task import Done, Place, Task, TaskCall


def content(result: Result) -> dict[str, bytes]:
    return {name: (result.path / name).read_bytes() for name in result.info["files"]}


def mortal(place: Place, name: str, arguments: Mapping[str, Any], mark: str) -> Any:
    """Do a task and, if none did so before, kill this process before the task counts."""
    value = resolve_name(name)(place, **arguments)
    with suppress(FileExistsError):
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def killing(execute: Execute, phase: str, folder: Path) -> Execute:
    """Let the first process that has done a task of a phase die before the task counts."""

    def run(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        def deadly(call: TaskCall) -> TaskCall:
            task = call.task
            more = {"name": task.name, "arguments": task.arguments, "mark": str(folder / phase)}
            return replace(call, task=Task(mortal, more)) if call.folder.startswith(f"{phase}/") else call

        return execute([deadly(call) for call in calls])

    return run


def disk_free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def noting(place: Place, name: str, arguments: Mapping[str, Any], folder: str) -> Any:
    """Do a task and leave a file that is named after the machine of a Ray cluster that did it."""
    import ray  # takes seconds, and other tests do not need it

    Path(folder, ray.get_runtime_context().get_node_id()).touch()
    return resolve_name(name)(place, **arguments)
