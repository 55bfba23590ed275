"""Hung workers: finds workers that make no progress but do not die, and reports them to be replaced.

Examples are a stopped process, or a call of a GPU's driver that never returns. A warning is logged first; later the
worker is treated like a dead one. A worker that is late with a call is asked, in parallel to its work, for a number
that grows while it makes progress (`WorkerActor.pulse`). The time limit therefore applies to the time without progress,
not to the duration of a prompt.
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
"""A call without any visible progress may take this many times its duration as expected from earlier prompts."""
_LOOKS = 12
"""Number of times that a worker is looked at before it is given up."""


@dataclass
class _Pulse:
    """The observed progress of one replica."""

    moved: float
    """Time at which the replica was last seen to make progress."""
    number: float | None = None
    request: Any = None
    """Reference of the pulse call that the replica has not answered yet."""
    warned: bool = False


class Watch:
    """Looks at the replicas repeatedly, and returns those that are to be given up."""

    def __init__(self, stuck_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Create a watch that gives up a replica after `stuck_seconds` without progress; 0 disables it."""
        self._seconds, self._clock = stuck_seconds, clock
        self._pulses: dict[ReplicaHandle, _Pulse] = {}
        self._looked = clock()

    def look(self, replicas: Sequence[ReplicaHandle], schedule: Schedule) -> dict[ReplicaHandle, str]:
        """Return the replicas that are stuck, with the reason. Call this at least every few seconds."""
        now, each = self._clock(), self._seconds / _LOOKS
        if not self._seconds or now - self._looked < min(each, 5.0):
            return {}
        if now - self._looked > 2 * each + 5.0:  # this process itself was suspended: the replicas were not late
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
        """Return the seconds for which the replica should have made progress and has not."""
        busy = bool(replica.in_flight) if replica.loaded else bool(ready([replica.placing]))
        if not busy or replica.busy_since > pulse.moved:
            pulse.moved, pulse.warned = (max(replica.busy_since, pulse.moved) if busy else now), False
        if pulse.request is not None and ready([pulse.request]):
            number, pulse.request = _answer(pulse.request), None
            if number != pulse.number:
                pulse.number, pulse.moved, pulse.warned = number, now, False
        if pulse.request is None and now - pulse.moved >= self._seconds / _LOOKS:
            pulse.request = replica.actor.pulse.remote()
        return now - pulse.moved

    def _reasons(self, replica: ReplicaHandle, now: float) -> Iterator[tuple[ReplicaHandle, str]]:
        """Yield the replicas to give up, with the reason.

        If other replicas of the group do not even answer, those are given up, since this one may only wait for them.
        """
        request = {one: self._pulses[one].request for one in replica.group.replicas}
        mute = [one for one, ref in request.items() if ref is not None and not ready([ref])]
        for one in mute or [replica]:
            how = "did not answer" if one in mute else "did nothing"
            yield one, f"worker {one.name} {how} for {now - self._pulses[one].moved:.0f} s, and is given up"


def _answer(ref: Any) -> float | None:
    try:
        return float(ray.get(ref))
    except ray.exceptions.RayError:  # other code finds out that the actor is dead
        return None
