"""An idle worker helps with the last long prompt, and may die of it: the store stays the same."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import LOCAL, job, units_of

from distributed_tracer.config import JobConfig, RunConfig, TraceConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.runtime.ray import lend_idle
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TRACE = TraceConfig(max_feature_nodes=150, round_size=10, sweep_rows=2)
ROWS = [{"id": "long", "tokens": [1, *range(20, 45)]}, {"id": "short", "tokens": [1, 20, 21]}]


def make_worker(marks: Path, mortal: bool, config: JobConfig, threads: int) -> Any:
    """A worker that takes its time between the rounds of the long prompt, and leaves a mark for each that it helped."""
    from distributed_tracer.runtime.worker import Worker
    from distributed_tracer.trace import attribute

    class Slow(Worker):
        long = False

        def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
            self.long = unit.prompt.id == "long"
            return super().graph_of(unit, config)

        def compute_batch(self, *asked: Any) -> Any:
            (marks / f"{len(list(marks.iterdir()))}").touch()
            if mortal and len(list(marks.iterdir())) == 2:
                os._exit(1)
            return super().compute_batch(*asked)

    worker = Slow(config, threads)
    next_round = attribute.Frontier.next_round

    def slow_round(frontier: Any) -> Any:
        time.sleep(0.4 if worker.long else 0.0)
        return next_round(frontier)

    attribute.Frontier.next_round = slow_round  # type: ignore[method-assign]
    return worker


@pytest.mark.parametrize("mortal", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_an_idle_worker_helps_with_the_last_prompt(
    mortal: bool, ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lend_idle, "MIN_REMAINING_SECONDS", 0.0)
    (marks := tmp_path / "marks").mkdir()
    config = replace(job(tmp_path, ROWS, RunConfig(workers=2, threads=1, progress=False)), trace=TRACE)
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    outcomes = list(RayExecutor(config, ledger.commit, partial(make_worker, marks, mortal)).run(units_of(config)))
    assert sorted(outcome.prompt_id for outcome in outcomes if outcome.status == "done") == ["long", "short"]
    assert not [outcome for outcome in outcomes if outcome.status in ("retried", "failed")]
    assert len(list(marks.iterdir())) == 2 if mortal else len(list(marks.iterdir())) > 2
    here = replace(config, run=LOCAL, store=replace(config.store, store=str(tmp_path / "reference")))
    run_job(here)
    assert open_store(config.store.store).digest() == open_store(here.store.store).digest()
