"""The Ray shell around a Worker: holds one, forwards calls. Nothing here needs a test of its own."""

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
from ..reply import WorkerReply
from ..telemetry.logs import keep_worker_logs
from .deaths import Place
from .prompt_message import Parcel, unpacked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ...prompt import Prompt
    from ...trace.edge_block_io import SerializedBlock
    from ..worker import Worker

_QUESTIONS = ("encode", "encode_candidates", "encoder_rows", "decoder_rows", "decoder_bias", "skip")


class WorkerShell:
    """One replica. Placed when it answers `placed`, loaded when it answers `load`."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._loaded = threading.Event()

    def placed(self) -> Place:
        """Answers as soon as the process runs: who and where it is."""
        address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray's gap
        name = f"{socket.gethostname()}:{os.getpid()} on {address}"
        return Place(name, ray.get_runtime_context().get_node_id(), Kills.here())

    def load(self, make_worker: MakeWorker, config: JobConfig, threads: int, part: Shard) -> None:
        """Load model and transcoders: a call of its own, so that its errors arrive with their own type."""
        keep_worker_logs(config.run.log_format)
        make = make_worker if part.count == 1 else partial(make_worker, part=part)
        self._worker = make(config, threads)
        self._loaded.set()

    def join(self, group: Sequence[Any]) -> None:
        """From now on, ask these actors, one for each slice, for what this one does not keep."""
        from .remote_shard import sharing

        self._here().transcoders = sharing(self._here().kept, group)

    def trace(self, *parcels: Parcel) -> WorkerReply:
        units, unread = unpacked(parcels)
        reply = self._here().trace(*units)
        return replace(reply, outcomes=(*unread, *reply.outcomes))

    def flush(self) -> WorkerReply:
        return self._here().flush()

    def assist(self, prompt: Prompt, config: TraceConfig) -> str:
        """Prepare to compute rows for another actor."""
        return self._here().assist(prompt, config)

    def assist_with(self, fingerprint: str, chosen_F: npt.NDArray[np.int64], number: int) -> SerializedBlock:
        """Rows of what was prepared last."""
        return self._here().assist_with(fingerprint, chosen_F, number)

    @ray.method(concurrency_group="aside")
    def offer(self, assistant: Any) -> None:
        """Another actor is idle: it may help with what this one is tracing."""
        from .remote_helper import RemoteAssistant

        self._here().assistants.offer(RemoteAssistant(assistant))

    @ray.method(concurrency_group="pulse")
    def pulse(self) -> float:
        """Another number than before if this process has got on since: see Worker.steps. One that counts nothing, or
        is being loaded, gets on if it answers."""
        steps = getattr(self._worker, "steps", None)
        return time.monotonic() if steps is None else float(steps)

    @ray.method(concurrency_group="aside")
    def of_slice(self, question: str, *args: Any) -> Any:
        """Answer for the slice kept here, while prompts are being traced; waits until it is loaded.

        Raises FilesChanged: who asks sees the files of its own machine only.
        """
        from .remote_shard import moved

        self._loaded.wait()
        assert question in _QUESTIONS
        kept = self._here().kept
        answer = moved(getattr(kept, question)(*moved(args, kept.device)), "cpu")
        self._here().files.check()
        return answer

    def _here(self) -> Worker:
        assert self._worker is not None, "load comes first"
        return self._worker


_OPTIONS: dict[str, Any] = {"max_restarts": 0, "max_task_retries": 0, "concurrency_groups": {"aside": 1, "pulse": 1}}
WorkerActor: Any = ray.remote(**_OPTIONS)(WorkerShell)
"""Ray repeats nothing by itself: what becomes of a lost worker's prompts is for the Schedule to say."""
