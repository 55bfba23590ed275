"""LocalExecutor: prompts one after another in this process. The reference for every other executor."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from ..config import JobConfig
from ..plan.machine import num_cores
from ..plan.unit import WorkUnit
from .events import Outcome, Reply
from .executor import Commit, MakeWorker, Unwritten, new_worker, threads_per_worker


class LocalExecutor:
    """Works here, without Ray: on a laptop, in tests, in a debugger."""

    def __init__(self, config: JobConfig, commit: Commit, make_worker: MakeWorker = new_worker) -> None:
        self._config = config
        self._commit = commit
        self._make_worker = make_worker

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        """See Executor.run. Sets the number of torch's threads in this process."""
        threads = threads_per_worker(self._config.run, num_cores())
        worker = self._make_worker(self._config, threads)
        unwritten = Unwritten()
        for unit in units:
            yield from self._settle(unwritten, worker.trace(unit))
        yield from self._settle(unwritten, worker.flush())

    def _settle(self, unwritten: Unwritten, reply: Reply) -> Iterator[Outcome]:
        yield from unwritten.settle(reply)
        if reply.receipt is not None:
            self._commit(reply.receipt)
            yield from unwritten.written(reply.receipt)
