"""Counts on the way; what a terminal and a log file get to see."""

from __future__ import annotations

import re
import time

import pytest

from distributed_tracer.plan.unit import WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.events import Outcome
from distributed_tracer.runtime.progress import Tally, showing


def tally() -> Tally:
    return Tally([WorkUnit(Prompt(name), expected_seconds=n) for name, n in {"a": 4, "b": 2, "c": 1, "d": 1}.items()])


def test_before_the_first_outcome_a_line_says_that_the_model_is_loading() -> None:
    assert tally().line() == "0 of 4 done, loading the model"


def test_a_line_tells_done_failed_waiting_speed_and_time_left() -> None:
    counted = tally()
    for name, status in (("a", "traced"), ("a", "done"), ("b", "traced"), ("c", "failed")):
        counted.add(Outcome(name, status))
    time.sleep(0.01)
    pattern = r"1 of 4 done, 1 failed, 1 not written yet, [\d.,]+ prompts/s, 0:00:00 left"
    assert re.fullmatch(pattern, counted.line())


def test_speed_and_time_left_go_by_the_work_since_the_first_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 160.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    counted = tally()
    counted.add(Outcome("a", "done"))
    counted.add(Outcome("b", "done"))  # 2 of the 4 expected seconds that were left, in 60 seconds
    assert counted.line() == "2 of 4 done, 0 failed, 0.02 prompts/s, 0:01:00 left"


def test_a_prompt_that_is_tried_again_is_work_still_to_do() -> None:
    counted = tally()
    counted.add(Outcome("a", "traced"))
    assert counted.num_worked == 1
    counted.add(Outcome("a", "retried"))
    assert counted.num_worked == 0


def test_without_a_terminal_there_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with showing(tally(), wanted=True, line_seconds=0.02) as show:
        show(Outcome("a", "done"))
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1
    assert re.match(r"\d\d:\d\d:\d\d  1 of 4 done", lines[-1])


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    with showing(tally(), wanted=True) as show:
        for name in "abcd":
            show(Outcome(name, "done"))
    assert "100%  4 of 4 done" in capsys.readouterr().err


def test_nothing_is_shown_if_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with showing(tally(), wanted=False) as show:
        show(Outcome("a", "done"))
    assert capsys.readouterr().err == ""
