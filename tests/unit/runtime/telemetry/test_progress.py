"""Counts on the way; what a terminal and a log file get to see."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable

import pytest

from distributed_tracer.plan.work import Outcome, Status
from distributed_tracer.runtime.telemetry.progress import ProgressTracker, show_progress

EXPECTED = {"a": 4.0, "b": 2.0, "c": 1.0, "d": 1.0}


def tally(clock: Callable[[], float] | None = None) -> ProgressTracker:
    return ProgressTracker(len(EXPECTED), sum(EXPECTED.values()), clock)


def outcome(name: str, status: Status, seconds: float = 0.0) -> Outcome:
    return Outcome(name, status, seconds=seconds, expected_seconds=EXPECTED[name])


def test_before_the_first_outcome_a_line_says_that_the_model_is_loading() -> None:
    assert tally().line() == "0 of 4 done, loading the model"


def test_a_line_tells_done_failed_waiting_speed_and_time_left() -> None:
    counted = tally()
    steps: list[tuple[str, Status]] = [("a", "traced"), ("a", "done"), ("b", "traced"), ("c", "failed")]
    for name, status in steps:
        counted.add(outcome(name, status))
    time.sleep(0.01)
    pattern = r"1 of 4 done, 1 failed, 1 not written yet, [\d.,]+ prompts/s, 0:00:00 left"
    assert re.fullmatch(pattern, counted.line())


def test_speed_and_time_left_go_by_the_work_since_the_first_outcome() -> None:
    counted = tally(iter([100.0, 160.0]).__next__)
    counted.add(outcome("a", "done"))
    counted.add(outcome("b", "done"))  # 2 of the 4 expected seconds that were left, in 60 seconds
    assert counted.line() == "2 of 4 done, 0 failed, 0.02 prompts/s, 0:01:00 left"


def test_time_left_goes_by_what_prompts_took_not_by_what_was_expected() -> None:
    counted = tally(iter([100.0, 105.0]).__next__)
    counted.add(outcome("a", "traced", seconds=6.0))  # 4 seconds, and 1 for each expected second beyond 2
    counted.add(outcome("b", "traced", seconds=4.0))
    # c and d take 3 each by that line, and b took 4 in 5 seconds of the clock
    assert "0:00:08 left" in counted.line()


def test_memory_is_for_prompts_under_way_only() -> None:
    counted = ProgressTracker(10_000, 1.0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10_000):
        for status in ("traced", "done"):
            counted.add(Outcome(f"prompt {number}", status))  # type: ignore[arg-type]
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000, "two bytes a prompt"


def test_a_prompt_that_is_tried_again_is_work_still_to_do() -> None:
    counted = tally()
    counted.add(outcome("a", "traced"))
    assert counted.num_worked == 1
    counted.add(outcome("a", "retried"))
    assert counted.num_worked == 0


def test_without_a_terminal_there_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(tally(), wanted=True, line_seconds=0.02) as show:
        show(outcome("a", "done"))
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1
    assert re.match(r"\d\d:\d\d:\d\d  1 of 4 done", lines[-1])


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    with show_progress(tally(), wanted=True) as show:
        for name in "abcd":
            show(outcome(name, "done"))
    assert "100%  4 of 4 done" in capsys.readouterr().err


def test_nothing_is_shown_if_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(tally(), wanted=False) as show:
        show(outcome("a", "done"))
    assert capsys.readouterr().err == ""
