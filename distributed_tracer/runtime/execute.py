"""Chooses the executor that a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable

from ..config import JobConfig
from .executor import Commit, Executor, MakeWorker, new_worker
from .ray.environment import keep_ray_offline


def executor_for(
    config: JobConfig,
    commit: Commit,
    num_units: int = 0,
    make_worker: MakeWorker | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Executor:
    """The executor that the configuration asks for; what the other one needs is not imported. `num_units` is how many
    it will be given, which it shows to those who watch. `make_worker` is for work other than tracing. Once it is
    `stopped`, units that it was given and has not begun are left alone, and workers that are loading not waited for."""
    make_worker = make_worker or new_worker
    if config.run.local:
        from .local import LocalExecutor

        return LocalExecutor(config, commit, make_worker)
    keep_ray_offline()
    from .ray.executor import RayExecutor
    from .ray.metrics import Metrics

    return RayExecutor(config, commit, make_worker, Metrics(num_units), stopped)
