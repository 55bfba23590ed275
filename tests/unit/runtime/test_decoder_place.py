"""Where a worker keeps decoders: as configured, as planned, or where its own memory has room for them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_of_cases import LOCAL, job, plain_rows

from distributed_tracer import pipeline
from distributed_tracer.config import DecoderPlace, JobConfig, RunConfig
from distributed_tracer.errors import TranscoderError
from distributed_tracer.model.load import model_shape
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan import machine, plan
from distributed_tracer.plan.cost import resident_bytes
from distributed_tracer.plan.decoders import PlannedDecoders
from distributed_tracer.runtime import prompt_attempt
from distributed_tracer.runtime.prompt_attempt import LoadedModel
from distributed_tracer.runtime.worker import Worker
from distributed_tracer.store.format.digest import graph_digest
from distributed_tracer.store.reader import open_store
from distributed_tracer.transcoder.load import transcoder_shape
from distributed_tracer.transcoder.shard import Shard


def place_of(config: JobConfig, planned: PlannedDecoders | None = None) -> DecoderPlace:
    return LoadedModel(config, 1, Shard(), None, planned).kept.decoders


def weights_of(config: JobConfig) -> int:
    model, transcoders = model_shape(config.model.model), transcoder_shape(config.transcoders.transcoders)
    return sum(resident_bytes(model, transcoders, "float32"))


def test_a_worker_follows_the_configuration_and_then_the_plan(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    auto = job(tmp_path, [])
    with caplog.at_level(logging.INFO, "distributed_tracer"):
        assert place_of(replace(auto, run=replace(LOCAL, decoders="files")), PlannedDecoders("device", 0)) == "files"
        assert place_of(auto, PlannedDecoders("files", 0)) == "files"
        assert place_of(auto, PlannedDecoders("device", 10**15)) == "device"
    assert [record.message for record in caplog.records] == [
        "decoders live in their files; rows of active features are read from there",
        "decoders live in their files; rows of active features are read from there",
        "decoders live in memory",
    ]
    with pytest.raises(TranscoderError, match="only beside a GPU"):
        place_of(replace(auto, run=replace(LOCAL, decoders="host")))


def test_a_worker_that_no_plan_could_see_counts_its_share_of_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU the model's weights are views of files: they need room although free memory does not show it."""
    monkeypatch.setattr(machine, "num_cores", lambda: 4)
    config = job(tmp_path, [], RunConfig(ray_address="auto", workers=9, threads=2))
    prompt_bytes = 2**20
    just = -(-10 * (weights_of(config) + prompt_bytes) // 9)
    for free, share, place in ((2 * just, 2, "device"), (2 * just - 2, 2, "files"), (just, 1, "device")):
        run = replace(config.run, workers=share)
        monkeypatch.setattr(prompt_attempt, "free_cpu_bytes", lambda free=free: free)
        assert place_of(replace(config, run=run), PlannedDecoders(None, prompt_bytes)) == place
    local = replace(config, run=LOCAL)
    for free, place in ((-(-10 * weights_of(config) // 4), "device"), (10 * weights_of(config) // 4 - 1, "files")):
        monkeypatch.setattr(prompt_attempt, "free_cpu_bytes", lambda free=free: free)
        assert place_of(local) == place, "without a plan more than half stays free"


def test_graphs_are_the_same_bit_for_bit_wherever_the_plan_puts_decoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Worker] = []

    def new_worker(config: JobConfig, threads: int, **options: object) -> Worker:
        made.append(Worker(config, threads, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(pipeline, "new_worker", new_worker)
    digests = []
    for store, memory in (("much", 2**40), ("little", 0)):
        config = job(tmp_path, plain_rows(2), LOCAL, store)
        if not memory:
            (costliest,) = {planned.prompt_bytes for planned in [pipeline.plan_job(config)[0]]}
            memory = weights_of(config) + costliest
        monkeypatch.setattr(
            plan, "worker_resources", lambda config, free=memory: machine.WorkerResources(False, free, 1e9)
        )
        assert run_job(config).num_done == 2
        digests.append([graph_digest(graph) for graph in map(open_store(config.store.store).graph, ("p0", "p1"))])
    assert [worker.loaded.kept.decoders for worker in made] == ["device", "files"]
    assert digests[0] == digests[1]
