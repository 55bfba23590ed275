"""Whole runs in this process."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import LOCAL, job, plain_rows, write_prompts
from tiny import save_transcoders

from distributed_tracer.config import JobConfig, RunConfig, SweepPrecision, TranscoderConfig
from distributed_tracer.errors import InputError, OutOfMemory, ShapeMismatch, StoreMismatch
from distributed_tracer.pipeline import plan_job, run_job
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.report.status import status_of
from distributed_tracer.runtime.reply import WorkerReply
from distributed_tracer.runtime.worker import Worker
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store
from distributed_tracer.transcoder.load import transcoder_shape


def test_a_run_stores_every_prompt_and_says_so(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(3))
    summary = run_job(config)
    store = open_store(config.store.store)
    assert list(store) == ["p0", "p1", "p2"]
    assert (summary.num_done, summary.num_skipped, summary.failed, summary.num_left) == (3, 0, (), 0)
    assert summary.num_edges == sum(store.entry(name).num_edges for name in store)
    assert summary.num_bytes > 0
    assert 0 < summary.mean_replacement < 1
    assert store.info["num_features"] == list(transcoder_shape(config.transcoders.transcoders).features_L)


def test_a_rerun_skips_what_is_done_and_changes_nothing(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(3))
    run_job(config)
    before = open_store(config.store.store).digest()
    summary = run_job(config)
    assert (summary.num_done, summary.num_skipped) == (0, 3)
    assert open_store(config.store.store).digest() == before


def test_a_corpus_that_has_grown_is_gone_on_with(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(2))
    run_job(config)
    write_prompts(Path(config.corpus.prompts), plain_rows(3))
    summary = run_job(config)
    assert (summary.num_done, summary.num_skipped) == (1, 2)
    whole = job(tmp_path, plain_rows(3), store="whole")
    run_job(whole)
    assert open_store(config.store.store).digest() == open_store(whole.store.store).digest()


@pytest.mark.parametrize("changed", [{"text": "the capital of Rome"}, {"targets": ["e"]}])
def test_an_id_that_now_asks_something_else_is_not_skipped_quietly(tmp_path: Path, changed: dict[str, object]) -> None:
    rows = plain_rows(2)
    config = job(tmp_path, rows)
    run_job(config)
    before = open_store(config.store.store).digest()
    write_prompts(Path(config.corpus.prompts), [{**rows[0], **changed}, {**rows[1], "note": "metadata may change"}])
    summary = run_job(config)
    assert [(o.prompt_id, o.phase) for o in summary.failed] == [("p0", "plan")]
    assert "give the prompt a new id" in str(summary.failed[0].reason)
    assert (summary.num_done, summary.num_skipped, summary.num_left, summary.exit_code) == (0, 1, 0, 3)
    run = status_of(config.store.store)["run"]
    assert (run["num_prompts"], run["num_done"], run["num_failed"], run["num_left"]) == (2, 1, 1, 0)
    assert open_store(config.store.store).digest() == before


def test_failed_prompts_are_recorded_and_tried_again_by_the_next_run(tmp_path: Path) -> None:
    config = job(tmp_path, [*plain_rows(1), {"id": "late", "tokens": [5, 77777]}])
    summary = run_job(config)
    assert [(o.prompt_id, o.phase) for o in summary.failed] == [("late", "tokenize")]
    assert Ledger(config.store.store).failures()["late"].phase == "tokenize"
    write_prompts(Path(config.corpus.prompts), [*plain_rows(1), {"id": "late", "tokens": [5, 77]}])
    assert run_job(config).num_done == 1
    assert Ledger(config.store.store).failures() == {}


def test_a_store_made_with_other_options_is_refused(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(1))
    run_job(config)
    with pytest.raises(StoreMismatch, match="round_size: the store has 16, this run 8"):
        run_job(replace(config, trace=replace(config.trace, round_size=8)))


def test_a_store_is_continued_with_its_own_round_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = job(tmp_path, plain_rows(1))
    run_job(config)
    write_prompts(Path(config.corpus.prompts), plain_rows(3))
    unsaid = replace(config, trace=replace(config.trace, round_size="auto"))
    on_gpus = replace(unsaid, run=RunConfig(ray_address="auto", gpus_per_worker=1))
    assert (plan_job(on_gpus)[0].config.trace.round_size, plan_job(on_gpus)[0].round_size_origin) == (16, "store")
    assert run_job(unsaid).num_done == 2
    assert "rounds of 16 features, as in the store; a new store would get 256" in caplog.text
    whole = job(tmp_path, plain_rows(3), store="whole")
    run_job(whole)
    store = open_store(config.store.store)
    assert store.digest() == open_store(whole.store.store).digest(), "256 would choose other features"
    assert all("auto" not in json.dumps(record["config"]["trace"]["round_size"]) for record in run_records(config))


def test_a_new_store_records_what_is_left_to_the_device(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(2))
    run_job(replace(config, trace=replace(config.trace, round_size="auto", sweep_rows="auto")))
    assert open_store(config.store.store).info["identity"]["trace"]["round_size"] == 256
    (record,) = run_records(config)
    assert record["config"]["trace"]["round_size"] == 256
    assert record["planned"]["device"] == "cpu"
    assert record["planned"]["round_size_origin"] == "device"
    (rows,) = record["planned"]["sweep_rows"]
    assert rows["rows"] == 256
    assert rows["tokens"][0] <= rows["tokens"][1]


def run_records(config: JobConfig) -> list[dict[str, Any]]:
    """Return the records of all runs over a store."""
    files = (Path(config.store.store) / "runs").glob("*.json")
    return [json.loads(file.read_text()) for file in files if ".end." not in file.name]


@pytest.mark.parametrize(("precision", "warns"), [("tf32", True), ("float32", False)])
def test_a_run_warns_of_a_precision_that_its_processor_lacks(
    precision: SweepPrecision, warns: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = job(tmp_path, plain_rows(1))
    model = replace(config.model, device_map="cpu")
    run_job(replace(config, model=model, trace=replace(config.trace, sweep_dtype=precision)))
    assert ("--sweep-dtype tf32: " in caplog.text) == warns


def test_sweep_rows_may_differ_between_runs(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(1))
    run_job(config)
    assert run_job(replace(config, trace=replace(config.trace, sweep_rows=8))).num_skipped == 1


@pytest.mark.parametrize("mistake", ["transcoders", "corpus"])
def test_a_mistake_in_the_set_up_leaves_no_store_behind(tmp_path: Path, mistake: str) -> None:
    config = job(tmp_path, plain_rows(1))
    if mistake == "transcoders":
        config = replace(config, transcoders=TranscoderConfig(str(save_transcoders(tmp_path / "other"))))
    else:
        Path(config.corpus.prompts).write_text("{")
    with pytest.raises(ShapeMismatch if mistake == "transcoders" else InputError):
        run_job(config)
    assert not Path(config.store.store).exists()


def test_prompts_expected_not_to_fit_are_recorded_and_the_rest_is_done(tmp_path: Path) -> None:
    rows = [{"id": "long", "tokens": [5] * 100}, {"id": "short", "tokens": [5] * 10}]
    config = job(tmp_path, rows, replace(LOCAL, expected_active=1e9))
    config = replace(config, trace=replace(config.trace, max_feature_nodes=1))
    plan, _ = plan_job(config)
    assert [unit.prompt.id for unit, _ in plan.too_large()] == ["long", "short"], "beyond any machine's memory"
    summary = run_job(config)
    assert [(o.prompt_id, o.phase) for o in summary.failed] == [("long", "plan"), ("short", "plan")]
    assert run_job(replace(config, run=LOCAL)).num_done == 2


def test_a_plan_leaves_out_what_is_done_and_writes_nothing(tmp_path: Path) -> None:
    config = job(tmp_path, [*plain_rows(2), {"id": "bad", "tokens": [77777]}])
    plan, inputs = plan_job(config)
    assert len(list(plan.units())) == 2
    assert [outcome.prompt_id for outcome in inputs.rejected] == ["bad"]
    assert not Path(config.store.store).exists()
    run_job(config)
    assert list(plan_job(config)[0].units()) == []


def test_a_run_says_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = job(tmp_path, plain_rows(3), part_prompts=1)
    trace = Worker.trace

    def interrupted(worker: Worker, *units: WorkUnit) -> WorkerReply:
        os.kill(os.getpid(), signal.SIGTERM)
        return trace(worker, *units)

    def broken(worker: Worker, *units: WorkUnit) -> WorkerReply:
        raise OutOfMemory("no room on s3://user:secret@bucket/x\nsecond line")

    def end() -> dict[str, str]:
        found = dict(status_of(config.store.store)["run"]["end"])
        assert found.pop("time")
        return found

    monkeypatch.setattr(Worker, "trace", interrupted)
    assert run_job(config).num_left == 2
    assert end() == {"how": "stopped", "reason": "SIGTERM"}
    monkeypatch.setattr(Worker, "trace", broken)
    with pytest.raises(OutOfMemory):
        run_job(config)
    assert end() == {"how": "failed", "reason": "OutOfMemory: no room on s3://...@bucket/x"}
    monkeypatch.setattr(Worker, "trace", trace)
    assert run_job(config).num_left == 0
    assert end() == {"how": "finished", "reason": ""}


def test_a_signal_while_the_model_is_loaded_ends_a_run_that_the_next_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = job(tmp_path, plain_rows(3))
    begin = Worker.__init__

    def interrupted(worker: Worker, *args: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        begin(worker, *args, **options)

    monkeypatch.setattr(Worker, "__init__", interrupted)
    stopped = run_job(config)
    assert (stopped.num_left, stopped.exit_code, stopped.num_done) == (3, 130, 0)
    end = status_of(config.store.store)["run"]["end"]
    assert (end["how"], end["reason"]) == ("stopped", "SIGTERM")
    monkeypatch.setattr(Worker, "__init__", begin)
    assert run_job(config).num_done == 3
