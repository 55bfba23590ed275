"""Workers that share one set of transcoders: the same store as from one that has all of it, also when some die."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import CASES, LOCAL, job, plain_rows, units_of

from distributed_tracer.config import JobConfig, ModelConfig, RunConfig, TraceConfig, TranscoderConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PAIR = RunConfig(workers=2, slices=2, threads=1, attempts=2, progress=False)


def make_poisoned_worker(config: JobConfig, threads: int, **options: Any) -> Any:
    """A worker whose process ends, without a word, when it meets the poisonous prompt."""
    from distributed_tracer.runtime.worker import Worker

    class Mortal(Worker):
        def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
            if unit.prompt.id == "poison":
                time.sleep(0.5)  # so that the answer to the prompt before, which may be under way, is not lost
                os._exit(1)
            return super().graph_of(unit, config)

    return Mortal(config, threads, **options)


def ledger_of(config: JobConfig) -> Ledger:
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    return ledger


def digest_here(config: JobConfig, directory: Path) -> str:
    """Of the same prompts traced in this process."""
    here = replace(config, run=LOCAL, store=replace(config.store, store=str(directory / "reference")))
    run_job(here)
    return open_store(here.store.store).digest()


@pytest.mark.parametrize(  # of a top-k layer no slice knows alone what fires
    "case",
    [
        "qwen3_topk_skip_tied",
        pytest.param("llama_relu_clt", marks=pytest.mark.thorough),
        pytest.param("gemma2_jumprelu_plt", marks=pytest.mark.thorough),
    ],
)
def test_slices_in_two_processes_give_the_same_bits_as_the_whole(case: str, ray_cluster: None, tmp_path: Path) -> None:
    rows = [{"id": f"p{n}", "tokens": [1, *range(20 + n, 26 + 2 * n)]} for n in range(4)]
    config = replace(
        job(tmp_path, rows, PAIR),
        model=ModelConfig(str(CASES / case / "model")),
        transcoders=TranscoderConfig(str(CASES / case / "transcoders")),
    )
    assert run_job(config).num_done == 4
    assert open_store(config.store.store).digest() == digest_here(config, tmp_path)


def test_when_one_of_a_group_is_killed_the_others_prompts_are_not_blamed(ray_cluster: None, tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(10), PAIR)
    ledger, outcomes, killed = ledger_of(config), [], False
    for outcome in RayExecutor(config, ledger.commit).run(units_of(config)):
        outcomes.append(outcome)
        workers = {o.worker for o in outcomes if o.status == "traced"}
        if len(workers) == 2 and not killed:
            killed = True
            os.kill(int(outcome.worker.rpartition(":")[2]), signal.SIGKILL)
    statuses = [outcome.status for outcome in outcomes]
    assert (statuses.count("done"), statuses.count("failed")) == (10, 0)
    assert len({o.prompt_id for o in outcomes if o.attempt > 1}) <= 1, (
        "only what the killed one was running, if anything"
    )
    assert open_store(config.store.store).digest() == digest_here(config, tmp_path)


@pytest.mark.thorough
def test_a_prompt_that_kills_its_worker_is_given_up_in_a_group_too(ray_cluster: None, tmp_path: Path) -> None:
    config = job(tmp_path, [{"id": "poison", "text": "the state of Dallas is the state of"}, *plain_rows(5)], PAIR)
    ledger = ledger_of(config)
    outcomes = list(RayExecutor(config, ledger.commit, make_poisoned_worker).run(units_of(config)))
    assert [o.prompt_id for o in outcomes if o.status == "failed"] == ["poison"]
    assert "2 worker processes died" in str(next(o.reason for o in outcomes if o.status == "failed"))
    blamed = [o for o in outcomes if o.prompt_id != "poison" and o.attempt > 1]
    assert blamed == [], outcomes
    assert ledger.done() == {f"p{n}" for n in range(5)}
