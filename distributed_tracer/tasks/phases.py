"""Phases: runs phases of tasks in a work folder, and skips every task that an earlier run has finished.

work/token                  names the folder, so that other machines can check that they see the same one
work/PHASE/HASH/            files of a finished task, and task.json
work/PHASE/.HASH.*.tmp/     a task that is under way or was killed
work/PHASE/released         the files of this phase are not needed any more: only the markers are kept
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .task import MARKER, TOKEN, Done, Task, TaskCall, finished

_RELEASED = "released"

Execute = Callable[[Sequence[TaskCall]], Iterator[tuple[TaskCall, Done]]]
"""Does independent calls, in any order and by any number of processes, and yields each with what it left.

It raises the first error that a task raises, WorkerLost for a task whose process dies again and again, and
KeyboardInterrupt if the run was stopped before all calls were done.
"""


def perform_here(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
    """Do the calls one after another in this process."""
    for call in calls:
        yield call, call.perform()


class Phases:
    """The phases of one result. Each is run to its end before the next, whose tasks may depend on its results."""

    def __init__(
        self,
        work: Path,
        context: Mapping[str, Any],
        execute: Execute = perform_here,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Use the folder `work`, which no other run may use meanwhile.

        Finished tasks count only for the same `context`: settings and identity of the data. `given` is passed to
        every task and does not change what it does, such as the address of a store.
        """
        self.work = work.absolute()
        self.given = dict(given or {})
        self._context, self._execute = context, execute
        self._token = uuid.uuid4().hex
        self._released: dict[str, Sequence[Task]] = {}
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / TOKEN).write_text(self._token, encoding="ascii")

    def run(self, phase: str, tasks: Iterable[Task]) -> list[Done]:
        """Do the tasks of a phase that are not done, and return what each task left, in their order.

        Tasks of this phase that an earlier run did for other arguments are removed. Raises as `Execute` does.
        """
        tasks = list(tasks)
        folders = [f"{phase}/{task.digest(self._context)}" for task in tasks]
        assert len(set(folders)) == len(tasks), f"two tasks of {phase} are the same"
        top = self.work / phase
        is_released = (top / _RELEASED).exists()
        done = {}
        if top.exists():
            done = {folder: finished(self.work, folder, check_files=not is_released) for folder in folders}
        if is_released and done and all(done.values()):
            self._released[phase] = tasks
        elif left := [folder for folder in folders if is_released or not done.get(folder)]:
            self._restore()
            (top / _RELEASED).unlink(missing_ok=True)
            self._clear(top, keep=set(folders) - set(left))
            task_of = dict(zip(folders, tasks, strict=True))
            done |= self._perform([(folder, task_of[folder]) for folder in left])
        return [found for folder in folders if (found := done[folder]) is not None]

    def release(self, phase: str) -> None:
        """Remove the files of a phase, whose results no later phase needs; its tasks still count as done."""
        self._released.pop(phase, None)
        top = self.work / phase
        (top / _RELEASED).touch()
        for path in top.glob("*/*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != MARKER:
                path.unlink()

    def _restore(self) -> None:
        """Do phases again whose files were released and are needed after all, because settings such as memory changed
        or because later files are damaged."""
        released, self._released = self._released, {}
        for phase, tasks in released.items():
            shutil.rmtree(self.work / phase)
            self.run(phase, tasks)

    def _perform(self, left: Sequence[tuple[str, Task]]) -> dict[str, Done]:
        calls = [TaskCall(str(self.work), self._token, folder, task, self.given) for folder, task in left]
        done = {call.folder: found for call, found in self._execute(calls)}
        assert len(done) == len(calls), "an executor left tasks out"
        return done

    def _clear(self, top: Path, keep: set[str]) -> None:
        """Remove what is of no use in the folder of a phase: tasks of other arguments, damaged and unfinished ones."""
        top.mkdir(exist_ok=True)
        for path in top.iterdir():
            if f"{top.name}/{path.name}" not in keep:
                shutil.rmtree(path)
