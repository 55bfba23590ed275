"""What every executor promises, on real models, stores and Ray actors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import job, plain_rows, units_of

from distributed_tracer.config import JobConfig, ModelConfig, RunConfig, TraceConfig
from distributed_tracer.errors import ModelError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.runtime.executor import Commit, Executor, MakeWorker, new_worker
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

ROWS = [
    *plain_rows(4),
    {"id": "bad target", "text": "the state of", "targets": ["no such token"]},
    {"id": "bug", "text": "the state is"},
    {"id": "large", "text": "the state of Dallas is Dallas"},
    {"id": "huge", "text": "the capital of Dallas"},
]
ON_RAY = (pytest.mark.ray, pytest.mark.slow)
RUNS = {
    "here": RunConfig(local=True, threads=1, progress=False),
    "here, overlapped": RunConfig(local=True, threads=1, progress=False),
    "one actor": RunConfig(workers=1, threads=1, progress=False),
    "two actors": RunConfig(workers=2, threads=1, progress=False),
    "two slices": RunConfig(workers=2, slices=2, threads=1, progress=False),
}


def make_troubled_worker(config: JobConfig, threads: int, **options: Any) -> Any:
    """A worker with prompts in which it hits a bug, or memory that suffices for small sweeps only, or never."""
    from distributed_tracer.runtime.worker import Worker

    class Troubled(Worker):
        def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
            if unit.prompt.id == "bug":
                raise ZeroDivisionError("in the middle\nof a graph")
            if unit.prompt.id == "huge" or (unit.prompt.id == "large" and config.sweep_rows > 16):
                raise MemoryError("too many rows")
            return super().graph_of(unit, config)

    return Troubled(config, threads, **options)


def executor(config: JobConfig, commit: Commit, make_worker: MakeWorker = new_worker) -> Executor:
    if config.run.local:
        from distributed_tracer.runtime.local import LocalExecutor

        return LocalExecutor(config, commit, make_worker)
    from distributed_tracer.runtime.ray.executor import RayExecutor

    return RayExecutor(config, commit, make_worker)


@dataclass
class Finished:
    """A run, and what the ledger said was done when an outcome arrived."""

    config: JobConfig
    outcomes: list[Outcome]
    done_then: list[set[str]]

    def last(self) -> dict[str, Outcome]:
        return {outcome.prompt_id: outcome for outcome in self.outcomes}


@pytest.fixture(
    scope="module",
    params=[
        "here",
        "here, overlapped",
        pytest.param("one actor", marks=[*ON_RAY, pytest.mark.thorough]),
        pytest.param("two actors", marks=ON_RAY),
        pytest.param("two slices", marks=ON_RAY),
    ],
)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    run = RUNS[request.param]
    if not run.local:
        request.getfixturevalue("ray_cluster")
    config = job(tmp_path_factory.mktemp("run"), ROWS, run, part_prompts=2)
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    result = Finished(config, [], [])
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "here, overlapped":  # parts are written beside the tracing, as on a GPU
            patch.setattr("distributed_tracer.runtime.worker.overlap_helps", lambda *about: True)
        for outcome in executor(config, ledger.commit, make_troubled_worker).run(units_of(config)):
            result.outcomes.append(outcome)
            result.done_then.append(ledger.done())
    return result


def test_every_prompt_ends_once_as_done_or_failed(finished: Finished) -> None:
    ends = Counter(o.prompt_id for o in finished.outcomes if o.status in ("done", "failed"))
    assert ends == Counter(row["id"] for row in ROWS)


def test_a_prompt_is_done_only_after_its_part_is_committed(finished: Finished) -> None:
    for outcome, done in zip(finished.outcomes, finished.done_then, strict=True):
        if outcome.status == "done":
            assert outcome.prompt_id in done
        if outcome.status == "traced":
            assert outcome.prompt_id not in done


def test_parts_are_written_when_full_and_at_the_end(finished: Finished) -> None:
    store = open_store(finished.config.store.store)
    parts = Counter(store.prompts["part"].tolist())
    assert max(parts.values()) == 2
    assert sum(parts.values()) == 5


def test_a_target_that_does_not_resolve_fails_in_tracing(finished: Finished) -> None:
    outcome = finished.last()["bad target"]
    assert (outcome.status, outcome.phase, outcome.attempt) == ("failed", "trace", 1)
    assert "no such token" in str(outcome.reason)


def test_a_bug_fails_its_prompt_and_says_where_it_is(finished: Finished) -> None:
    outcome = finished.last()["bug"]
    assert (outcome.status, outcome.phase) == ("failed", "trace")
    assert str(outcome.reason).startswith("ZeroDivisionError: in the middle (at runtime/worker.py:")


def test_out_of_memory_is_tried_once_more_with_half_the_rows(finished: Finished) -> None:
    of_large = [o.status for o in finished.outcomes if o.prompt_id == "large"]
    assert of_large == ["retried", "traced", "done"]
    of_huge = [o for o in finished.outcomes if o.prompt_id == "huge"]
    assert [o.status for o in of_huge] == ["retried", "failed"]
    assert "sweep_rows=32" in str(of_huge[0].reason)
    assert "sweep_rows=16" in str(of_huge[1].reason)


def test_outcomes_say_sizes_scores_time_and_worker(finished: Finished) -> None:
    store = open_store(finished.config.store.store)
    for outcome in finished.last().values():
        if outcome.status == "done":
            entry = store.entry(outcome.prompt_id)
            assert (outcome.num_nodes, outcome.num_edges) == (entry.num_nodes, entry.num_edges)
            assert (outcome.replacement, outcome.completeness) == (entry.replacement, entry.completeness)
            assert outcome.seconds > 0
            assert outcome.worker.rpartition(":")[2].isdecimal()


def test_the_store_is_the_same_whoever_works(finished: Finished, tmp_path: Path) -> None:
    reference = job(tmp_path, [row for row in ROWS if row["id"] not in ("bug", "huge", "bad target")])
    run_job(reference)
    assert open_store(finished.config.store.store).digest() == open_store(reference.store.store).digest()


@pytest.mark.parametrize("run", ["here", pytest.param("one actor", marks=ON_RAY)])
def test_a_model_that_cannot_be_loaded_ends_the_run_with_its_own_error(
    run: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if run != "here":
        request.getfixturevalue("ray_cluster")
    config = job(tmp_path, plain_rows(1), RUNS[run])
    units = units_of(config)
    broken = replace(config, model=ModelConfig(str(tmp_path / "nothing here")))
    with pytest.raises(ModelError, match="nothing here"):
        list(executor(broken, lambda *manifests: None).run(units))


def test_units_that_end_early_end_the_run_with_everything_traced_committed(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(3))
    manifests: list[PartManifest] = []
    traced: list[str] = []

    def until_one_is_traced() -> Iterator[WorkUnit]:
        for unit in units_of(config):
            if traced:
                return
            yield unit

    for outcome in executor(config, lambda *found: manifests.extend(found)).run(until_one_is_traced()):
        if outcome.status == "traced":
            traced.append(outcome.prompt_id)  # noqa: PERF401  (the generator above looks at it meanwhile)
    assert [entry.id for manifest in manifests for entry in manifest.prompts] == traced
    assert len(traced) == 1
