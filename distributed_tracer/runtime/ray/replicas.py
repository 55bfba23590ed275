"""Group: the actors that share one set of transcoders, placed together and dismissed together. Most often one alone."""

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
from .actors import WorkerActor
from .cluster import cpus_per_worker, threads_here
from .deaths import Place
from .prompt_message import TOO_LARGE, CannotTravel, Parcel


@dataclass(eq=False)
class ReplicaHandle:
    """An actor, its share of the work, and what it was asked: by reference, oldest first."""

    group: ReplicaGroup
    actor: Any
    placing: Any
    loading: Any
    deadline: float
    share: WorkerQueue = field(default_factory=WorkerQueue)
    asked: dict[Any, UnitBatch] = field(default_factory=dict)
    loaded: bool = False
    since: float = 0.0
    """When it began with the oldest call."""
    helpers: list[ReplicaHandle] = field(default_factory=list)
    """Idle ones lent to it."""
    helps: ReplicaHandle | None = None

    def pending(self) -> list[Any]:
        """References to what it has not answered yet."""
        return list(self.asked) if self.loaded else [self.loading]

    def ask(self, call: UnitBatch) -> None:
        """Ask it to trace, or to write. Raises CannotTravel, for one prompt or several."""
        if not call:
            ref = self.actor.flush.remote()
        else:
            parcels = [Parcel.of(unit) for unit in call]
            try:
                ref = self.actor.trace.remote(*parcels)
            except TOO_LARGE as error:
                size = sum(len(parcel.packed) for parcel in parcels)
                raise CannotTravel(f"Ray has no room for its {size:,} bytes: {in_short(error)}") from error
        if not self.asked:
            self.since = time.monotonic()
        self.asked[ref] = call

    def answered(self, ref: Any) -> UnitBatch:
        """What the answer is to."""
        self.since = time.monotonic()
        self.free_helpers()
        return self.asked.pop(ref)

    def free_helpers(self) -> None:
        """What they helped with is over."""
        for helper in self.helpers:
            helper.helps = None
        self.helpers.clear()

    def running(self) -> UnitBatch:
        """What it was asked first and has not answered: nothing, or to write, is the same here."""
        return next(iter(self.asked.values()), FLUSH)

    @property
    def place(self) -> Place | None:
        """Where it is or was, if it ever had a place."""
        try:
            found: Place | None = ray.get(self.placing) if ready([self.placing]) else None
        except ray.exceptions.RayError:
            return None
        return found

    @property
    def name(self) -> str:
        """`host:pid on address`."""
        return self.place.name if self.place else "without a place"

    def at_work(self) -> str:
        """What it is doing, as far as is known here."""
        if not self.loaded:
            return "loading the model"
        if self.helps is not None:
            return "helping with another worker's prompt"
        if not self.asked:
            return "idle"
        running = self.running()
        if not running:
            return "writing a part"
        first = running[0]
        if len(running) > 1:
            return f"tracing {first.prompt.id!r} or one of {len(running) - 1} prompts after it"
        return f"tracing {first.prompt.id!r}, for the {_nth(first.attempt)} time"

    def waits_too_long(self) -> bool:
        """Whether it has no place yet, and should have one."""
        return not self.loaded and time.monotonic() >= self.deadline and not ready([self.placing])


class ReplicaGroup:
    """Its replicas trace different prompts, and ask each other for what of the transcoders they do not keep."""

    def __init__(self, config: JobConfig, make_worker: MakeWorker) -> None:
        """Asks Ray for the actors; they are placed and loaded when that is possible."""
        run = config.run
        needs = {"CPU": float(cpus_per_worker(run)), "GPU": run.gpus_per_worker}
        self._placement = placement_group([needs] * run.slices, strategy="PACK") if run.slices > 1 else None
        self.replicas = [self._replica(index, config, make_worker) for index in range(run.slices)]
        if self._placement is not None:
            actors = [replica.actor for replica in self.replicas]
            for actor in actors:
                actor.join.remote(actors)  # after `load`, before any `trace`: an actor does one thing after another

    def _replica(self, index: int, config: JobConfig, make_worker: MakeWorker) -> ReplicaHandle:
        run, strategy = config.run, self._strategy(index)
        actor = WorkerActor.options(
            num_cpus=cpus_per_worker(run), num_gpus=run.gpus_per_worker, scheduling_strategy=strategy
        ).remote()
        placing = actor.placed.remote()
        loading = actor.load.remote(make_worker, config, threads_here(run), Shard(index, run.slices))
        return ReplicaHandle(self, actor, placing, loading, time.monotonic() + run.placement_seconds)

    def _strategy(self, index: int) -> PlacementGroupSchedulingStrategy | str:
        if self._placement is None:
            return "SPREAD"
        return PlacementGroupSchedulingStrategy(self._placement, placement_group_bundle_index=index)

    def dismiss(self) -> None:
        """End its actors: those that are not dead may only be unreachable, and would keep their place and memory."""
        for replica in self.replicas:
            replica.free_helpers()
            ray.kill(replica.actor)
        if self._placement is not None:
            remove_placement_group(self._placement)


def _nth(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def ready(refs: list[Any]) -> list[Any]:
    """Those that have been answered."""
    return ray.wait(refs, num_returns=len(refs), timeout=0)[0] if refs else []
