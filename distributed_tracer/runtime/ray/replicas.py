"""ReplicaGroup: the actors that share one set of transcoders and are placed and ended together; usually just one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ...config import JobConfig
from ...transcoder.shard import Shard
from ..executor import MakeWorker
from ..schedule import FLUSH, UnitBatch, WorkerQueue
from ..telemetry.untrusted_text import in_short
from .actors import RemoteWorkerActor
from .cluster import cpus_per_worker, threads_here
from .deaths import Place
from .prompt_message import TOO_LARGE, CannotTravel, Parcel


@dataclass(eq=False)
class ReplicaHandle:
    """The driver's view of one actor: its work queue, and the calls in flight by object reference, oldest first."""

    group: ReplicaGroup
    actor: Any
    placing: Any
    loading: Any
    deadline: float
    queue: WorkerQueue = field(default_factory=WorkerQueue)
    in_flight: dict[Any, UnitBatch] = field(default_factory=dict)
    loaded: bool = False
    supports_helpers: bool = False
    busy_since: float = 0.0
    """Time, by the monotonic clock, at which the actor began the oldest call."""
    helpers: list[ReplicaHandle] = field(default_factory=list)
    """Idle replicas that help this one."""
    helps: ReplicaHandle | None = None

    def pending(self) -> list[Any]:
        """Return the references of the calls that the actor has not answered yet."""
        return list(self.in_flight) if self.loaded else [self.loading]

    def ask(self, call: UnitBatch) -> None:
        """Tell the actor to trace the units of a call, or to write a part if there are none.

        Raises CannotTravel if Ray cannot send the units.
        """
        if not call:
            ref = self.actor.flush.remote()
        else:
            parcels = [Parcel.of(unit) for unit in call]
            try:
                ref = self.actor.trace.remote(*parcels)
            except TOO_LARGE as error:
                size = sum(len(parcel.packed) for parcel in parcels)
                raise CannotTravel(f"Ray has no room for its {size:,} bytes: {in_short(error)}") from error
        if not self.in_flight:
            self.busy_since = time.monotonic()
        self.in_flight[ref] = call

    def answered(self, ref: Any) -> UnitBatch:
        """Record that the call with this reference was answered, free the helpers, and return the call."""
        self.busy_since = time.monotonic()
        self.free_helpers()
        return self.in_flight.pop(ref)

    def free_helpers(self) -> None:
        """Mark the helpers of this replica as idle."""
        for helper in self.helpers:
            helper.helps = None
        self.helpers.clear()

    def running(self) -> UnitBatch:
        """Return the oldest call in flight; it is empty if there is none, or if the actor is to write a part."""
        return next(iter(self.in_flight.values()), FLUSH)

    @property
    def place(self) -> Place | None:
        """Where the actor runs or ran; None if Ray never placed it."""
        try:
            found: Place | None = ray.get(self.placing) if ready([self.placing]) else None
        except ray.exceptions.RayError:
            return None
        return found

    @property
    def name(self) -> str:
        """The actor's name, in the form `host:pid on address`."""
        return self.place.name if self.place else "without a place"

    def at_work(self) -> str:
        """Return words for a message on what the actor is doing, as far as the driver knows."""
        if not self.loaded:
            return "loading the model"
        if self.helps is not None:
            return "helping with another worker's prompt"
        if not self.in_flight:
            return "idle"
        running = self.running()
        if not running:
            return "writing a part"
        first = running[0]
        if len(running) > 1:
            return f"tracing {first.prompt.id!r} or one of {len(running) - 1} prompts after it"
        return f"tracing {first.prompt.id!r}, for the {_nth(first.attempt)} time"

    def waits_too_long(self) -> bool:
        """Whether Ray has not placed the actor by its deadline."""
        return not self.loaded and time.monotonic() >= self.deadline and not ready([self.placing])


class ReplicaGroup:
    """Replicas that trace different prompts and call each other for the transcoders that they do not hold."""

    def __init__(self, config: JobConfig, make_worker: MakeWorker) -> None:
        """Request the actors from Ray, which places and loads them when it can."""
        run = config.run
        needs = {"CPU": float(cpus_per_worker(run)), "GPU": run.gpus_per_worker}
        self._placement = placement_group([needs] * run.slices, strategy="PACK") if run.slices > 1 else None
        self.replicas = [self._replica(index, config, make_worker) for index in range(run.slices)]
        if self._placement is not None:
            actors = [replica.actor for replica in self.replicas]
            for actor in actors:
                actor.join.remote(actors)  # runs after `load` and before any `trace`: an actor runs calls in order

    def _replica(self, index: int, config: JobConfig, make_worker: MakeWorker) -> ReplicaHandle:
        run, strategy = config.run, self._strategy(index)
        actor = RemoteWorkerActor.options(
            num_cpus=cpus_per_worker(run), num_gpus=run.gpus_per_worker, scheduling_strategy=strategy
        ).remote()
        placing = actor.placed.remote()
        loading = actor.load.remote(make_worker, config, threads_here(run), Shard(index, run.slices))
        return ReplicaHandle(self, actor, placing, loading, time.monotonic() + run.placement_seconds)

    def _strategy(self, index: int) -> PlacementGroupSchedulingStrategy | str:
        if self._placement is None:
            return "SPREAD"
        return PlacementGroupSchedulingStrategy(self._placement, placement_group_bundle_index=index)

    def shut_down(self) -> None:
        """End all actors of the group.

        An actor that seems dead may only be unreachable, and would otherwise keep its resources and memory.
        """
        for replica in self.replicas:
            replica.free_helpers()
            ray.kill(replica.actor)
        if self._placement is not None:
            remove_placement_group(self._placement)


def _nth(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def ready(refs: list[Any]) -> list[Any]:
    """Return those of the references whose results have arrived."""
    return ray.wait(refs, num_returns=len(refs), timeout=0)[0] if refs else []
