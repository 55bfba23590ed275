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

    def __init__(self, config: JobConfig, commit: Commit | None, make_worker: MakeWorker = new_worker) -> None:
        self._config = config
        self._commit = commit
        self._make_worker = make_worker

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        """Trace the units as `Executor.run` specifies. Sets the number of torch's threads in this process."""
        threads = threads_per_worker(self._config.run, num_cores())
        worker = self._make_worker(self._config, threads)
        fresh, again = iter(units), deque[WorkUnit]()
        under_way: dict[str, WorkUnit] = {}
        pending = PendingOutcomes()
        while True:
            unit = again.popleft() if again else next(fresh, None)
            if unit is not None:
                under_way[unit.prompt.id] = unit
            reply = worker.flush() if unit is None else worker.trace(unit)
            for outcome in self._settle(pending, reply, under_way, again):
                if outcome.status in ("done", "failed"):
                    under_way.pop(outcome.prompt_id, None)
                yield outcome
            if unit is None and not again and not pending:
                return

    def _settle(
        self, pending: PendingOutcomes, reply: WorkerReply, under_way: dict[str, WorkUnit], again: deque[WorkUnit]
    ) -> Iterator[Outcome]:
        """Yield the outcomes of a reply and commit its part; if that is refused, append its units to `again`."""
        yield from pending.receive(reply)
        manifest = reply.manifest
        if manifest is None:
            return
        if refused := committed(self._commit, [manifest]):
            pending.discard(manifest.prompt_ids)
            for prompt_id in manifest.prompt_ids:
                attempts, reason = self._config.run.attempts, refused[manifest.part]
                unit, outcome = after_refusal(under_way.pop(prompt_id), attempts, reason)
                again.extend([] if unit is None else [unit])
                yield outcome
        else:
            yield from pending.mark_durable(manifest.prompt_ids)
