"""A corpus of 20,000 prompts: operations grow with their number, not faster, and requests to a store by the hundred.

benchmarks/large_corpus.py has the seconds.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import CASE, job, write_prompts

from distributed_tracer.cli.main import main
from distributed_tracer.config import CorpusConfig
from distributed_tracer.job.summary import KEPT_FAILURES, OutcomeRecorder
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.prompt_queue import PromptQueue
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.report.status import status_of, status_text
from distributed_tracer.store.backend.fsspec_backend import FsspecBackend
from distributed_tracer.store.format.part_manifest import PartManifest, PromptSummary
from distributed_tracer.store.ledger import Ledger

GOOD, BAD = 1_000, 19_000
PART = 50


class NoWork:
    """An executor that notes what it could do, and does nothing."""

    given = 0

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        self.given = sum(1 for _ in units)
        yield from ()


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each method of a store in memory was called."""
    counts: Counter[str] = Counter()

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return method(*args, **options)

        return call

    for name in ("read", "read_many", "list_dir", "list_all", "put_if_absent", "put", "put_many"):
        monkeypatch.setattr(FsspecBackend, name, counted(name, getattr(FsspecBackend, name)))
    monkeypatch.setattr("distributed_tracer.store.commits._check_whole", lambda *_: None)  # there are no parts
    return counts


def test_a_run_asks_a_store_for_hundreds_of_prompts_at_once(
    tmp_path: Path, requests: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = NoWork()
    monkeypatch.setattr("distributed_tracer.runtime.execute.executor_for", lambda *_: executor)
    rows = [{"id": f"p{n}", "text": f"Fact: {n}"} for n in range(GOOD)] + [
        {"id": f"b{n}", "text": 7} for n in range(BAD)
    ]
    config = job(tmp_path, rows, on_bad_prompt="record")
    config = replace(config, store=replace(config.store, store=f"memory://{uuid.uuid4().hex}"))
    first = run_job(config)
    assert (first.num_left, first.num_failed, len(first.failed)) == (GOOD, BAD, KEPT_FAILURES)
    assert executor.given == GOOD
    assert requests["put_many"] <= BAD / 256 + 20, "failures are written down together"
    assert sum(requests.values()) <= BAD / 256 + 40
    assert len(first.describe().splitlines()) < 20

    requests.clear()
    found = status_of(config.store.store)
    assert len(found["failed"]) == BAD
    assert requests["read_many"] <= BAD / 256 + 20
    assert len(status_text(found).splitlines()) < 40

    manifests = [_manifest(number, first) for number, first in enumerate(range(0, GOOD - 1, PART))]
    OutcomeRecorder(Ledger(config.store.store)).commit(*manifests)
    requests.clear()
    good = write_prompts(tmp_path / "good.jsonl", rows[:GOOD])
    again = run_job(replace(config, corpus=CorpusConfig(str(good))))
    assert (again.num_skipped, again.num_left) == (GOOD - 1, 1)
    assert executor.given == 1
    assert sum(requests.values()) <= 30, "commits are read together"


def test_plan_names_some_prompts_that_cannot_be_traced_and_counts_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": "good", "text": "Fact:"}, *({"id": f"b{n}", "text": 7} for n in range(50))]
    flags = ("--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders"), "--on-bad-prompt", "record")
    assert main(["plan", *flags, "--prompts", str(write_prompts(tmp_path / "p.jsonl", rows))]) == 3
    said = capsys.readouterr().out
    assert said.count("cannot be traced: 'b") == 20
    assert "cannot be traced: 30 more" in said


def _manifest(number: int, first: int) -> PartManifest:
    """Of a part that is not there, with all prompts but the last."""
    ids = [f"p{n}" for n in range(first, min(first + PART, GOOD - 1))]
    entries = tuple(PromptSummary(name, 4, 1, 10, 100, 20, 0.5, 0.5) for name in ids)
    return PartManifest(f"{number:032x}", entries, {"zarr.json": (1, 64 * "0")})


def test_failures_that_come_fast_are_written_down_together_and_slow_ones_at_once(
    requests: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("distributed_tracer.job.summary.time.monotonic", lambda: now)
    url = f"memory://{uuid.uuid4().hex}"
    recorder, ledger = OutcomeRecorder(Ledger(url)), Ledger(url)
    for number in range(1_000):
        recorder.record(Outcome(f"p{number}", "failed", "trace", "no"))
    assert requests["put_many"] == 4, "the first, and then 256 at a time"
    recorder.flush()
    assert len(ledger.failures()) == 1_000
    now = 5.0
    recorder.record(Outcome("late", "failed", "trace", "no"))
    assert "late" in ledger.failures()


def _steps(use: Callable[[int], None], count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many thousand steps a spool's database takes."""
    taken, connect = 0, sqlite3.connect

    def step() -> None:
        nonlocal taken
        taken += 1

    def counting(name: str) -> sqlite3.Connection:
        database = connect(name)
        database.set_progress_handler(step, 1_000)
        return database

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", counting)
        use(count)
    return taken


def _use(count: int) -> None:
    """All that a run asks of a spool: repeated and rejected prompts, those done and changed, the rest."""
    queue = PromptQueue()
    for number in range(count):
        prompt = Prompt(f"p{number}", tokens=(1, *range(number % 20)), where=f"x:{number}")
        assert queue.register(prompt) is None
        queue.put(prompt)
        assert queue.register(prompt) == (f"x:{number}", True)
        queue.reject(f"b{number}", "read", "wrong")
    queue.mark_done((f"p{number}", "" if number % 2 else "other") for number in range(count // 2))
    units = [prompt.id for length in queue.lengths() for prompt in queue.with_length(length)]
    assert len(units) == count // 2
    assert sum(1 for _ in queue.changed()) == queue.num_done == count // 4
    assert sum(1 for _ in queue.rejected()) == queue.num_rejected == len(queue) == count


def test_the_steps_of_the_queue_grow_with_the_number_of_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (_steps(_use, count, monkeypatch) for count in (1_000, 10_000))
    assert 0 < many <= 12 * few, "ten times as many, and what deeper trees take"
