"""How a run went, in numbers and words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from distributed_tracer.job.summary import OutcomeRecorder
from distributed_tracer.plan.work import Outcome
from distributed_tracer.store.ledger import Ledger


@pytest.fixture
def recorder(tmp_path: Path) -> OutcomeRecorder:
    return OutcomeRecorder(Ledger(str(tmp_path)))


def done(name: str, replacement: float = 0.5) -> Outcome:
    return Outcome(name, "done", num_nodes=10, num_edges=100, replacement=replacement, completeness=0.75)


def failed(name: str) -> Outcome:
    return Outcome(name, "failed", "trace", "no\x1b[31m such token")


def test_the_summary_adds_up_what_was_recorded(recorder: OutcomeRecorder) -> None:
    for outcome in (done("a", 0.4), Outcome("b", "traced"), done("b", 0.6), Outcome("c", "retried"), failed("c")):
        recorder.record(outcome)
    summary = recorder.summary("store", num_wanted=7, num_skipped=3, seconds=4.0)
    assert (summary.num_done, summary.num_skipped, len(summary.failed), summary.num_left) == (2, 3, 1, 1)
    assert (summary.num_nodes, summary.num_edges, summary.num_retried) == (20, 200, 1)
    assert (summary.mean_replacement, summary.mean_completeness) == (0.5, 0.75)


def test_a_score_that_is_not_a_number_does_not_spoil_the_mean(recorder: OutcomeRecorder) -> None:
    for score in (0.4, math.nan):
        recorder.record(done("a", score))
    assert recorder.summary("store", 2, 0, 1.0).mean_replacement == 0.4


def test_failures_are_written_down(recorder: OutcomeRecorder, tmp_path: Path) -> None:
    recorder.record(failed("c"))
    failure = Ledger(str(tmp_path)).failures()["c"]
    assert (failure.phase, failure.reason, failure.attempts) == ("trace", "no\x1b[31m such token", 1)


def test_exit_codes(recorder: OutcomeRecorder) -> None:
    recorder.record(done("a"))
    assert recorder.summary("store", 1, 0, 1.0).exit_code == 0
    recorder.record(failed("b"))
    assert recorder.summary("store", 2, 0, 1.0).exit_code == 3
    assert recorder.summary("store", 3, 0, 1.0).exit_code == 130


def test_people_are_told_the_first_failures_and_what_to_run_next(recorder: OutcomeRecorder) -> None:
    recorder.record(done("a"))
    for number in range(7):
        recorder.record(failed(f"f{number}"))
    text = recorder.summary("my store", 10, 0, 2.0).describe()
    assert "1 done, 0 skipped (done before), 7 failed in 2.0 seconds (0.50 prompts/s)" in text
    assert text.count("failed in trace") == 5
    assert "and 2 more" in text
    assert "stopped with 2 prompts left" in text
    assert "distributed-tracer status 'my store'" in text
    assert "\x1b" not in text
