"""Stuck: workers that do nothing any more and do not die of it, such as a stopped process, or a driver call of a GPU
that never returns. They are warned of, and then given up like dead ones.

A worker that has a call and is late with it is asked, aside from its work, for a number that grows while it gets on
(WorkerShell.pulse). So what counts is not how long a prompt takes, but how long nothing of it was done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from ..schedule import Schedule
from .replicas import ReplicaHandle, ready

_log = logging.getLogger(__name__)

TIMES = 10.0
"""A call without any visible progress may take this many times its expected duration, which earlier prompts tell."""
_LOOKS = 12
"""So often a worker is looked at before it is given up."""


@dataclass
class _Pulse:
    """What is known of one replica."""

    moved: float
    """When it was last seen to get on, at the latest."""
    number: float | None = None
    asked: Any = None
    """Reference to the answer that it has not given yet."""
    warned: bool = False


class Watch:
    """Looks at replicas again and again, and says which are to be given up."""

    def __init__(self, stuck_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Never any, if `stuck_seconds` is 0."""
        self._seconds, self._clock = stuck_seconds, clock
        self._pulses: dict[ReplicaHandle, _Pulse] = {}
        self._looked = clock()

    def look(self, replicas: Sequence[ReplicaHandle], schedule: Schedule) -> dict[ReplicaHandle, str]:
        """Those that are stuck, and the reason. To be called every few seconds or more often."""
        now, each = self._clock(), self._seconds / _LOOKS
        if not self._seconds or now - self._looked < min(each, 5.0):
            return {}
        if now - self._looked > 2 * each + 5.0:  # this process itself did not get on: nobody was late
            self._pulses.clear()
        self._looked = now
        self._pulses = {replica: self._pulses.get(replica) or _Pulse(now) for replica in replicas}
        stuck: dict[ReplicaHandle, str] = {}
        for replica, pulse in self._pulses.items():
            expected = schedule.expected_seconds(replica.running())
            limit = max(self._seconds, TIMES * expected)
            if self._silent(replica, pulse, now) >= limit:
                stuck.update(self._reasons(replica, now))
            elif now - pulse.moved >= limit / 2 and not pulse.warned:
                pulse.warned = True
                _log.warning(
                    "worker %s has done nothing for %.0f s, while %s. It is replaced if that goes on for %.0f s "
                    "(--stuck-seconds).",
                    *(replica.name, now - pulse.moved, replica.at_work(), limit),
                )
        return stuck

    def _silent(self, replica: ReplicaHandle, pulse: _Pulse, now: float) -> float:
        """For how many seconds it has not got on, though it should."""
        busy = bool(replica.asked) if replica.loaded else bool(ready([replica.placing]))
        if not busy or replica.since > pulse.moved:
            pulse.moved, pulse.warned = (max(replica.since, pulse.moved) if busy else now), False
        if pulse.asked is not None and ready([pulse.asked]):
            number, pulse.asked = _answer(pulse.asked), None
            if number != pulse.number:
                pulse.number, pulse.moved, pulse.warned = number, now, False
        if pulse.asked is None and now - pulse.moved >= self._seconds / _LOOKS:
            pulse.asked = replica.actor.pulse.remote()
        return now - pulse.moved

    def _reasons(self, replica: ReplicaHandle, now: float) -> Iterator[tuple[ReplicaHandle, str]]:
        """Its own; where others of its group do not even answer, theirs: it may only wait for them."""
        asked = {one: self._pulses[one].asked for one in replica.group.replicas}
        mute = [one for one, ref in asked.items() if ref is not None and not ready([ref])]
        for one in mute or [replica]:
            how = "did not answer" if one in mute else "did nothing"
            yield one, f"worker {one.name} {how} for {now - self._pulses[one].moved:.0f} s, and is given up"


def _answer(ref: Any) -> float | None:
    try:
        return float(ray.get(ref))
    except ray.exceptions.RayError:  # that it is dead will be seen elsewhere
        return None
