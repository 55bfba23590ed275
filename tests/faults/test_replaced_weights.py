"""The model is replaced while a run is on: in place, under a worker, and by a rename, before one that comes later."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import CASE, LOCAL, job, plain_rows, units_of

from distributed_tracer.artifacts.files_in_use import FilesInUse
from distributed_tracer.config import JobConfig, ModelConfig, RunConfig, TraceConfig
from distributed_tracer.errors import FilesChanged, StoreMismatch
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.report.status import status_of
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.runtime.worker import Worker
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store


def own_model(directory: Path, config: JobConfig) -> tuple[JobConfig, Path]:
    """The job with a model of its own, and that model's weights."""
    shutil.copytree(CASE / "model", directory / "model")
    return replace(config, model=ModelConfig(str(directory / "model"))), directory / "model" / "model.safetensors"


def negated(weights: Path) -> bytes:
    """Another model of the same sizes: the sign of each weight is another."""
    data = bytearray(weights.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + 3 :: 4] = bytes(byte ^ 0x80 for byte in data[start + 3 :: 4])
    return bytes(data)


def write_in_place(weights: Path, data: bytes) -> None:
    with weights.open("r+b") as file:
        file.write(data)


def assert_undisturbed(config: JobConfig, directory: Path) -> None:
    undisturbed = job(directory, plain_rows(6), store="undisturbed")
    run_job(undisturbed)
    assert open_store(config.store.store).digest() == open_store(undisturbed.store.store).digest()


@pytest.mark.parametrize("overlap", [False, True])
def test_weights_overwritten_in_place_under_a_worker_reach_no_store(
    overlap: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributed_tracer.runtime.worker.overlap_helps", lambda *about: overlap)
    config, weights = own_model(tmp_path, job(tmp_path, plain_rows(6), part_prompts=2))
    before, graph_of, met = weights.read_bytes(), Worker.graph_of, list[str]()

    def replacing(worker: Worker, unit: WorkUnit, config: TraceConfig) -> Graph:
        met.append(unit.prompt.id)
        if len(met) == 4:
            write_in_place(weights, negated(weights))
        return graph_of(worker, unit, config)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "graph_of", replacing)
        with pytest.raises(FilesChanged, match=r"model\.safetensors was written to or replaced after it was loaded"):
            run_job(config)
    assert "FilesChanged" in status_of(config.store.store)["run"]["end"]["reason"]
    assert Ledger(config.store.store).done() == set(met[:2])
    with pytest.raises(StoreMismatch, match="made with other files"):
        run_job(config)
    write_in_place(weights, before)
    assert run_job(config).num_done == 4
    assert_undisturbed(config, tmp_path)


def make_last_worker(weights: Path, config: JobConfig, threads: int, **options: Any) -> Any:
    """A worker whose process ends as it meets a prompt, right after the model was replaced by a rename."""
    from distributed_tracer.runtime.worker import Worker

    class Last(Worker):
        num_met = 0

        def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
            self.num_met += 1
            if self.num_met == 4:
                other = weights.with_suffix(".new")
                other.write_bytes(negated(weights))
                other.rename(weights)
                time.sleep(0.5)  # what was answered arrives
                os._exit(1)
            return super().graph_of(unit, config)

    return Last(config, threads, **options)


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_that_takes_anothers_place_does_not_load_another_model(ray_cluster: None, tmp_path: Path) -> None:
    run = RunConfig(workers=1, threads=1, progress=False)
    config, weights = own_model(tmp_path, job(tmp_path, plain_rows(6), run, part_prompts=2))
    before, files = weights.read_bytes(), FilesInUse(config.model.model, config.transcoders.transcoders)
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    make_worker = partial(make_last_worker, weights, expected=files.content)
    with pytest.raises(FilesChanged, match=r"model\.safetensors holds something else than when it began"):
        list(RayExecutor(config, ledger.commit, make_worker).run(units_of(config)))
    assert len(ledger.done()) == 2
    weights.write_bytes(before)
    assert run_job(replace(config, run=LOCAL)).num_done == 4
    assert_undisturbed(config, tmp_path)
