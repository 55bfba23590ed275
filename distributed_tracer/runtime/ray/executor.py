"""RayExecutor: fulfils the same contract as LocalExecutor on a Ray cluster, with one model replica per actor.

Ray's own retries and restarts are switched off. The loop keeps at most two calls in flight per actor, waits for any
reply, and replaces an actor that dies; the Schedule decides what happens to its prompts. Work begins as soon as the
first actor is loaded. Other actors join when Ray has placed them, on machines that were there at the start or joined
later. Actors that share one set of transcoders are ended together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import ray

from ...config import JobConfig
from ...errors import ConfigError, WorkerLost
from ...plan.work import Outcome, WorkUnit
from ..executor import Commit, MakeWorker, committed, new_worker
from ..reply import WorkerReady, WorkerReply
from ..schedule import Schedule
from .cluster import ACTOR_LOST_ERRORS, connected, cpus_per_worker, describe_resources, warn_about_unused_gpus
from .deaths import Deaths, no_room_for_answer
from .hung_workers import Watch
from .lend_idle import assign_helpers
from .metrics import Metrics
from .prompt_message import TOO_LARGE, CannotTravel
from .replicas import ReplicaGroup, ReplicaHandle, ready

_log = logging.getLogger(__name__)

CALL_SECONDS = 0.003
"""Seconds of work that a call should carry, for each worker in the run. The driver needs about half of that for a call,
its reply and the wait for both (benchmarks/ray_calls.py), so it is idle half of the time."""
_MAX_FAILED_STARTS = 3
"""Number of consecutive workers, per configured worker, that may die while loading before the run ends. It is counted
per worker because a machine that dies ends several workers at once."""
_NOTICE_SECONDS = 2.0
"""Seconds by which an actor may learn of another actor's death earlier than this process does."""


@dataclass
class _Answers:
    """The replies and errors that came back from actors."""

    ready: dict[Any, WorkerReady] = field(default_factory=dict)
    """Replies to `load` calls, by object reference."""
    replies: dict[Any, WorkerReply] = field(default_factory=dict)
    """Replies to all other calls, by object reference."""
    dead: dict[ReplicaHandle, str] = field(default_factory=dict)
    """Actors that died, with the reason."""
    orphaned: dict[ReplicaHandle, str] = field(default_factory=dict)
    """Actors that could not continue because another actor of their group died, with the reason."""
    failed: BaseException | None = None
    """An error that ends the run, if there was one."""

    @classmethod
    def of(cls, answered: Mapping[Any, ReplicaHandle], deaths: Deaths) -> _Answers:
        found = cls()
        for ref, replica in answered.items():
            try:
                answer = ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, WorkerLost):
                    found.orphaned[replica] = str(error.cause)
                elif isinstance(error.cause, TOO_LARGE):
                    found.dead.setdefault(replica, no_room_for_answer(replica.name, error.cause))
                else:
                    found.failed = error.cause or error
            except ACTOR_LOST_ERRORS as error:
                if replica not in found.dead:
                    found.dead[replica] = deaths.reason(replica.name, replica.place, error)
            else:
                (found.ready if isinstance(answer, WorkerReady) else found.replies)[ref] = answer
        return found


class RayExecutor:
    """Executor that works on Ray actors."""

    def __init__(
        self,
        config: JobConfig,
        commit: Commit | None,
        make_worker: MakeWorker = new_worker,
        metrics: Metrics | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = config
        self._commit = commit
        self._metrics = metrics or Metrics()
        self._make_worker = make_worker
        self._stopped = stopped
        self._watch = Watch(config.run.stuck_seconds)
        self._deaths = Deaths()
        self._groups: list[ReplicaGroup] = []
        self._failed_starts = 0
        self._warned_of_waiting = False

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        """Trace the units as `Executor.run` specifies. Raises ConfigError if Ray cannot place any actor."""
        run, units = self._config.run, iter(units)
        first = list(islice(units, run.workers))  # to start no more groups than there are units
        schedule = Schedule(chain(first, units), run.attempts, CALL_SECONDS * run.workers)
        with connected(run):
            warn_about_unused_gpus(run)
            try:
                for outcome in self._work(schedule, -(-len(first) // run.slices)):
                    self._metrics.count(outcome)
                    yield outcome
            finally:
                for group in self._groups:
                    group.shut_down()
                self._groups.clear()
                self._metrics.end()

    @property
    def _replicas(self) -> list[ReplicaHandle]:
        return [replica for group in self._groups for replica in group.replicas]

    def _work(self, schedule: Schedule, num_groups: int) -> Iterator[Outcome]:
        while schedule.has_work() or any(replica.queue.units for replica in self._replicas):
            if self._stopped():
                schedule.withdraw()
            while schedule.has_work() and len(self._groups) < num_groups:
                self._groups.append(ReplicaGroup(self._config, self._make_worker))
            replicas = self._replicas
            for replica in replicas:
                if replica.loaded:
                    yield from self._ask(replica, schedule)
            if not schedule.has_work():
                assign_helpers(replicas, schedule)
            replica_of = {ref: replica for replica in replicas for ref in replica.pending()}
            if replica_of and ray.wait(list(replica_of), num_returns=1, timeout=1.0)[0]:
                # take all replies that have arrived: each wait on thousands of calls is slow, and so is each commit
                yield from self._receive({ref: replica_of[ref] for ref in ready(list(replica_of))}, schedule)
            self._look_after_waiting()
            yield from self._give_up_stuck(schedule)
            self._metrics.watch(replicas)

    def _ask(self, replica: ReplicaHandle, schedule: Schedule) -> Iterator[Outcome]:
        """Send a replica its next calls; a prompt that cannot be sent fails alone."""
        for call in schedule.next_calls(replica.queue):
            try:
                replica.ask(call)
            except CannotTravel as error:
                yield from schedule.call_not_sent(replica.queue, call, str(error))

    def _receive(self, answered: Mapping[Any, ReplicaHandle], schedule: Schedule) -> Iterator[Outcome]:
        """Handle the replies that arrived together, and then the actors that died."""
        found = _Answers.of(answered, self._deaths)
        for ref, worker in found.ready.items():
            answered[ref].loaded, answered[ref].supports_helpers = True, worker.supports_helpers
            self._failed_starts = 0
        yield from self._settle([(answered[ref], ref, reply) for ref, reply in found.replies.items()], schedule)
        if found.failed is not None:
            raise found.failed
        for group in dict.fromkeys(replica.group for replica in [*found.dead, *found.orphaned]):
            yield from self._lost(group, found, schedule)

    def _settle(
        self, replies: Sequence[tuple[ReplicaHandle, Any, WorkerReply]], schedule: Schedule
    ) -> Iterator[Outcome]:
        """Yield the outcomes of replies, and commit all their parts in one call.

        The prompts of the parts are then done, except for those of refused parts.
        """
        for replica, ref, reply in replies:
            yield from schedule.settle(replica.queue, replica.answered(ref), reply)
        written = [(replica, reply.manifest) for replica, _, reply in replies if reply.manifest is not None]
        refused = committed(self._commit, [manifest for _, manifest in written])
        self._metrics.commit(manifest for _, manifest in written if manifest.part not in refused)
        for replica, manifest in written:
            if manifest.part in refused:
                yield from schedule.part_refused(replica.queue, manifest, refused[manifest.part])
            else:
                yield from schedule.part_committed(replica.queue, manifest)

    def _lost(self, group: ReplicaGroup, found: _Answers, schedule: Schedule) -> Iterator[Outcome]:
        """End a group with a dead actor: keep the replies that it still gave, and give the schedule the rest back."""
        known = any(replica in found.dead for replica in group.replicas)
        replica_of = {ref: replica for replica in group.replicas for ref in replica.in_flight}
        if not known and replica_of:
            ray.wait(list(replica_of), num_returns=len(replica_of), timeout=_NOTICE_SECONDS)
        late = _Answers.of({ref: replica_of[ref] for ref in ready(list(replica_of))}, self._deaths)
        dead = {**late.dead, **found.dead}
        for replica, reason in dead.items():
            _log.warning("%s, while %s. %s", reason, replica.at_work(), _next(replica))
        self._groups.remove(group)
        group.shut_down()
        for replica in group.replicas:
            if replica in dead and not replica.loaded:
                self._failed_starts += 1
                if self._failed_starts >= _MAX_FAILED_STARTS * self._config.run.workers:
                    raise WorkerLost(
                        f"{self._failed_starts} workers in a row died while loading the model: {dead[replica]}"
                    )
        yield from self._settle([(replica_of[ref], ref, reply) for ref, reply in late.replies.items()], schedule)
        for replica in group.replicas:
            reason = (
                dead.get(replica) or found.orphaned.get(replica) or "another one that it shared transcoders with died"
            )
            yield from schedule.worker_lost(replica.queue, reason, blamed=replica in dead)

    def _give_up_stuck(self, schedule: Schedule) -> Iterator[Outcome]:
        """Treat workers that make no progress as dead. A part that such a worker still writes is never committed."""
        found = _Answers(dead=self._watch.look(self._replicas, schedule))
        for group in dict.fromkeys(replica.group for replica in found.dead):
            yield from self._lost(group, found, schedule)

    def _look_after_waiting(self) -> None:
        """Warn once if Ray could not place some of the actors in time; raise ConfigError if it placed none."""
        replicas = self._replicas
        waiting = [replica for replica in replicas if replica.waits_too_long()]
        if not waiting or (self._warned_of_waiting and len(waiting) < len(replicas)):
            return
        run = self._config.run
        found = f"{len(replicas) - len(waiting)} of {len(replicas)} workers found a place"
        each = f"Each asks for {cpus_per_worker(run)} CPUs and {run.gpus_per_worker:g} GPUs"
        if run.slices > 1:
            each += f", {run.slices} at a time"
        if len(waiting) == len(replicas):
            raise ConfigError(
                f"{found} within {run.placement_seconds:g} seconds. {each}; free: {describe_resources()}. Try fewer "
                "--workers, --threads or --gpus-per-worker, more machines in the cluster, or, where they start on "
                "demand, more --placement-seconds."
            )
        _log.warning("%s. %s; free: %s. The others join when there is room.", found, each, describe_resources())
        self._warned_of_waiting = True


def _next(replica: ReplicaHandle) -> str:
    """Return a sentence for the log on what happens to the prompts of a worker that died."""
    if not replica.loaded:
        return "Another one is started in its place."
    count = len(replica.queue.units)
    prompts = (
        "The one prompt that it had not stored is" if count == 1 else f"{count} prompts that it had not stored are"
    )
    return f"{prompts} given out again; another worker takes its place if there is work left."
