"""A connection to Ray: the cluster that is there, or one started on this machine for the run."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from ..config import RunConfig
from ..errors import ConfigError
from ..plan.machine import num_cores
from .executor import threads_per_worker

_log = logging.getLogger(__name__)

LOST = (
    ray.exceptions.RayActorError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,
)
"""What Ray raises for calls to an actor that is no more."""


@contextmanager
def connected(run: RunConfig) -> Iterator[None]:
    """Use the Ray this process is connected to, else connect as configured and disconnect at the end.

    Inside a Ray job the job's cluster is used. Workers' own output stays in Ray's log files. Raises ConfigError
    where there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = run.ray_address or os.environ.get("RAY_ADDRESS")
    try:
        with _signals_kept():
            if address:
                ray.init(address=address, **quiet)
            else:
                num_cpus = max(num_cores(), run.workers * cpus_per_worker(run))
                ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)
    except (ConnectionError, ValueError, OSError) as error:
        where = f"at {address}" if address else "on this machine"
        raise ConfigError(f"cannot use Ray {where}: {error}. --local works without Ray.") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put handlers back that connecting replaces: Ray's own would abort the process at SIGTERM."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, handler)


def cpus_per_worker(run: RunConfig) -> int:
    """CPUs reserved for each actor."""
    return run.threads or 1


def threads_here(run: RunConfig) -> int:
    """CPU threads of each worker on the connected cluster: never more than its largest node has."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # Ray's gap
    return min(threads_per_worker(run, sum(nodes)), max(1, *nodes)) if not run.threads else run.threads


def remark_on_idle_gpus(run: RunConfig) -> None:
    """Log a warning if the cluster has GPUs and the workers do not ask for any: they would not see one."""
    num_gpus = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]  # Ray's gap
    if num_gpus and not run.gpus_per_worker:
        _log.warning("%g GPUs are there, and the workers ask for none: see --gpus-per-worker", num_gpus)


def describe_resources() -> str:
    """Free and existing CPUs and GPUs, for an error message."""
    free, total = ray.available_resources(), ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's gap
    return ", ".join(f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))
