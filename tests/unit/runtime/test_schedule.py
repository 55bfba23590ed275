"""Who gets what next, and what a lost worker costs. No processes here: `tests/faults` kills real ones."""

from __future__ import annotations

import pytest

from distributed_tracer.errors import WorkerLost
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.reply import WorkerReply
from distributed_tracer.runtime.schedule import MAX_LOSSES_IN_A_ROW, MAX_UNITS, Schedule, UnitBatch, WorkerQueue
from distributed_tracer.store.format.part_manifest import PartManifest, PromptSummary


def unit(name: str, attempt: int = 1) -> WorkUnit:
    return WorkUnit(Prompt(name), attempt=attempt)


def traced(*names: str) -> WorkerReply:
    return WorkerReply(tuple(Outcome(name, "traced") for name in names))


def manifest(*names: str) -> PartManifest:
    return PartManifest("0" * 32, tuple(PromptSummary(name, 1, 1, 1, 1, 1, None, None) for name in names), {})


def ask(schedule: Schedule, queue: WorkerQueue) -> list[str | None]:
    """Ids that a worker is asked for, those of one call joined; None to write."""
    return ["+".join(unit.prompt.id for unit in call) or None for call in schedule.next_calls(queue)]


def answer(schedule: Schedule, queue: WorkerQueue, reply: WorkerReply) -> list[Outcome]:
    call: UnitBatch = queue.calls[0]
    outcomes = list(schedule.settle(queue, call, reply))
    return outcomes + list(schedule.part_committed(queue, reply.manifest) if reply.manifest else ())


def test_a_worker_gets_two_units_at_a_time_in_the_order_given() -> None:
    schedule, queue = Schedule(map(unit, "abc"), attempts=3), WorkerQueue()
    assert ask(schedule, queue) == ["a", "b"]
    assert ask(schedule, queue) == []
    answer(schedule, queue, traced("a"))
    assert ask(schedule, queue) == ["c"]


def test_units_are_read_one_ahead_at_most() -> None:
    read: list[str] = []
    names = ["a", "b", "c", "d", "e"]
    schedule = Schedule((read.append(name) or unit(name) for name in names), attempts=3)
    assert schedule.has_work()
    assert read == ["a"]
    ask(schedule, WorkerQueue())
    assert read == ["a", "b"]
    assert schedule.has_work()
    assert read == ["a", "b", "c"]


def test_after_withdrawal_only_what_workers_were_asked_goes_on() -> None:
    schedule, queue = Schedule(map(unit, "abcdefgh"), attempts=3), WorkerQueue()
    dying = [WorkerQueue() for _ in range(3)]
    assert [ask(schedule, one) for one in dying] == [["a", "b"], ["c", "d"], ["e", "f"]]
    for one in dying:
        list(schedule.worker_lost(one, "gone"))  # the first is suspected, the second goes out again
    assert ask(schedule, queue) == ["b", "d"]
    assert schedule.has_work()
    schedule.withdraw()
    assert not schedule.has_work()
    answer(schedule, queue, traced("b"))
    answer(schedule, queue, traced("d"))
    assert ask(schedule, queue) == [None], "it writes what it has traced"


def test_an_idle_worker_is_asked_to_write_when_nothing_is_left() -> None:
    schedule, queue = Schedule([unit("a")], attempts=3), WorkerQueue()
    ask(schedule, queue)
    answer(schedule, queue, traced("a"))
    assert ask(schedule, queue) == [None]
    done = answer(schedule, queue, WorkerReply(manifest=manifest("a")))
    assert [(o.prompt_id, o.status) for o in done] == [("a", "done")]
    assert not schedule.has_work()
    assert not queue.units


def test_durable_prompts_are_done_without_a_part() -> None:
    schedule, queue = Schedule(map(unit, "abc"), attempts=3), WorkerQueue()
    ask(schedule, queue)
    reply = traced("a", "b")
    found = answer(schedule, queue, WorkerReply(reply.outcomes, durable=("a",)))
    assert [(o.prompt_id, o.status) for o in found] == [("a", "traced"), ("b", "traced"), ("a", "done")]
    assert list(queue.units) == ["b"]
    assert len(queue.pending) == 1
    assert [o.prompt_id for o in schedule.worker_lost(queue, "killed")] == ["b"]


def test_a_failed_prompt_is_finished_without_a_part() -> None:
    schedule, queue = Schedule([unit("a")], attempts=3), WorkerQueue()
    ask(schedule, queue)
    answer(schedule, queue, WorkerReply((Outcome("a", "failed", "trace", "no"),)))
    assert ask(schedule, queue) == []
    assert not queue.units


def test_a_dead_worker_gives_back_what_it_traced_ran_and_had_not_begun() -> None:
    schedule, queue = Schedule(map(unit, "abcd"), attempts=3), WorkerQueue()
    ask(schedule, queue)
    answer(schedule, queue, traced("a"))
    ask(schedule, queue)
    lost = list(schedule.worker_lost(queue, "killed"))
    assert [(o.prompt_id, o.status) for o in lost] == [("a", "retried"), ("b", "retried")]
    heir = WorkerQueue()
    assert ask(schedule, heir) == ["a", "c"]
    answer(schedule, heir, traced("a"))
    answer(schedule, heir, traced("c"))
    assert ask(schedule, heir) == ["d"]
    answer(schedule, heir, traced("d"))
    assert ask(schedule, heir) == [None]
    answer(schedule, heir, WorkerReply(manifest=manifest("a", "c", "d")))
    assert ask(schedule, heir) == ["b"], "the suspect comes last, after everything is written and known to be"
    assert heir.units["b"].attempt == 2


def test_a_worker_that_dies_while_writing_makes_no_suspect() -> None:
    schedule, queue = Schedule([unit("a"), unit("b")], attempts=1), WorkerQueue()
    ask(schedule, queue)
    answer(schedule, queue, traced("a"))
    answer(schedule, queue, traced("b"))
    assert ask(schedule, queue) == [None]
    assert [o.status for o in schedule.worker_lost(queue, "killed")] == ["retried", "retried"]
    assert ask(schedule, WorkerQueue()) == ["a", "b"]


def test_a_suspect_is_given_up_after_the_attempts_allowed() -> None:
    schedule = Schedule([unit("a")], attempts=2)
    statuses = []
    for _ in range(2):
        queue = WorkerQueue()
        assert ask(schedule, queue) == ["a"]
        statuses += [(o.status, o.attempt) for o in schedule.worker_lost(queue, "no memory")]
    assert statuses == [("retried", 1), ("failed", 2)]
    assert not schedule.has_work()


def test_nothing_is_given_up_for_a_death_that_the_next_prompt_may_have_caused() -> None:
    schedule, first, second, third = (
        Schedule([unit("a"), unit("b")], attempts=1),
        WorkerQueue(),
        WorkerQueue(),
        WorkerQueue(),
    )
    assert ask(schedule, first) == ["a", "b"]
    assert [(o.prompt_id, o.status) for o in schedule.worker_lost(first, "killed")] == [("a", "retried")]
    assert ask(schedule, second) == ["b"]
    assert [(o.prompt_id, o.status) for o in schedule.worker_lost(second, "killed")] == [("b", "failed")]
    assert ask(schedule, third) == ["a"], "alone"
    answer(schedule, third, traced("a"))
    assert ask(schedule, third) == [None]


def learned(schedule: Schedule, queue: WorkerQueue, seconds: float) -> None:
    """Answer the first call with what its prompts took."""
    outcomes = [Outcome(u.prompt.id, "traced", seconds=seconds, expected_seconds=1.0) for u in queue.calls[0]]
    answer(schedule, queue, WorkerReply(tuple(outcomes)))


def many(count: int, call_seconds: float) -> Schedule:
    return Schedule((WorkUnit(Prompt(f"p{n}"), 1.0) for n in range(count)), attempts=2, call_seconds=call_seconds)


def test_a_call_carries_one_prompt_until_it_is_known_how_long_they_take_then_enough_of_them() -> None:
    schedule, queue = many(12, call_seconds=0.5), WorkerQueue()
    assert ask(schedule, queue) == ["p0", "p1"]
    assert schedule.has_work(), "which reads one ahead"
    learned(schedule, queue, seconds=0.2)
    assert ask(schedule, queue) == ["p2+p3+p4"]
    learned(schedule, queue, seconds=0.6)
    assert ask(schedule, queue) == ["p5+p6"], "0.4 seconds each, in the mean"


def test_a_call_carries_no_more_than_a_part_should_have() -> None:
    schedule, queue = many(MAX_UNITS + 10, call_seconds=1000.0), WorkerQueue()
    ask(schedule, queue)
    learned(schedule, queue, seconds=0.001)
    assert [len(call) for call in schedule.next_calls(queue)] == [MAX_UNITS]


def test_of_several_prompts_in_a_call_none_is_blamed_and_each_is_tried_alone() -> None:
    schedule, queue = many(9, call_seconds=0.5), WorkerQueue()
    ask(schedule, queue)
    learned(schedule, queue, seconds=0.25)
    learned(schedule, queue, seconds=0.25)
    assert ask(schedule, queue) == ["p2+p3", "p4+p5"]
    lost = list(schedule.worker_lost(queue, "killed"))
    assert [(o.prompt_id, o.status, o.attempt) for o in lost] == [(f"p{n}", "retried", 1) for n in range(4)]
    assert "2 prompts" in str(lost[2].reason)
    heir = WorkerQueue()
    assert ask(schedule, heir) == ["p0", "p1"], "all of them before new ones, one in a call"
    for name in ("p2", "p3", "p4", "p5", "p6+p7"):
        answer(schedule, heir, traced(*heir.calls[0][0].prompt.id.split()))
        assert ask(schedule, heir) == [name]


def test_a_worker_that_ends_because_of_another_blames_nobody_and_is_no_sign_of_a_broken_machine() -> None:
    schedule, queue = Schedule([unit("a"), unit("b")], attempts=1), WorkerQueue()
    for _ in range(2 * MAX_LOSSES_IN_A_ROW):
        ask(schedule, queue)
        assert [(o.prompt_id, o.status) for o in schedule.worker_lost(queue, "orphaned", blamed=False)] == [
            ("a", "retried")
        ]
        queue = WorkerQueue()
    assert ask(schedule, queue) == ["a", "b"]


def test_a_machine_on_which_nothing_works_ends_the_run() -> None:
    names = [f"p{n}" for n in range(MAX_LOSSES_IN_A_ROW + 1)]
    schedule = Schedule(map(unit, names), attempts=3)

    def lose() -> None:
        queue = WorkerQueue()
        ask(schedule, queue)
        list(schedule.worker_lost(queue, "bus error"))

    for _ in range(MAX_LOSSES_IN_A_ROW - 1):
        lose()
    with pytest.raises(WorkerLost, match=r"30 workers died .* bus error"):
        lose()


def test_a_machine_on_which_nothing_can_be_written_ends_the_run() -> None:
    schedule = Schedule([unit("a")], attempts=3)

    def lose_in_writing() -> None:
        queue = WorkerQueue()
        while (asked := ask(schedule, queue)) != [None]:
            answer(schedule, queue, traced(*filter(None, asked)))
        list(schedule.worker_lost(queue, "bus error"))

    for _ in range(MAX_LOSSES_IN_A_ROW - 1):
        lose_in_writing()
    with pytest.raises(WorkerLost, match=r"30 workers died .* without writing a part; .* bus error"):
        lose_in_writing()


def test_a_traced_prompt_starts_the_count_of_losses_again() -> None:
    schedule = Schedule((unit(f"p{n}") for n in range(3 * MAX_LOSSES_IN_A_ROW)), attempts=3)
    for _ in range(2 * MAX_LOSSES_IN_A_ROW):
        queue = WorkerQueue()
        ask(schedule, queue)
        answer(schedule, queue, traced(next(iter(queue.units))))
        list(schedule.worker_lost(queue, "killed"))


def test_prompts_of_a_part_that_is_refused_are_given_out_again_and_fail_after_so_many_parts() -> None:
    schedule, queue = Schedule(map(unit, "ab"), attempts=2), WorkerQueue()
    assert ask(schedule, queue) == ["a", "b"]
    answer(schedule, queue, traced("a"))
    answer(schedule, queue, traced("b"))
    again = list(schedule.part_refused(queue, manifest("a", "b"), "gone"))
    assert [(one.prompt_id, one.status, one.phase, one.attempt) for one in again] == [
        ("a", "retried", "store", 1),
        ("b", "retried", "store", 1),
    ]
    assert not queue.units
    assert ask(schedule, queue) == ["a", "b"]
    answer(schedule, queue, traced("a"))
    (failed,) = schedule.part_refused(queue, manifest("a"), "gone")
    assert (failed.status, failed.attempt) == ("failed", 2)
    assert failed.reason == "2 parts that its graph was in were refused; the last: gone"
