"""Cost of scheduling from 8 to 1,024 replicas: the real driver, with virtual workers.

    python benchmarks/scheduler.py [--replicas 8 64 256 1024] [--prompts-per-replica 1000] [--json out.json]
    python benchmarks/scheduler.py --replicas 1024 --prompts 1000000 --commit-ms 60

The corpus, the plan, the schedule, the commits and the progress are the real ones: prompts go through `PromptQueue` and
`make_plan`, `Schedule` distributes them, `OutcomeRecorder` and `Ledger` commit real parts to a store on disk. Workers
are virtual: each takes as long as the plan's cost predicts, times a random factor, plus a fixed part that the plan does
not know; some die, and some prompts kill every worker. Time is virtual, except for the driver's: the real time that it
takes to handle an answer is measured and also passes on the virtual clock, and meanwhile other answers wait.
`--commit-ms` adds the time of a commit where the store is not a local disk, `--call-ms` the time that Ray takes of the
driver for each call, as benchmarks/ray_calls.py measures it.

efficiency   seconds spent on prompts that were then done, as a share of all replicas' seconds from start to end
tail         share of replicas' seconds after the last prompt was handed out, when they had nothing to do
lost         seconds spent loading, on prompts that a death interrupted or undid, and replacing workers
driver       seconds of this process per prompt, and its peak memory above what it held before the first prompt
commits      parts committed, and how many per (virtual) second
ETA          time left as progress shows it after a tenth and after half of the run, divided by what it then took
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from unittest import mock

import process_memory

from distributed_tracer.config import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    RunConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
)
from distributed_tracer.job.summary import OutcomeRecorder
from distributed_tracer.plan.machine import WorkerResources
from distributed_tracer.plan.plan import make_plan
from distributed_tracer.plan.prompt_queue import PromptQueue
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.ray.executor import CALL_SECONDS
from distributed_tracer.runtime.reply import WorkerReply
from distributed_tracer.runtime.schedule import FLUSH, Schedule, UnitBatch, WorkerQueue
from distributed_tracer.runtime.telemetry.progress import ProgressTracker
from distributed_tracer.shapes import ModelShape, TranscoderShape
from distributed_tracer.store.format.part_manifest import PartManifest, PromptSummary
from distributed_tracer.store.ledger import COMMITS_AT_ONCE, Ledger

MODEL = ModelShape("gemma2", 26, 2304, 8, 4, 256, 256_000, 8192, 2_600_000_000)
SETS = TranscoderShape(
    "plt", 26, 2304, (16384,) * 26, "ln2.hook_normalized", "hook_mlp_out", "jump_relu", False, 1_970_000_000
)
PARTS = StoreConfig("")
MACHINE = WorkerResources(True, None, 3e13)
LATENCY = 0.002
"""Seconds that a call or an answer is in transit."""
LOADING, WRITING = 60.0, 1.0
"""Seconds to load a model, and to write a part."""
MEAN_LIFE = 4 * 3600.0
"""Mean seconds of work after which a worker dies."""
EDGES, OBJECTS = 20_000, 77
"""Number of edges of a pruned graph, and of objects of a part: as in the demo's store."""
UNKNOWN = 0.15
"""Seconds of each prompt that the plan does not know."""


@dataclass(frozen=True)
class Result:
    """One run. Times of replicas are virtual seconds; times of the driver are real ones."""

    replicas: int
    prompts: int
    done: int
    failed: int
    deaths: int
    seconds: float
    efficiency: float
    tail: float
    lost: float
    driver_seconds: float
    driver_bytes: int
    calls: int
    commits: int
    eta_after_tenth: float
    eta_after_half: float


@dataclass(eq=False)
class Replica:
    """A virtual worker: loads, then answers one call after another, until it dies."""

    born: float
    queue: WorkerQueue = field(default_factory=WorkerQueue)
    waiting: deque[tuple[float, UnitBatch]] = field(default_factory=deque)
    """Calls that have not begun, with their time of arrival."""
    running: bool = False
    part: list[PromptSummary] = field(default_factory=list)
    part_since: float = 0.0
    last_free: float = 0.0
    pending_seconds: float = 0.0


class Cluster:
    """Events in the order of virtual time, and one driver that handles them one by one."""

    commit_seconds = call_seconds = 0.0

    def __init__(
        self, units: Iterator[WorkUnit], replicas: int, recorder: OutcomeRecorder, tracker: ProgressTracker, seed: int
    ) -> None:
        self.schedule, self.recorder, self.tracker = Schedule(units, 3, CALL_SECONDS * replicas), recorder, tracker
        self.random = random.Random(seed)
        self.events: list[tuple[float, int, Replica, UnitBatch, WorkerReply | None]] = []
        self.now = self.useful = self.driver_seconds = self.last_handed_out = 0.0
        self.commits = self.calls = self.deaths = self.number = 0
        self.paces: list[tuple[float, float]] = []
        self.ends: list[float] = []
        self.replicas = {self.hire() for _ in range(replicas)}

    def hire(self) -> Replica:
        replica = Replica(self.now)
        self.at(self.now + LOADING * self.random.uniform(0.9, 1.3), replica, FLUSH, WorkerReply())
        return replica

    def at(self, when: float, replica: Replica, call: UnitBatch, reply: WorkerReply | None) -> None:
        """Schedule an event at the driver: a reply, or, without one, the news of a death."""
        self.number += 1
        heapq.heappush(self.events, (when, self.number, replica, call, reply))

    def run(self) -> None:
        """Run until every prompt is done or given up."""
        loaded: set[Replica] = set()
        while self.schedule.has_work() or any(replica.queue.units for replica in self.replicas):
            self.now = max(self.now, self.events[0][0])
            answers = list(self._arrived())
            started = time.perf_counter()
            manifests = [reply.manifest for _, _, reply in answers if reply is not None and reply.manifest is not None]
            self.recorder.commit(*manifests)
            idle = {replica for replica, _, _ in answers}
            for replica, call, reply in answers:
                if reply is None:
                    self._bury(replica)
                    idle |= {other for other in loaded if not other.queue.calls}
                elif replica in loaded:
                    self._took(replica, call, reply)
                else:
                    loaded.add(replica)
            loaded &= self.replicas
            asked = {other: list(self.schedule.next_calls(other.queue)) for other in idle & loaded}
            if any(call for calls in asked.values() for call in calls):
                self.last_handed_out = self.now
            spent = time.perf_counter() - started + self.call_seconds * len(answers)
            spent += self.commit_seconds * -(-len(manifests) // COMMITS_AT_ONCE)
            self.now, self.driver_seconds = self.now + spent, self.driver_seconds + spent
            for other, calls in asked.items():
                other.waiting.extend((self.now + LATENCY, call) for call in calls)
                self._begin(other)
        self.ends += [self.now - replica.born for replica in self.replicas]

    def _arrived(self) -> Iterator[tuple[Replica, UnitBatch, WorkerReply | None]]:
        """Yield what has arrived by now, except what replicas that are dead by then had sent."""
        while self.events and self.events[0][0] <= self.now:
            _, _, replica, call, reply = heapq.heappop(self.events)
            if replica in self.replicas:
                yield replica, call, reply

    def _took(self, replica: Replica, call: UnitBatch, reply: WorkerReply) -> None:
        replica.running = False
        self.calls += 1
        for outcome in self.schedule.settle(replica.queue, call, reply):
            self._tell(outcome)
        if reply.manifest is not None:
            for outcome in self.schedule.part_committed(replica.queue, reply.manifest):
                self._tell(outcome)
            self.commits += 1
            self.useful, replica.pending_seconds = self.useful + replica.pending_seconds, 0.0

    def _bury(self, replica: Replica) -> None:
        self.deaths += 1
        self.replicas.remove(replica)
        self.ends.append(self.now - replica.born)
        for outcome in self.schedule.worker_lost(replica.queue, "killed"):
            self._tell(outcome)
        if self.schedule.has_work():
            self.replicas.add(self.hire())

    def _tell(self, outcome: Outcome) -> None:
        self.recorder.record(outcome)
        self.tracker.add(outcome)
        if outcome.status == "traced" and self.tracker.num_worked * 100 // self.tracker.total > len(self.paces):
            self.paces.append((self.now, self.tracker.seconds_left(self.now) or 0.0))

    def _begin(self, replica: Replica) -> None:
        """Take the next call on the worker's side, if there is one and the worker is free."""
        if replica.running or not replica.waiting:
            return
        replica.running = True
        arrived, call = replica.waiting.popleft()
        now, outcomes, manifest = max(arrived, replica.last_free), [], None
        for unit in call:
            seconds = (unit.expected_seconds + UNKNOWN) * self.random.lognormvariate(0.0, 0.2)
            if unit.prompt.id.startswith("poison") or self.random.random() < seconds / MEAN_LIFE:
                self.at(now + seconds * self.random.random() + 1.0, replica, call, None)
                return
            now += seconds
            outcomes.append(self._outcome(replica, unit, now, seconds))
        full = len(replica.part) >= PARTS.part_edges // EDGES or now - replica.part_since >= PARTS.part_seconds
        if not call or (replica.part and full):
            now, manifest = now + WRITING, self._manifest(replica)
        replica.last_free = now
        self.at(now + LATENCY, replica, call, WorkerReply(tuple(outcomes), manifest))

    @staticmethod
    def _outcome(replica: Replica, unit: WorkUnit, now: float, seconds: float) -> Outcome:
        name, expected, tokens = unit.prompt.id, unit.expected_seconds, len(unit.prompt.tokens or ())
        if name.startswith("bad"):
            return Outcome(name, "failed", "trace", "bad", expected_seconds=expected)
        if not replica.part:
            replica.part_since = now
        replica.pending_seconds += seconds
        replica.part.append(PromptSummary(name, tokens, 10, 800, EDGES, 1000, 0.5, 0.5, unit.prompt.content_hash))
        times = {"seconds": seconds, "expected_seconds": expected}
        return Outcome(name, "traced", **times, replacement=0.5, completeness=0.5)

    @staticmethod
    def _manifest(replica: Replica) -> PartManifest:
        entries, replica.part = tuple(replica.part), []
        return PartManifest(
            uuid.uuid4().hex, entries, {f"edges/weight/c/{n}": (10**6, "0" * 64) for n in range(OBJECTS)}
        )


def corpus(count: int, seed: int) -> Iterator[Prompt]:
    """Yield prompts with lengths of a heavy tail; one in 2,000 cannot be traced, one in 50,000 kills its worker."""
    draw = random.Random(seed)
    for number in range(count):
        kind = "bad" if draw.random() < 1 / 2000 else "poison" if draw.random() < 1 / 50_000 else "prompt"
        length = max(4, min(512, round(draw.lognormvariate(3.6, 0.8))))
        yield Prompt(f"{kind}-{number}", tokens=(2, *(number % 1000 + n for n in range(length))))


def measure(replicas: int, num_prompts: int, folder: Path, seed: int = 0) -> Result:
    """Run the whole corpus once."""
    config = JobConfig(
        ModelConfig("model"),
        TranscoderConfig("transcoders"),
        CorpusConfig("prompts"),
        StoreConfig(str(folder / uuid.uuid4().hex)),
        TraceConfig(max_feature_nodes=7500, sweep_dtype="bfloat16"),
        RunConfig(workers=replicas, gpus_per_worker=1),
    )
    process_memory.reset_peak()
    held = process_memory.held_bytes() or 0
    queue = PromptQueue(corpus(num_prompts, seed))
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": {}})
    queue.mark_done(ledger.content_hashes())
    plan = make_plan(queue, MODEL, SETS, config, MACHINE)
    count, seconds = plan.total()
    recorder = OutcomeRecorder(ledger)
    cluster = Cluster(
        plan.fitting(), replicas, recorder, tracker := ProgressTracker(count, seconds, lambda: cluster.now), seed
    )
    with mock.patch("distributed_tracer.store.commits._check_whole"):  # virtual parts have no objects to check
        cluster.run()
    peak = process_memory.peak_bytes() or 0
    recorder.flush()
    summary = recorder.summary("", num_prompts, 0, cluster.now)
    assert summary.num_done + summary.num_failed == num_prompts, "something was lost"
    assert ledger.done() == {p.id for p in corpus(num_prompts, seed)} - ledger.failures().keys()
    assert tracker.num_worked == num_prompts
    total = sum(cluster.ends)
    tail = replicas * (cluster.now - cluster.last_handed_out)
    return Result(
        replicas,
        num_prompts,
        summary.num_done,
        summary.num_failed,
        cluster.deaths,
        cluster.now,
        cluster.useful / total,
        tail / total,
        1 - cluster.useful / total - tail / total,
        cluster.driver_seconds,
        peak - held,
        cluster.calls,
        cluster.commits,
        *(_eta(cluster, percent) for percent in (10, 50)),
    )


def _eta(cluster: Cluster, percent: int) -> float:
    """Return predicted over actual time left when `percent` of the prompts were traced."""
    if len(cluster.paces) < percent:
        return float("nan")
    then, left = cluster.paces[percent - 1]
    return left / (cluster.now - then)


HEAD = (
    *("replicas", "prompts", "failed", "deaths", "hours", "efficiency", "tail", "lost"),
    *("driver ms", "driver MB", "calls", "commits", "a second", "ETA 10%", "ETA 50%"),
)


def cells(r: Result) -> list[str]:
    """Return the cells of one line under HEAD."""
    return [
        *(f"{n:,}" for n in (r.replicas, r.prompts, r.failed, r.deaths)),
        f"{r.seconds / 3600:.2f}",
        *(f"{share:.1%}" for share in (r.efficiency, r.tail, r.lost)),
        *(f"{1000 * r.driver_seconds / r.prompts:.3f}", f"{r.driver_bytes / 1e6:.0f}"),
        *(f"{r.calls:,}", f"{r.commits:,}", f"{r.commits / r.seconds:.2f}"),
        *(f"{eta:.2f}" for eta in (r.eta_after_tenth, r.eta_after_half)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, nargs="+", default=[8, 64, 256, 1024])
    parser.add_argument("--prompts-per-replica", type=int, default=1000)
    parser.add_argument("--prompts", type=int, help="in all, instead")
    parser.add_argument("--commit-ms", type=float, default=0.0)
    parser.add_argument("--call-ms", type=float, default=0.0)
    parser.add_argument("--json")
    args = parser.parse_args()
    Cluster.commit_seconds, Cluster.call_seconds = args.commit_ms / 1000, args.call_ms / 1000
    results = []
    print(" ".join(f"{name:>10}" for name in HEAD), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for replicas in args.replicas:
            results.append(measure(replicas, args.prompts or replicas * args.prompts_per_replica, Path(folder)))
            print(" ".join(f"{cell:>10}" for cell in cells(results[-1])), flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(vars(args) | {"results": [asdict(r) for r in results]}, indent=1))


if __name__ == "__main__":
    main()
