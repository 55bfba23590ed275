"""Lends idle replicas to busy ones when no prompt is left to hand out, so that the last long prompts end sooner."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..schedule import Schedule
from .replicas import ReplicaHandle

MIN_REMAINING_SECONDS = 5.0
"""Least number of seconds that a prompt must still take to be given a helper. A helper first repeats the forward pass
and the encoding, which should be a small share of the remaining work."""
OVERRUN_FACTOR = 0.2
"""A prompt that takes longer than expected is assumed to need this share of its elapsed time in addition."""


def assign_helpers(replicas: Sequence[ReplicaHandle], schedule: Schedule) -> None:
    """Offer every idle replica as a helper to the replica that is expected to be busy for the longest time.

    A replica that traces a suspect, a prompt that was tried before, gets no helper: the prompt that killed a worker
    could also kill the helper.
    """
    able = [r for r in replicas if r.loaded and r.supports_helpers]
    idle = [r for r in able if r.helps is None and not r.in_flight and not r.queue.pending]
    busy = [r for r in able if r.in_flight and all(unit.attempt == 1 for unit in r.running())]
    for replica in idle:
        leader = max(busy, key=lambda other: _left(other, schedule), default=None)
        if leader is None or _left(leader, schedule) < MIN_REMAINING_SECONDS:
            return
        leader.actor.add_helper.remote(replica.actor)
        leader.helpers.append(replica)
        replica.helps = leader


def _left(replica: ReplicaHandle, schedule: Schedule) -> float:
    """Return the seconds that the replica still needs for its running call, with the helpers that it has."""
    taken = time.monotonic() - replica.busy_since
    expected = schedule.expected_seconds(replica.running())
    return max(expected - taken, OVERRUN_FACTOR * taken) / (1 + len(replica.helpers))
