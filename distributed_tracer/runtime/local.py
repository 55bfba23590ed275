"""LocalExecutor: traces prompts one after another in this process. It is the reference for every other executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator

from ..config import JobConfig
from ..plan.machine import num_cores
from ..plan.work import Outcome, WorkUnit
from .executor import Commit, MakeWorker, PendingOutcomes, after_refusal, committed, new_worker, threads_per_worker
from .reply import WorkerReply


class LocalExecutor:
    """Executor that works in this process, without Ray: on a laptop, in tests, in a debugger."""

    def __init__(self, config: JobConfig, commit: Commit, make_worker: MakeWorker = new_worker) -> None:
        self._config = config
        self._commit = commit
        self._make_worker = make_worker

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        """Trace the units as `Executor.run` specifies. Sets the number of torch's threads in this process."""
        threads = threads_per_worker(self._config.run, num_cores())
        worker = self._make_worker(self._config, threads)
        fresh, again = iter(units), deque[WorkUnit]()
        under_way: dict[str, WorkUnit] = {}
        unwritten = PendingOutcomes()
        while True:
            unit = again.popleft() if again else next(fresh, None)
            if unit is not None:
                under_way[unit.prompt.id] = unit
            reply = worker.flush() if unit is None else worker.trace(unit)
            for outcome in self._settle(unwritten, reply, under_way, again):
                if outcome.status in ("done", "failed"):
                    under_way.pop(outcome.prompt_id, None)
                yield outcome
            if unit is None and not again:
                return

    def _settle(
        self, unwritten: PendingOutcomes, reply: WorkerReply, under_way: dict[str, WorkUnit], again: deque[WorkUnit]
    ) -> Iterator[Outcome]:
        """Yield the outcomes of a reply and commit its part; if that is refused, append its units to `again`."""
        yield from unwritten.receive(reply)
        if reply.receipt is None:
            return
        if refused := committed(self._commit, [reply.receipt]):
            for prompt_id in unwritten.refused(reply.receipt):
                attempts, reason = self._config.run.attempts, refused[reply.receipt.part]
                unit, outcome = after_refusal(under_way.pop(prompt_id), attempts, reason)
                again.extend([] if unit is None else [unit])
                yield outcome
        else:
            yield from unwritten.mark_durable(reply.receipt)
