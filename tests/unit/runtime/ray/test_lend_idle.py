"""Which idle replica is lent to which busy one. Actors are stand-ins that note what they are offered."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("ray")

from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.ray.lend_idle import assign_helpers
from distributed_tracer.runtime.ray.replicas import ReplicaHandle
from distributed_tracer.runtime.schedule import Schedule


class Actor:
    """Notes offers."""

    def __init__(self) -> None:
        self.offered: list[Any] = []
        self.add_helper = self

    def remote(self, actor: Any) -> None:
        self.offered.append(actor)


def replica(*expected: float, attempt: int = 1, loaded: bool = True, able: bool = True) -> ReplicaHandle:
    """One that has just begun with a call of prompts that are expected to take so long; idle without any."""
    group: Any = None
    found = ReplicaHandle(group, Actor(), None, None, 0.0, loaded=loaded, supports_helpers=able)
    if expected:
        found.busy_since = time.monotonic()
        units = (WorkUnit(Prompt(f"p{seconds}"), seconds, attempt=attempt) for seconds in expected)
        found.in_flight["ref"] = tuple(units)
    return found


def lent(*replicas: ReplicaHandle) -> list[int]:
    """How many helpers each one got."""
    assign_helpers(replicas, Schedule([], attempts=3))
    return [len(found.actor.offered) for found in replicas]


def test_helpers_go_where_most_is_left_counting_those_already_there() -> None:
    assert lent(replica(100.0), replica(40.0), replica(), replica(), replica()) == [2, 1, 0, 0, 0]


def test_a_helper_is_lent_once_until_what_it_helps_with_is_over() -> None:
    busy, idle = replica(100.0), replica()
    assert lent(busy, idle) == lent(busy, idle) == [1, 0]
    busy.answered("ref")
    assert idle.helps is None
    busy.in_flight["ref"] = (WorkUnit(Prompt("next"), 100.0),)
    assert lent(busy, idle) == [2, 0]


def test_short_prompts_suspects_and_workers_that_load_get_no_help() -> None:
    assert lent(replica(4.0), replica()) == [0, 0]
    assert lent(replica(100.0, attempt=2), replica()) == [0, 0]
    assert lent(replica(100.0, loaded=False), replica()) == [0, 0]


def test_who_has_unwritten_graphs_or_is_loading_helps_nobody() -> None:
    writing = replica()
    writing.queue.pending._outcomes["p"] = None  # type: ignore[assignment]
    assert lent(replica(100.0), writing, replica(loaded=False)) == [0, 0, 0]


def test_workers_that_support_no_helpers_neither_get_nor_give_help() -> None:
    assert lent(replica(100.0, able=False), replica()) == [0, 0]
    assert lent(replica(100.0), replica(able=False)) == [0, 0]
