"""Execute: creates the executor that a configuration asks for."""

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
