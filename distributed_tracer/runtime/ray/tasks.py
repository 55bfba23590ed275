"""RayTasks: does tasks on a Ray cluster. A worker or a machine that dies costs the tasks that it was at."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterable
from itertools import chain
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...config import RunConfig
from ...errors import ConfigError
from ...tasks.task import Done, TaskCall, check_work_folder, portable
from ..task_attempts import TaskAttempts
from ..telemetry.untrusted_text import in_short
from .cluster import ACTOR_LOST_ERRORS, describe_resources

_log = logging.getLogger(__name__)
_OPTIONS: dict[str, Any] = {"max_retries": 0}  # TaskAttempts decides
_WAIT_SECONDS = 1.0


class RayTasks:
    """Up to `workers` tasks at a time on the connected cluster, with one CPU each."""

    def __init__(self, run: RunConfig) -> None:
        self._run = run
        self._checked: set[str] = set()

    def run(self, calls: Iterable[TaskCall]) -> Generator[tuple[TaskCall, Done]]:
        """Do the calls, which are taken only as there is room, and yield each that is done.

        Raises ConfigError if Ray finds no place for a task, or if a machine does not see the work folder; the first
        error that a task raises; and WorkerLost.
        """
        fresh, again = iter(calls), deque[TaskCall]()
        first = next(fresh, None)
        if first is None:
            return
        self._check_machines(first)
        fresh = chain([first], fresh)
        attempts, busy = TaskAttempts(self._run.attempts), dict[Any, TaskCall]()
        try:
            while True:
                while len(busy) < self._run.workers:
                    call = again.popleft() if again else next(fresh, None)
                    if call is None:
                        break
                    busy[_perform.options(num_cpus=1, scheduling_strategy="SPREAD").remote(call)] = call
                if not busy:
                    return
                for ref in ray.wait(list(busy), num_returns=1, timeout=_WAIT_SECONDS)[0]:
                    call = busy.pop(ref)
                    try:
                        answer: Done | Exception = ray.get(ref)
                    except ACTOR_LOST_ERRORS as error:
                        attempts.lost(call, f"a worker died ({in_short(error)})")
                        again.append(call)
                        continue
                    if isinstance(answer, Exception):
                        raise answer
                    yield call, answer
        finally:
            for ref in busy:
                ray.cancel(ref, force=True)

    def _check_machines(self, call: TaskCall) -> None:
        """Raise ConfigError if the cluster has no free CPU in time, or if one of its machines lacks the work folder.

        Machines that join later are checked by each task. One that does not answer is left to Ray.
        """
        if call.work in self._checked:
            return
        place = _nothing.options(num_cpus=1).remote()
        if not ray.wait([place], timeout=self._run.placement_seconds)[0]:
            ray.cancel(place, force=True)
            raise ConfigError(
                f"no CPU of the cluster was free within {self._run.placement_seconds:g} seconds; free: "
                f"{describe_resources()}. Wait for other work to end, or add machines."
            )
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]  # type: ignore[no-untyped-call]  # untyped in Ray
        there = [
            _check.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
            for node in nodes
        ]
        refs = [check.remote(call.work, call.token) for check in there]
        answered, late = ray.wait(refs, num_returns=len(refs), timeout=self._run.connect_seconds)
        for ref in answered:
            try:
                error = ray.get(ref)
            except ACTOR_LOST_ERRORS:
                continue
            if error is not None:
                raise error
        if late:
            _log.warning("%d of %d machines did not answer in %g s", len(late), len(refs), self._run.connect_seconds)
        self._checked.add(call.work)


@ray.remote(**_OPTIONS)
def _perform(call: TaskCall) -> Done | Exception:
    try:
        return call.perform()
    except Exception as error:
        return portable(error)


@ray.remote(**_OPTIONS)
def _nothing() -> None:
    pass


@ray.remote(**_OPTIONS)
def _check(work: str, token: str) -> Exception | None:
    try:
        check_work_folder(work, token)
    except ConfigError as error:
        return error
    return None
