"""The Ray shell around a Worker: holds one, forwards calls. Nothing here needs a test of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray

from ..config import JobConfig
from ..plan.unit import WorkUnit
from .events import Reply
from .executor import MakeWorker

if TYPE_CHECKING:
    from .worker import Worker


class WorkerShell:
    """One replica. Placed when it answers `placed`, loaded when it answers `load`."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def placed(self) -> None:
        """Answers as soon as the process runs."""

    def load(self, make_worker: MakeWorker, config: JobConfig, threads: int) -> None:
        """Load model and transcoders: a call of its own, so that its errors arrive with their own type."""
        self._worker = make_worker(config, threads)

    def trace(self, unit: WorkUnit) -> Reply:
        assert self._worker is not None, "load comes first"
        return self._worker.trace(unit)

    def flush(self) -> Reply:
        assert self._worker is not None, "load comes first"
        return self._worker.flush()


WorkerActor: Any = ray.remote(max_restarts=0, max_task_retries=0)(WorkerShell)
"""Ray repeats nothing by itself: what becomes of a lost worker's prompts is for the Schedule to say."""
