"""Cluster: connects to a running Ray cluster, or starts Ray on this machine for the run."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray._private import utils

from ...config import RunConfig
from ...errors import ConfigError
from ...plan.machine import num_cores
from ..executor import threads_per_worker
from ..telemetry.untrusted_text import in_short
from .import_path import DriversPath
from .local_cluster import started_here
from .object_store import object_store_bytes
from .reachability import check_listens, within

_log = logging.getLogger(__name__)

_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
_WAIT_LONGER = "--connect-seconds (of doctor, --timeout-seconds) waits longer; --local works without Ray."
ACTOR_LOST_ERRORS = (
    ray.exceptions.RayActorError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,
)
"""Exceptions that Ray raises for calls to an actor that died."""


@contextmanager
def connected(run: RunConfig) -> Iterator[None]:
    """Use the Ray cluster that this process is connected to, or else connect as configured and disconnect at the end.

    Inside a Ray job, the job's cluster is used. The output of workers stays in Ray's log files. Raises ConfigError if
    there is no cluster at the address, after `connect_seconds` at the latest.
    """
    if ray.is_initialized():
        yield
        return
    address = run.ray_address or os.environ.get("RAY_ADDRESS")
    with ExitStack() as stack:
        try:
            if address and address != "local":
                stack.callback(ray.shutdown)
                with _signals_kept():
                    _connect(address, run.connect_seconds)
            else:
                stack.enter_context(started_here(partial(_init_here, run)))
        except ConfigError:
            raise
        except Exception as error:  # Ray has no exception type for a machine too busy to start its processes in time
            where = f"at {address}" if address else "on this machine"
            message = in_short(error).removesuffix(".")
            raise ConfigError(f"cannot use Ray {where}: {message}. --local works without Ray.") from error
        yield


def _init_here(run: RunConfig, **options: Any) -> None:
    num_cpus = max(num_cores(), run.workers * cpus_per_worker(run))
    room = object_store_bytes(Path(options["_temp_dir"]).parent)
    with _signals_kept():
        ray.init(
            address="local",
            num_cpus=num_cpus,
            object_store_memory=room,
            include_dashboard=False,
            job_config=DriversPath(),
            **_QUIET,
            **options,
        )


def _connect(address: str, seconds: float) -> None:
    """Connect to a running cluster. Raises ConfigError after `seconds` at the latest.

    Ray would retry for ever at an address where nothing listens. So the address is tried by a plain connection first.
    Then a thread connects to Ray, and that thread is abandoned if Ray's call does not return.
    """
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"{address} is the address of a dashboard, and a run connects to the head's own port: --ray-address "
            "HOST:6379 or auto, on a machine of the cluster. From elsewhere: submit --address HTTP_ADDRESS -- FLAGS."
        )
    began = time.monotonic()
    if address != "auto":
        try:
            within(seconds, lambda: check_listens(address, seconds))
        except OSError as error:
            took = f"after {time.monotonic() - began:.0f} of {seconds:g} s"
            raise ConfigError(
                f"nothing answers at {address}, the address of Ray, {took}: {in_short(error)}. Is the cluster up, its "
                f"head's port (6379, or that of ray start --head --port) open to this machine? {_WAIT_LONGER}"
            ) from error
    left = max(began + seconds - time.monotonic(), 1.0)
    try:
        within(left, lambda: ray.init(address=address, job_config=DriversPath(), **_QUIET))
    except ConnectionError as error:
        if address != "auto":
            raise
        raise ConfigError(
            f"auto finds no Ray cluster on this machine ({in_short(error)}). Start one (ray start --head), or give "
            "--ray-address HOST:PORT of one; without --ray-address a run starts Ray here by itself."
        ) from error
    except TimeoutError as error:
        raise ConfigError(
            f"no Ray cluster at {address} let this program in within {seconds:g} s, though "
            f"{'one was started here' if address == 'auto' else 'something listens there'}. Is it the head's port "
            "(6379), and not the dashboard's; does it run, with Ray "
            f"{ray.__version__} as here? {_WAIT_LONGER}"
        ) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the signal handlers that connecting to Ray would replace.

    Ray's handlers end the process at SIGTERM, some of them even while Ray is still starting.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    set_handler, utils.set_sigterm_handler = utils.set_sigterm_handler, lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = set_handler
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def cpus_per_worker(run: RunConfig) -> int:
    """Return the number of CPUs reserved for each actor."""
    return run.threads or 1


def threads_here(run: RunConfig) -> int:
    """Return the CPU threads of each worker on the connected cluster: `run.threads` or, if that is not set, an equal
    share of the cluster's CPUs, but never more than its largest node has."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # untyped in Ray
    return min(threads_per_worker(run, sum(nodes)), max(1, *nodes)) if not run.threads else run.threads


def warn_about_unused_gpus(run: RunConfig) -> None:
    """Log a warning if the cluster has GPUs but the workers request none: Ray would hide the GPUs from them."""
    num_gpus = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]  # untyped in Ray
    if num_gpus and not run.gpus_per_worker:
        _log.warning("%g GPUs are there, and the workers ask for none: see --gpus-per-worker", num_gpus)


def describe_resources() -> str:
    """Return the numbers of free and of all CPUs and GPUs of the cluster, as text for an error message."""
    free, total = ray.available_resources(), ray.cluster_resources()  # type: ignore[no-untyped-call]  # untyped in Ray
    return ", ".join(f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))
