"""The Ray actor around a Worker: it holds one and forwards calls to it. It has no logic that needs tests of its own."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import ray

from ...config import JobConfig, TraceConfig
from ...plan.control_group import Kills
from ...transcoder.shard import Shard
from ..executor import MakeWorker
from ..reply import WorkerReady, WorkerReply
from ..telemetry.logs import keep_worker_logs
from .deaths import Place
from .prompt_message import Parcel, unpacked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ...prompt import Prompt
    from ...trace.edge_block_io import SerializedBlock
    from ..worker import Worker

_SHARD_METHODS = ("encode", "encode_candidates", "encoder_rows", "decoder_rows", "decoder_bias", "skip")


class WorkerActor:
    """The actor of one replica. It has been placed when `placed` returns, and loaded when `load` returns."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._loaded = threading.Event()

    def placed(self) -> Place:
        """Return the name and location of this process; the reply comes as soon as the process runs."""
        address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # untyped in Ray
        name = f"{socket.gethostname()}:{os.getpid()} on {address}"
        return Place(name, ray.get_runtime_context().get_node_id(), Kills.here())

    def load(self, make_worker: MakeWorker, config: JobConfig, threads: int, shard: Shard) -> WorkerReady:
        """Load model and transcoders. This is a separate call so that its errors keep their own type."""
        keep_worker_logs(config.run.log_format)
        if 0 < config.run.gpus_per_worker < 1:
            from ..prompt_attempt import keep_to_share

            keep_to_share(config)
        make = make_worker if shard.count == 1 else partial(make_worker, shard=shard)
        self._worker = make(config, threads)
        self._loaded.set()
        return WorkerReady(supports_helpers=hasattr(self._worker, "helpers"))

    def join(self, group: Sequence[Any]) -> None:
        """Use these actors, one for each shard, for the transcoders that this process does not hold."""
        from .remote_shard import sharing

        loaded = self._here().loaded
        loaded.transcoders = sharing(loaded.kept, group)

    def trace(self, *parcels: Parcel) -> WorkerReply:
        """Trace the prompts in the parcels; a prompt that cannot be unpickled is reported as failed."""
        units, unread = unpacked(parcels)
        reply = self._here().trace(*units)
        return replace(reply, outcomes=(*unread, *reply.outcomes))

    def flush(self) -> WorkerReply:
        """Write the traced graphs as a part."""
        return self._here().flush()

    def open_session(self, prompt: Prompt, config: TraceConfig) -> str:
        """Prepare to compute rows of a prompt for another actor; return the fingerprint of its active features."""
        return self._here().open_session(prompt, config)

    def compute_batch(self, fingerprint: str, chosen_F: npt.NDArray[np.int64], number: int) -> SerializedBlock:
        """Compute a batch of rows of the prompt that was prepared last."""
        return self._here().compute_batch(fingerprint, chosen_F, number)

    @ray.method(concurrency_group="background")
    def add_helper(self, helper: Any) -> None:
        """Add another, idle actor as a helper with the prompt that this actor traces."""
        from .remote_helper import RemoteHelper

        self._here().helpers.offer(RemoteHelper(helper))

    @ray.method(concurrency_group="pulse")
    def pulse(self) -> float:
        """Return a number that differs from the previous one if this process has made progress: see `Worker.steps`.

        If the worker counts no steps or is still loading, the number is the clock, so that an answer suffices.
        """
        steps = getattr(self._worker, "steps", None)
        return time.monotonic() if steps is None else float(steps)

    @ray.method(concurrency_group="background")
    def call_shard(self, method: str, *args: Any) -> Any:
        """Call a method of the shard held here, while prompts are being traced; wait first until it is loaded.

        Raises FilesChanged if the weights changed, because the calling process sees only the files of its own machine.
        """
        from .remote_shard import moved

        self._loaded.wait()
        assert method in _SHARD_METHODS
        loaded = self._here().loaded
        answer = moved(getattr(loaded.kept, method)(*moved(args, loaded.kept.device)), "cpu")
        loaded.files.check()
        return answer

    def _here(self) -> Worker:
        assert self._worker is not None, "load comes first"
        return self._worker


_OPTIONS: dict[str, Any] = {
    "max_restarts": 0,
    "max_task_retries": 0,
    "concurrency_groups": {"background": 1, "pulse": 1},
}
RemoteWorkerActor: Any = ray.remote(**_OPTIONS)(WorkerActor)
"""The actor class as Ray starts it. Ray's restarts and retries are off, because the Schedule decides about a lost
worker's prompts."""
