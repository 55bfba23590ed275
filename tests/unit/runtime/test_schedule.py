"""Who gets what next, and what a lost worker costs. No processes here: `tests/faults` kills real ones."""

from __future__ import annotations

import pytest

from distributed_tracer.errors import WorkerLost
from distributed_tracer.plan.unit import WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.events import Outcome, Reply
from distributed_tracer.runtime.schedule import MAX_LOSSES_IN_A_ROW, Call, Schedule, Share
from distributed_tracer.store.receipt import PromptEntry, Receipt


def unit(name: str, attempt: int = 1) -> WorkUnit:
    return WorkUnit(Prompt(name), attempt=attempt)


def traced(*names: str) -> Reply:
    return Reply(tuple(Outcome(name, "traced") for name in names))


def receipt(*names: str) -> Receipt:
    return Receipt("0" * 32, tuple(PromptEntry(name, 1, 1, 1, 1, 1, None, None) for name in names), {})


def ask(schedule: Schedule, share: Share) -> list[str | None]:
    return [None if call is None else call.prompt.id for call in schedule.next_calls(share)]


def answer(schedule: Schedule, share: Share, reply: Reply) -> list[Outcome]:
    call: Call = share.calls[0]
    return list(schedule.settle(share, call, reply))


def test_a_worker_gets_two_units_at_a_time_in_the_order_given() -> None:
    schedule, share = Schedule(map(unit, "abc"), attempts=3), Share()
    assert ask(schedule, share) == ["a", "b"]
    assert ask(schedule, share) == []
    answer(schedule, share, traced("a"))
    assert ask(schedule, share) == ["c"]


def test_units_are_read_one_ahead_at_most() -> None:
    read: list[str] = []
    names = ["a", "b", "c", "d", "e"]
    schedule = Schedule((read.append(name) or unit(name) for name in names), attempts=3)
    assert schedule.has_work()
    assert read == ["a"]
    ask(schedule, Share())
    assert read == ["a", "b"]
    assert schedule.has_work()
    assert read == ["a", "b", "c"]


def test_an_idle_worker_is_asked_to_write_when_nothing_is_left() -> None:
    schedule, share = Schedule([unit("a")], attempts=3), Share()
    ask(schedule, share)
    answer(schedule, share, traced("a"))
    assert ask(schedule, share) == [None]
    done = answer(schedule, share, Reply(receipt=receipt("a")))
    assert [(o.prompt_id, o.status) for o in done] == [("a", "done")]
    assert not schedule.has_work()
    assert not share.units


def test_a_failed_prompt_is_finished_without_a_receipt() -> None:
    schedule, share = Schedule([unit("a")], attempts=3), Share()
    ask(schedule, share)
    answer(schedule, share, Reply((Outcome("a", "failed", "trace", "no"),)))
    assert ask(schedule, share) == []
    assert not share.units


def test_a_dead_worker_gives_back_what_it_traced_ran_and_had_not_begun() -> None:
    schedule, share = Schedule(map(unit, "abcd"), attempts=3), Share()
    ask(schedule, share)
    answer(schedule, share, traced("a"))
    ask(schedule, share)
    lost = list(schedule.lost(share, "killed"))
    assert [(o.prompt_id, o.status) for o in lost] == [("a", "retried"), ("b", "retried")]
    heir = Share()
    assert ask(schedule, heir) == ["a", "c"]
    answer(schedule, heir, traced("a"))
    answer(schedule, heir, traced("c"))
    assert ask(schedule, heir) == ["d"]
    answer(schedule, heir, traced("d"))
    assert ask(schedule, heir) == [None, "b"], "the suspect comes last, after everything is written"
    assert heir.units["b"].attempt == 2


def test_a_worker_that_dies_while_writing_makes_no_suspect() -> None:
    schedule, share = Schedule([unit("a"), unit("b")], attempts=1), Share()
    ask(schedule, share)
    answer(schedule, share, traced("a"))
    answer(schedule, share, traced("b"))
    assert ask(schedule, share) == [None]
    assert [o.status for o in schedule.lost(share, "killed")] == ["retried", "retried"]
    assert ask(schedule, Share()) == ["a", "b"]


def test_a_suspect_is_given_up_after_the_attempts_allowed() -> None:
    schedule = Schedule([unit("a")], attempts=2)
    statuses = []
    for _ in range(2):
        share = Share()
        assert ask(schedule, share) == ["a"]
        statuses += [(o.status, o.attempt) for o in schedule.lost(share, "no memory")]
    assert statuses == [("retried", 1), ("failed", 2)]
    assert not schedule.has_work()


def test_a_machine_on_which_nothing_works_ends_the_run() -> None:
    names = [f"p{n}" for n in range(MAX_LOSSES_IN_A_ROW + 1)]
    schedule = Schedule(map(unit, names), attempts=3)

    def lose() -> None:
        share = Share()
        ask(schedule, share)
        list(schedule.lost(share, "bus error"))

    for _ in range(MAX_LOSSES_IN_A_ROW - 1):
        lose()
    with pytest.raises(WorkerLost, match=r"30 workers died .* bus error"):
        lose()


def test_a_traced_prompt_starts_the_count_of_losses_again() -> None:
    schedule = Schedule((unit(f"p{n}") for n in range(3 * MAX_LOSSES_IN_A_ROW)), attempts=3)
    for _ in range(2 * MAX_LOSSES_IN_A_ROW):
        share = Share()
        ask(schedule, share)
        answer(schedule, share, traced(next(iter(share.units))))
        list(schedule.lost(share, "killed"))
