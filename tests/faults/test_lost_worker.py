"""Worker processes die, for real; the store ends up the same."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from jobs_of_cases import LOCAL, job, plain_rows, units_of

from distributed_tracer.config import JobConfig, RunConfig, TraceConfig
from distributed_tracer.errors import ConfigError, WorkerLost
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ONE = RunConfig(workers=1, threads=1, attempts=2, progress=False)
POISON = {"id": "poison", "text": "the state of Dallas is the state of Dallas"}


def make_mortal_worker(config: JobConfig, threads: int) -> Any:
    """A worker whose process ends, without a word, when it meets the poisonous prompt."""
    from distributed_tracer.runtime.worker import Worker

    class Mortal(Worker):
        def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
            if unit.prompt.id == "poison":
                time.sleep(0.5)  # so that the answer to the prompt before, which may be under way, is not lost
                os._exit(1)
            return super().graph_of(unit, config)

    return Mortal(config, threads)


PLACES = {
    "loading": ("distributed_tracer.runtime.prompt_attempt", "load_transcoders"),
    "encoding": ("distributed_tracer.trace.attribute", "encode"),
    "between rows": ("distributed_tracer.trace.attribute:Frontier", "next_round"),
    "pruning": ("distributed_tracer.trace.dense_graph:DenseGraph", "pruned"),
    "writing": ("distributed_tracer.store.backend.local", "_write_synced"),
    "answering": ("distributed_tracer.runtime.worker", "WorkerReply"),
}
"""What a worker calls in each phase. The answer meant is the first that says that a part was written."""


def make_dying_worker(marks: Path, config: JobConfig, threads: int) -> Any:
    """A worker whose process is killed in the first phase in which none was, as marks say."""
    from distributed_tracer.runtime.worker import Worker

    phase = next((phase for phase in PLACES if not (marks / phase).exists()), None)
    if phase is not None:
        place, name = PLACES[phase]
        owner = resolve_name(place)
        found = getattr(owner, name)

        def dying(*args: Any, **options: Any) -> Any:
            reply = found(*args, **options) if phase == "answering" else None
            if reply is None or (reply.outcomes and reply.manifest):
                (marks / phase).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return reply

        setattr(owner, name, dying)
    return Worker(config, threads)


def make_stopping_worker(marks: Path, config: JobConfig, threads: int) -> Any:
    """A worker whose process is stopped, not ended, when it first meets a prompt."""
    from distributed_tracer.runtime.worker import Worker

    class Stopping(Worker):
        def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
            if unit.prompt.id == "p1" and not list(marks.iterdir()):
                (marks / str(os.getpid())).touch()
                # to this thread: sent to the process, it may take effect on another thread first, after this prompt
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            return super().graph_of(unit, config)

    return Stopping(config, threads)


class Stays(int):
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("I stay here")


class Arrives(int):
    """Can be pickled, and not read again."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def make_stillborn_worker(marks: Path, config: JobConfig, threads: int) -> Any:
    """Ends its process while it should load, and leaves a mark."""
    (marks / str(os.getpid())).touch()
    os._exit(1)


def ledger_of(config: JobConfig) -> Ledger:
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    return ledger


def digest_here(config: JobConfig, tmp_path: Path) -> str:
    """What the same prompts give in this process, undisturbed."""
    here = replace(config, store=replace(config.store, store=str(tmp_path / "reference")), run=LOCAL)
    run_job(here)
    return open_store(here.store.store).digest()


def test_a_killed_worker_costs_time_but_no_prompt(ray_cluster: None, tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(6), ONE)
    ledger = ledger_of(config)
    outcomes = []
    for outcome in RayExecutor(config, ledger.commit).run(units_of(config)):
        outcomes.append(outcome)
        if len(outcomes) == 3:  # three graphs are in the worker's memory, and written nowhere
            os.kill(int(outcome.worker.rpartition(":")[2]), signal.SIGKILL)
    statuses = [outcome.status for outcome in outcomes]
    assert statuses[:3] == ["traced"] * 3
    assert statuses.count("retried") in (3, 4, 5)  # those three, and what it was running, if it had begun
    assert statuses.count("done") == 6
    assert len({outcome.worker for outcome in outcomes if outcome.status == "traced"}) == 2
    assert open_store(config.store.store).digest() == digest_here(config, tmp_path)


def test_workers_may_die_in_every_phase(ray_cluster: None, tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(8), replace(ONE, attempts=len(PLACES) + 1), part_prompts=2)
    (tmp_path / "marks").mkdir()
    ledger, make_worker = ledger_of(config), partial(make_dying_worker, tmp_path / "marks")
    outcomes = list(RayExecutor(config, ledger.commit, make_worker).run(units_of(config)))
    assert {mark.name for mark in (tmp_path / "marks").iterdir()} == set(PLACES)
    assert [outcome.status for outcome in outcomes].count("done") == 8
    store = tmp_path / "store"
    committed = {commit.name[11:43] for commit in (store / "commits").iterdir()}
    assert len({part.name for part in (store / "parts").iterdir()} - committed) == 2, "of writing and answering"
    assert open_store(config.store.store).digest() == digest_here(config, tmp_path)


def test_a_prompt_that_kills_every_process_is_given_up_and_the_rest_is_done(
    ray_cluster: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = job(tmp_path, [POISON, *plain_rows(4)], ONE)
    ledger = ledger_of(config)
    outcomes = list(RayExecutor(config, ledger.commit, make_mortal_worker).run(units_of(config)))
    of_poison = [(o.status, o.phase, o.attempt) for o in outcomes if o.prompt_id == "poison"]
    assert of_poison == [("retried", "worker", 1), ("failed", "worker", 2)]
    reason = str(next(o.reason for o in outcomes if o.status == "failed"))
    assert re.match(r"2 worker processes died while tracing it; the last: worker \S+:\d+ on \S+ died \(Ray: .", reason)
    first, second = (r.getMessage() for r in caplog.records if r.name == "distributed_tracer.runtime.ray.executor")
    assert re.match(r"worker \S+:\d+ on \S+ died \(Ray: .+\), while tracing 'poison', for the first time\. ", first)
    assert re.search(r"while tracing 'poison', for the second time\. The one prompt that it had not stored is", second)
    assert ledger.done() == {f"p{n}" for n in range(4)}
    innocent = replace(config, corpus=job(tmp_path, plain_rows(4), store="innocent").corpus)
    assert open_store(config.store.store).digest() == digest_here(innocent, tmp_path)


def test_a_worker_that_is_stopped_is_warned_of_and_replaced(
    ray_cluster: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = job(tmp_path, plain_rows(3), replace(ONE, stuck_seconds=6.0))
    (tmp_path / "marks").mkdir()
    ledger, make_worker = ledger_of(config), partial(make_stopping_worker, tmp_path / "marks")
    outcomes = list(RayExecutor(config, ledger.commit, make_worker).run(units_of(config)))
    (stopped,) = (int(mark.name) for mark in (tmp_path / "marks").iterdir())
    warnings = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    warning, replaced = (w for w in warnings if f":{stopped} on" in w)  # on a busy machine others are slow as well
    assert re.search(rf":{stopped} on \S+ has done nothing for \d+ s, while tracing 'p1'", warning)
    assert re.search(rf":{stopped} on \S+ did not answer for \d+ s, and is given up, while tracing 'p1'", replaced)
    assert [outcome.status for outcome in outcomes].count("done") == 3
    assert [outcome.attempt for outcome in outcomes if (outcome.prompt_id, outcome.status) == ("p1", "done")] == [2]
    assert open_store(config.store.store).digest() == digest_here(config, tmp_path)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{stopped}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{stopped}").exists(), "it still has memory, and a place in the cluster"


def test_prompts_that_cannot_travel_fail_alone(ray_cluster: None, tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(5), ONE)
    units, ledger = units_of(config), ledger_of(config)
    things = {"p1": Stays(), "p2": Arrives()}
    for unit in units:
        if unit.prompt.id in things:
            object.__setattr__(unit.prompt, "metadata", {"thing": things[unit.prompt.id]})
    outcomes = list(RayExecutor(config, ledger.commit).run(units))
    reasons = {outcome.prompt_id: str(outcome.reason) for outcome in outcomes if outcome.status == "failed"}
    assert sorted(reasons) == ["p1", "p2"]
    assert reasons["p1"] == "it cannot be sent to a worker: TypeError: I stay here"
    assert reasons["p2"].startswith("a worker cannot read it as it was sent: ValueError: invalid literal for int")
    assert ledger.done() == {"p0", "p3", "p4"}


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.thorough), 2])
def test_a_model_that_no_worker_survives_loading_ends_the_run(workers: int, ray_cluster: None, tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(4), replace(ONE, workers=workers))
    (tmp_path / "marks").mkdir()
    executor = RayExecutor(config, lambda *manifests: None, partial(make_stillborn_worker, tmp_path / "marks"))
    with pytest.raises(WorkerLost, match=f"{3 * workers} workers in a row died while loading the model"):
        list(executor.run(units_of(config)))
    assert 3 * workers <= len(list((tmp_path / "marks").iterdir())) <= 4 * workers


def test_workers_without_a_place_are_an_error_that_says_what_is_free(ray_cluster: None, tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(2), RunConfig(workers=2, threads=1, gpus_per_worker=1, placement_seconds=0.5))
    executor = RayExecutor(config, lambda *manifests: None)
    with pytest.raises(ConfigError, match=r"0 of 2 workers.*1 CPUs and 1 GPUs; free: . of 2 CPUs, 0 of 0 GPUs"):
        list(executor.run(units_of(config)))
