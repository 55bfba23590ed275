"""How an exception becomes an outcome, and how a prompt is tried again with less memory. No model is loaded here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from distributed_tracer.errors import FilesChanged, PromptError, StoreUnavailable, WorkerLost
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.prompt_attempt import PromptAttempts
from distributed_tracer.runtime.telemetry.logs import CURRENT_PROMPT
from distributed_tracer.runtime.telemetry.phases import PhaseTimer


class Files:
    """Counts checks of the weight files."""

    def __init__(self) -> None:
        self.checks = 0

    def check(self) -> None:
        self.checks += 1


def attempts(work: Callable[[PhaseTimer, int], int], *sizes: int, size_name: str = "") -> PromptAttempts:
    """Attempts whose work gets the timer of phases and the size, and returns the number of nodes."""
    loaded: Any = SimpleNamespace(phases=PhaseTimer(), files=Files(), name="host:1")

    def fill(unit: WorkUnit, size: int, outcome: Outcome) -> Outcome:
        current = CURRENT_PROMPT.get()
        assert current is not None
        assert current[0] == unit.prompt.id
        return replace(outcome, num_nodes=work(loaded.phases, size))

    return PromptAttempts(loaded, fill, lambda unit: sizes, "read", size_name)


def run(found: PromptAttempts) -> list[tuple[str, str | None, str | None]]:
    outcomes = found.run([WorkUnit(Prompt("p"), 2.0, attempt=3)])
    assert {(one.prompt_id, one.attempt, one.expected_seconds, one.worker) for one in outcomes} == {
        ("p", 3, 2.0, "host:1")
    }
    assert found.loaded.phases.now == "idle"
    assert CURRENT_PROMPT.get() is None
    return [(one.status, one.phase, one.reason) for one in outcomes]


def short_of_memory(enough: int) -> Callable[[PhaseTimer, int], int]:
    def work(phases: PhaseTimer, size: int) -> int:
        if size > enough:
            raise MemoryError("too large")
        return 7

    return work


def test_a_prompt_that_is_done_at_once_has_its_seconds_by_phase() -> None:
    (outcome,) = attempts(short_of_memory(32), 32, 4).run([WorkUnit(Prompt("p"))])
    assert (outcome.status, outcome.num_nodes) == ("traced", 7)
    assert outcome.seconds > 0
    assert set(outcome.phase_seconds) == {"load", "read", "idle"}


def test_too_little_memory_is_tried_again_with_each_smaller_size() -> None:
    assert run(attempts(short_of_memory(4), 32, 4)) == [
        ("retried", "read", "MemoryError: too large"),
        ("traced", None, None),
    ]
    found = attempts(short_of_memory(0), 32, 4, size_name="rows")
    assert run(found) == [
        ("retried", "read", "MemoryError: too large (with rows=32)"),
        ("failed", "read", "MemoryError: too large (with rows=4)"),
    ]
    assert found.loaded.files.checks == 1  # type: ignore[attr-defined]
    assert [status for status, _, _ in run(attempts(short_of_memory(0), 1))] == ["failed"]


def test_an_error_fails_its_prompt_in_the_phase_that_it_came_up_in() -> None:
    def wrong_input(phases: PhaseTimer, size: int) -> int:
        phases.start("rows")
        raise PromptError("no such token")

    def bug(phases: PhaseTimer, size: int) -> int:
        phases.start("store")
        raise ZeroDivisionError("in the middle\nof a graph")

    assert run(attempts(wrong_input, 32, 4)) == [("failed", "trace", "no such token")]
    ((status, phase, reason),) = run(attempts(bug, 32, 4))
    assert (status, phase) == ("failed", "store")
    assert str(reason).startswith("ZeroDivisionError: in the middle (at runtime/prompt_attempt.py:")


@pytest.mark.parametrize("error", [WorkerLost("gone"), StoreUnavailable("gone"), FilesChanged("other")])
def test_an_error_that_does_not_concern_the_prompt_is_raised(error: Exception) -> None:
    def work(phases: PhaseTimer, size: int) -> int:
        raise error

    found = attempts(work, 32, 4)
    with pytest.raises(type(error)):
        found.run([WorkUnit(Prompt("p"))])
    assert CURRENT_PROMPT.get() is None
