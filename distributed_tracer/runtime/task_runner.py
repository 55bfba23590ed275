"""task_runner: does the tasks of mining in this process, in processes on this machine, or on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from ..config import RunConfig
from ..plan.work import Outcome
from ..tasks.phases import Execute, perform_here
from ..tasks.task import Done, TaskCall
from .ray.environment import keep_ray_offline
from .signals import GracefulShutdown
from .task_processes import TaskProcesses
from .telemetry.progress import ProgressTracker, show_progress

_Perform = Callable[[Iterable[TaskCall]], Generator[tuple[TaskCall, Done], None, None]]


@contextmanager
def task_runner(run: RunConfig) -> Iterator[Execute]:
    """Yield what does the tasks of `mine_atlas` and its like, as the configuration asks for.

    With `ray_address`, or with the environment variable RAY_ADDRESS, up to `workers` tasks run at a time on that
    cluster, and the results must lie on a file system that all of its machines share. Otherwise several workers are
    processes on this machine, and a single one is this process. A first SIGINT, SIGTERM or SIGHUP lets the tasks under
    way finish and then raises KeyboardInterrupt; what is finished is kept. Processes start, and a cluster is used, once
    there is work; the work raises ConfigError if there is no cluster.
    """
    with ExitStack() as stack:
        perform: _Perform | None = None

        def execute(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
            nonlocal perform
            perform = perform or _performer(run, stack)
            return _supervised(run, perform, calls)

        yield execute


def _performer(run: RunConfig, stack: ExitStack) -> _Perform:
    """Return what does tasks as the configuration asks for; `stack` ends it."""
    address = run.ray_address or os.environ.get("RAY_ADDRESS")
    if address and address != "local" and not run.local:
        keep_ray_offline()
        from .ray.cluster import connected
        from .ray.tasks import RayTasks

        stack.enter_context(connected(run))
        return RayTasks(run).run
    if run.workers > 1 and not run.local:
        return stack.enter_context(closing(TaskProcesses(run.workers, run.attempts))).run
    return _here


def _here(calls: Iterable[TaskCall]) -> Generator[tuple[TaskCall, Done], None, None]:
    for call in calls:
        yield from perform_here([call])


def _supervised(run: RunConfig, perform: _Perform, calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
    """Do the calls until a signal asks to stop, and show how far they are."""
    tracker = ProgressTracker(len(calls), float(len(calls)), of="tasks", before="beginning")
    num_done = 0
    with (
        GracefulShutdown(run.log_format) as stopping,
        show_progress(tracker, run.progress and run.log_format == "text") as show,
        closing(perform(stopping.take_until_stopped(calls))) as answers,
    ):
        for call, done in answers:
            num_done += 1
            show(Outcome(call.folder, "done", expected_seconds=1.0))
            yield call, done
    if num_done < len(calls):
        raise KeyboardInterrupt
