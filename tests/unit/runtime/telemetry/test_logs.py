"""Lines for machines: each is one JSON object, whatever is in it."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import LOCAL, job, plain_rows, units_of

from distributed_tracer.config import JobConfig, RunConfig, TraceConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.runtime.telemetry.logs import CURRENT_PROMPT, keep_worker_logs, log_outcomes, stopping_line
from distributed_tracer.runtime.telemetry.phases import PhaseTimer


@pytest.fixture
def worker_log() -> Iterator[logging.Logger]:
    """As in a worker's process; handlers that a test adds are taken away."""
    root, ours = logging.getLogger(), logging.getLogger("distributed_tracer")
    before, level = list(root.handlers), ours.level
    yield logging.getLogger("distributed_tracer.somewhere")
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
    ours.setLevel(level)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_run_says_what_became_of_every_prompt_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        *plain_rows(2),
        {"id": "bad\x1b[31m\nid", "text": "a secret", "targets": ["nothing"]},
        {"id": "x", "tokens": [99999]},
    ]
    run_job(job(tmp_path, rows, replace(LOCAL, log_format="json", progress=True)))
    lines = lines_of(capsys)
    assert {(line["prompt"], line["event"]) for line in lines} == {
        ("p0", "traced"),
        ("p1", "traced"),
        ("p0", "done"),
        ("p1", "done"),
        ("bad\x1b[31m\nid", "failed"),
        ("x", "failed"),
    }
    by_event = {line["event"]: line for line in lines if line["prompt"] != "x"}
    assert by_event["traced"].keys() == {
        "time", "level", "logger", "message", "event", "prompt", "worker", "attempt", "seconds",
    }  # fmt: skip
    assert (by_event["failed"]["phase"], by_event["failed"]["level"]) == ("trace", "error")
    assert "secret" not in json.dumps(lines)


def test_no_line_can_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with log_outcomes("json") as tell:
        tell(Outcome("\x1b[31m\u202e\n", "failed", "trace", "\x07"))
    line = capsys.readouterr().err
    assert line.removesuffix("\n").isprintable()
    assert line.count("\n") == 1


def test_warnings_are_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    with log_outcomes("json"):
        logging.getLogger("distributed_tracer.runtime.x").warning("%d of %d", 1, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("old thing", stacklevel=1)
    found = [(line["level"], line["logger"], line["message"]) for line in lines_of(capsys)]
    assert found[0] == ("warning", "distributed_tracer.runtime.x", "1 of 2")
    assert found[1][:2] == ("warning", "py.warnings")
    assert "old thing" in found[1][2]


def test_afterwards_logging_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    root, ours = logging.getLogger(), logging.getLogger("distributed_tracer.prompts")
    before = list(root.handlers), ours.level
    with log_outcomes("json"):
        assert (list(root.handlers), ours.level) != before
    assert (list(root.handlers), ours.level) == before


def test_as_text_nothing_changes(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = list(logging.getLogger().handlers)
    with log_outcomes("text") as tell:
        tell(Outcome("p", "failed", "trace", "?"))
        assert logging.getLogger().handlers == handlers
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_workers_record_says_at_which_prompt_it_was_made(
    worker_log: logging.Logger, capsys: pytest.CaptureFixture[str], log_format: Any
) -> None:
    keep_worker_logs(log_format)
    phases = PhaseTimer()
    phases.start("rows")
    token = CURRENT_PROMPT.set(("p\n7", phases))
    worker_log.warning("slow")
    CURRENT_PROMPT.reset(token)
    worker_log.warning("between prompts")
    first, second = capsys.readouterr().err.splitlines()
    if log_format == "text":
        assert first.endswith("WARNING distributed_tracer.somewhere: slow (prompt 'p\\n7', phase rows)")
        assert second.endswith(": between prompts")
    else:
        assert (json.loads(first)["prompt"], json.loads(first)["phase"]) == ("p\n7", "rows")
        assert json.loads(second).keys() == {"time", "level", "logger", "message"}


def test_a_workers_log_says_what_it_decided(worker_log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    keep_worker_logs("json")
    worker_log.info("decoders live in their files")
    worker_log.debug("more than anyone wants to know")
    assert [(line["level"], line["message"]) for line in lines_of(capsys)] == [("info", "decoders live in their files")]


def make_talking_worker(config: JobConfig, threads: int) -> Any:
    """A worker that has something to say about each prompt."""
    from distributed_tracer.runtime.worker import Worker

    class Talking(Worker):
        def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
            logging.getLogger("distributed_tracer.talking").warning("hm")
            return super().graph_of(unit, config)

    return Talking(config, threads)


@pytest.mark.ray
@pytest.mark.slow
def test_rays_log_files_name_the_prompt(tmp_path: Path, ray_cluster: None) -> None:
    import ray

    from distributed_tracer.runtime.ray.executor import RayExecutor

    config = job(tmp_path, plain_rows(2), RunConfig(threads=1, log_format="json"))
    for _ in RayExecutor(config, lambda *manifests: None, make_talking_worker).run(units_of(config)):
        pass
    logs = Path(ray._private.worker._global_node.get_logs_dir_path()).glob("worker-*.err")
    lines = [line for log in logs for line in log.read_text().splitlines() if "distributed_tracer.talking" in line]
    assert {(line["prompt"], line["phase"], line["message"]) for line in map(json.loads, lines)} == {
        ("p0", "encode", "hm"),
        ("p1", "encode", "hm"),
    }


def test_the_notice_of_stopping_is_a_line_in_either_format() -> None:
    assert stopping_line("text").startswith(b"stopping: ")
    assert json.loads(stopping_line("json"))["message"].startswith("stopping: ")


def test_phases_add_up_until_they_are_taken() -> None:
    times = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    phases = PhaseTimer(lambda: next(times))
    for phase in ("encode", "rows", "encode"):
        phases.start(phase)
    assert phases.pop() == {"load": 1.0, "encode": 2.0 + 4.0, "rows": 3.0}
    assert phases.pop() == {"encode": 5.0}
