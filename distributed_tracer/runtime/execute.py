"""Execute: creates the executor that a configuration asks for, and gives it the units of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing

from ..config import JobConfig
from ..plan.work import Outcome, WorkUnit
from .executor import Commit, Executor, MakeWorker, new_worker
from .ray.environment import keep_ray_offline
from .signals import GracefulShutdown
from .telemetry.progress import ProgressTracker, show_progress


def executor_for(
    config: JobConfig,
    commit: Commit | None,
    num_units: int = 0,
    make_worker: MakeWorker | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Executor:
    """Return the executor that the configuration asks for; modules that only the other one needs are not imported.

    `num_units` is the number of units that the executor will be given; it is exported as a metric. `make_worker`
    creates workers for work other than tracing. Once `stopped` returns True, an executor on Ray does not begin further
    units and does not wait for workers that are still loading.
    """
    make_worker = make_worker or new_worker
    if config.run.local:
        from .local import LocalExecutor

        return LocalExecutor(config, commit, make_worker)
    keep_ray_offline()
    from .ray.executor import RayExecutor
    from .ray.metrics import Metrics

    return RayExecutor(config, commit, make_worker, Metrics(num_units), stopped)


def run_units(
    config: JobConfig,
    units: Iterable[WorkUnit],
    tracker: ProgressTracker,
    record: Callable[[Outcome], None],
    make_worker: MakeWorker,
    stopping: GracefulShutdown,
    commit: Commit | None = None,
) -> None:
    """Run units until all are done or a signal stops the run, and call `record` with every outcome.

    `commit` makes the parts count that workers write; None is for workers that write no parts. `tracker` is shown if
    the configuration asks for progress.
    """
    executor = executor_for(config, commit, tracker.total, make_worker, lambda: stopping.requested)
    with (
        show_progress(tracker, config.run.progress and config.run.log_format == "text") as show,
        closing(executor.run(stopping.take_until_stopped(units))) as outcomes,
    ):
        for outcome in outcomes:
            record(outcome)
            show(outcome)
