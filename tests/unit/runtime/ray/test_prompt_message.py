"""Prompts that cannot travel: alone in a parcel, and as a call of a schedule."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

pytest.importorskip("ray")

import ray

from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.ray.prompt_message import CannotTravel, Parcel, unpacked
from distributed_tracer.runtime.ray.replicas import ReplicaHandle
from distributed_tracer.runtime.schedule import Schedule, WorkerQueue


class Stays(int):
    """Cannot be packed."""

    def __reduce__(self) -> Any:
        raise RuntimeError("I stay here")


class Arrives(int):
    """Can be packed, and not unpacked."""

    def __reduce__(self) -> Any:
        return _unpack, ()


def _unpack() -> None:
    raise RuntimeError("not\nhere")


def unit(name: str, thing: object = 0) -> WorkUnit:
    found = WorkUnit(Prompt(name), 2.0, attempt=2)
    object.__setattr__(found.prompt, "metadata", {"thing": thing})
    return found


def nested(levels: int) -> Any:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def test_what_can_travel_arrives_as_it_was() -> None:
    units, unread = unpacked(pickle.loads(pickle.dumps([Parcel.of(unit("a")), Parcel.of(unit("b", [1, "é"]))])))
    assert (units, unread) == ([unit("a"), unit("b", [1, "é"])], [])


CANNOT = [(Stays(), "RuntimeError: I stay here"), (nested(10**5), "RecursionError")]


@pytest.mark.parametrize(("thing", "reason"), CANNOT, ids=["refuses", "deep"])
def test_what_cannot_be_packed_is_said_before_it_is_sent(thing: object, reason: str) -> None:
    with pytest.raises(CannotTravel, match=f"^it cannot be sent to a worker: {reason}"):
        Parcel.of(unit("a", thing))


def test_what_cannot_be_read_fails_alone_at_the_other_end() -> None:
    units, (unread,) = unpacked([Parcel.of(unit("a", Arrives())), Parcel.of(unit("b"))])
    assert [found.prompt.id for found in units] == ["b"]
    assert (unread.prompt_id, unread.status, unread.phase, unread.attempt) == ("a", "failed", "worker", 2)
    assert (unread.reason, unread.expected_seconds) == (
        "a worker cannot read it as it was sent: RuntimeError: not",
        2.0,
    )


def test_what_ray_has_no_room_for_is_said_with_its_size() -> None:
    class Full:
        def __init__(self) -> None:
            self.trace = self

        def remote(self, *parcels: Parcel) -> None:
            raise ray.exceptions.ObjectStoreFullError("no room")

    none: Any = None
    replica = ReplicaHandle(none, Full(), None, None, 0.0)
    with pytest.raises(CannotTravel, match=r"^Ray has no room for its 1,000,\d\d\d bytes: .*no room"):
        replica.ask((unit("a", "x" * 1_000_000),))
    assert not replica.in_flight


def test_a_call_with_one_that_cannot_travel_is_sent_again_one_by_one() -> None:
    units = [WorkUnit(Prompt(name), 1.0) for name in "abc"]
    schedule, queue = Schedule(units, attempts=3, call_seconds=100.0), WorkerQueue()
    schedule._estimate.observe(1.0, 1.0)
    (together,) = schedule.next_calls(queue)
    assert len(together) == 3
    assert list(schedule.call_not_sent(queue, together, "why")) == []
    for call in schedule.next_calls(queue):  # two at a time, but for those that never begin
        assert len(call) == 1
        if call[0].prompt.id != "c":
            (outcome,) = schedule.call_not_sent(queue, call, "why")
            assert (outcome.prompt_id, outcome.status, outcome.phase, outcome.reason) == (
                call[0].prompt.id,
                "failed",
                "worker",
                "why",
            )
    assert list(queue.units) == ["c"]
    assert not schedule.has_work()
