"""Which workers are given up. Actors are stand-ins that answer, or do not; time is the test's."""

from __future__ import annotations

import logging
from typing import Any

import pytest

pytest.importorskip("ray")

from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.ray import hung_workers
from distributed_tracer.runtime.ray.hung_workers import Watch
from distributed_tracer.runtime.ray.replicas import ReplicaHandle
from distributed_tracer.runtime.schedule import Schedule

SECONDS = 120.0


class Actor:
    """Answers every pulse with a number: one that grows, or always the same, or not at all."""

    def __init__(self, answers: bool, advances: bool) -> None:
        self.answers, self.number, self.advances, self.pulse = answers, 0, advances, self

    def remote(self) -> Actor:
        self.number += self.advances
        return self


class Group:
    """Of replicas that share transcoders."""

    def __init__(self, *replicas: ReplicaHandle) -> None:
        self.replicas = list(replicas)
        for replica in replicas:
            replica.group = self  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hung_workers, "ready", lambda refs: [ref for ref in refs if ref.answers])
    monkeypatch.setattr(ReplicaHandle, "name", "host:1")
    monkeypatch.setattr(hung_workers, "_answer", lambda ref: float(ref.number))


def replica(answers: bool = True, advances: bool = False, expected: float = 1.0, **options: Any) -> ReplicaHandle:
    """One that was asked for a prompt at time 0, which should take so long."""
    options = {"loaded": True, "in_flight": {"ref": (WorkUnit(Prompt("p"), expected),)}, **options}
    none: Any = None
    found = ReplicaHandle(none, Actor(answers, advances), Actor(True, True), None, 0.0, **options)
    Group(found)
    return found


def given_up(
    *replicas: ReplicaHandle, seconds: float = SECONDS, until: float = 1000.0, pause: float = 0.0
) -> dict[str, int]:
    """When each was given up first, by its number; looked at every second, but for one pause of the watch itself."""
    found: dict[str, int] = {}
    now = 0.0
    watch, schedule = Watch(seconds, lambda: now), Schedule([], attempts=3)
    while now < until:
        for one, reason in watch.look(replicas, schedule).items():
            found.setdefault(f"{replicas.index(one)} {'mute' if 'not answer' in reason else 'idle'}", int(now))
        now += pause if pause and now == 50.0 else 1.0
    return found


def test_a_worker_that_does_not_answer_and_one_that_does_nothing_are_given_up() -> None:
    found = given_up(replica(answers=False), replica(answers=True))
    assert list(found) == ["0 mute", "1 idle"]
    assert SECONDS <= found["0 mute"] <= SECONDS + 10
    assert found["0 mute"] <= found["1 idle"] <= 1.2 * SECONDS + 10  # its first answer may mean that it got on


def test_a_worker_that_gets_on_may_take_as_long_as_it_likes() -> None:
    assert given_up(replica(advances=True), until=20 * SECONDS) == {}


def test_what_should_take_long_may_do_so_ten_times_over() -> None:
    (when,) = given_up(replica(answers=False, expected=50.0)).values()
    assert 500 <= when <= 510


def test_who_has_nothing_to_do_or_no_place_is_left_alone() -> None:
    waiting = replica(answers=False, loaded=False, in_flight={})
    waiting.placing = Actor(answers=False, advances=False)
    assert given_up(replica(answers=False, in_flight={}), waiting) == {}


def test_who_is_silent_while_loading_is_given_up_and_who_answers_is_not() -> None:
    loading = {"loaded": False, "in_flight": {}}
    assert list(given_up(replica(advances=True, **loading), replica(answers=False, **loading))) == ["1 mute"]


def test_who_waits_for_one_of_its_group_that_is_mute_is_not_blamed() -> None:
    waits, mute = replica(), replica(answers=False)
    Group(waits, mute)
    assert list(given_up(waits, mute, until=1.3 * SECONDS)) == ["1 mute"]


def test_zero_seconds_wait_for_ever() -> None:
    assert given_up(replica(answers=False), seconds=0.0) == {}


def test_a_driver_that_was_suspended_itself_blames_nobody_at_once() -> None:
    (when,) = given_up(replica(answers=False), pause=700.0).values()
    assert when >= 750 + SECONDS


def test_a_warning_comes_halfway_once(caplog: pytest.LogCaptureFixture) -> None:
    given_up(replica(answers=False), until=0.9 * SECONDS)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "host:1 has done nothing for 60 s, while tracing 'p'" in record.getMessage()
    assert "goes on for 120 s (--stuck-seconds)" in record.getMessage()
