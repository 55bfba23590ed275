"""RayExecutor: the same contract as LocalExecutor on a Ray cluster, one model replica per actor.

Ray's own retries and restarts are off. This loop asks each actor for at most two things at a time, waits for any
answer, and replaces an actor that dies; the Schedule says what that means for the prompts it had. Work begins with the
first actor that is loaded; others join when they find a place, on machines that were there or come later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import ray

from ..config import JobConfig
from ..errors import ConfigError, WorkerLost
from ..plan.unit import WorkUnit
from .actors import WorkerActor
from .events import Outcome, Reply
from .executor import Commit, MakeWorker, new_worker
from .ray_cluster import connected, cpus_per_worker, describe_resources, remark_on_idle_gpus, threads_here
from .schedule import Call, Schedule, Share

_log = logging.getLogger(__name__)

_LOST = (
    ray.exceptions.RayActorError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,
)
_MAX_FAILED_STARTS = 3
"""So many replacements in a row that die while loading end the run."""


@dataclass(eq=False)
class _Replica:
    """An actor, its share of the work, and what it was asked: by reference, oldest first."""

    actor: Any
    placing: Any
    loading: Any
    deadline: float
    share: Share = field(default_factory=Share)
    asked: dict[Any, Call] = field(default_factory=dict)
    loaded: bool = False

    def pending(self) -> list[Any]:
        return list(self.asked) if self.loaded else [self.loading]

    def ask(self, call: Call) -> None:
        ref = self.actor.flush.remote() if call is None else self.actor.trace.remote(call)
        self.asked[ref] = call

    def waits_too_long(self) -> bool:
        return not self.loaded and time.monotonic() >= self.deadline and not _ready([self.placing])


class RayExecutor:
    """Works on Ray."""

    def __init__(self, config: JobConfig, commit: Commit, make_worker: MakeWorker = new_worker) -> None:
        self._config = config
        self._commit = commit
        self._make_worker = make_worker
        self._replicas: list[_Replica] = []
        self._failed_starts = 0
        self._said_waiting = False

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        """See Executor.run. Raises ConfigError if no actor finds a place."""
        units = iter(units)
        first = list(islice(units, self._config.run.workers))  # no more workers than there is work
        with connected(self._config.run):
            remark_on_idle_gpus(self._config.run)
            try:
                yield from self._work(Schedule(chain(first, units), self._config.run.attempts), len(first))
            finally:
                for replica in self._replicas:
                    ray.kill(replica.actor)
                self._replicas.clear()

    def _work(self, schedule: Schedule, num_replicas: int) -> Iterator[Outcome]:
        while schedule.has_work() or any(r.share.units for r in self._replicas):
            if schedule.has_work():
                self._hire(num_replicas - len(self._replicas))
            for replica in self._replicas:
                if replica.loaded:
                    for call in schedule.next_calls(replica.share):
                        replica.ask(call)
            asked = {ref: replica for replica in self._replicas for ref in replica.pending()}
            if ray.wait(list(asked), num_returns=1, timeout=1.0)[0]:
                # all that is there: to wait on thousands of calls takes its time, and so does a commit
                yield from self._receive({ref: asked[ref] for ref in _ready(list(asked))}, schedule)
            self._look_after_waiting()

    def _receive(self, answered: Mapping[Any, _Replica], schedule: Schedule) -> Iterator[Outcome]:
        """Take answers that came together: commit, settle, and then see who died."""
        replies, dead, failed = self._get(answered)
        self._commit(*(reply.receipt for reply in replies.values() if reply is not None and reply.receipt is not None))
        for ref, reply in replies.items():
            replica = answered[ref]
            if reply is None:
                replica.loaded = True
                self._failed_starts = 0
            else:
                yield from schedule.settle(replica.share, replica.asked.pop(ref), reply)
        if failed is not None:
            raise failed
        for replica, reason in dead.items():
            yield from self._lost(replica, reason, schedule)

    @staticmethod
    def _get(
        answered: Mapping[Any, _Replica],
    ) -> tuple[dict[Any, Reply | None], dict[_Replica, str], BaseException | None]:
        """Replies (None to loading), the dead with the reason, and an error that ends the run."""
        replies: dict[Any, Reply | None] = {}
        dead: dict[_Replica, str] = {}
        failed: BaseException | None = None
        for ref, replica in answered.items():
            try:
                replies[ref] = ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                failed = error.cause or error
            except _LOST as error:
                dead.setdefault(replica, _reason(error))
        return replies, dead, failed

    def _lost(self, replica: _Replica, reason: str, schedule: Schedule) -> Iterator[Outcome]:
        """Take what a dead actor still answered and give everything else back to the schedule."""
        self._replicas.remove(replica)
        ray.kill(replica.actor)  # it may only be unreachable, and would keep its place and memory
        if not replica.loaded:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise WorkerLost(f"{self._failed_starts} workers in a row died while loading the model: {reason}")
        late, _, _ = self._get(dict.fromkeys(_ready(list(replica.asked)), replica))
        for ref, reply in late.items():
            assert reply is not None, "loading was answered before anything else was asked"
            if reply.receipt is not None:
                self._commit(reply.receipt)
            yield from schedule.settle(replica.share, replica.asked.pop(ref), reply)
        yield from schedule.lost(replica.share, reason)

    def _hire(self, count: int) -> None:
        run = self._config.run
        for _ in range(count):
            actor = WorkerActor.options(
                num_cpus=cpus_per_worker(run), num_gpus=run.gpus_per_worker, scheduling_strategy="SPREAD"
            ).remote()
            placing = actor.placed.remote()
            loading = actor.load.remote(self._make_worker, self._config, threads_here(run))
            self._replicas.append(_Replica(actor, placing, loading, time.monotonic() + run.placement_seconds))

    def _look_after_waiting(self) -> None:
        """Say once that some actors wait for a place; raise ConfigError if all do."""
        waiting = [replica for replica in self._replicas if replica.waits_too_long()]
        if not waiting or (self._said_waiting and len(waiting) < len(self._replicas)):
            return
        run = self._config.run
        found = f"{len(self._replicas) - len(waiting)} of {len(self._replicas)} workers found a place"
        each = f"Each asks for {cpus_per_worker(run)} CPUs and {run.gpus_per_worker:g} GPUs"
        if len(waiting) == len(self._replicas):
            raise ConfigError(
                f"{found} within {run.placement_seconds:g} seconds. {each}; free: {describe_resources()}. Try fewer "
                "--workers, --threads or --gpus-per-worker, more machines in the cluster, or, where they start on "
                "demand, more --placement-seconds."
            )
        _log.warning("%s. %s; free: %s. The others join when there is room.", found, each, describe_resources())
        self._said_waiting = True


def _ready(refs: list[Any]) -> list[Any]:
    return ray.wait(refs, num_returns=len(refs), timeout=0)[0] if refs else []


def _reason(error: Exception) -> str:
    """What Ray knows of a death, without its advice and addresses."""
    text = str(error)
    _, found, detail = text.partition("Worker exit detail: ")
    return (detail if found else text).partition(". Some common causes")[0].splitlines()[0]
