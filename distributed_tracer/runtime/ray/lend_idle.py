"""Idle replicas lent to busy ones, when there is no prompt left to hand out: the last long prompts end sooner."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..schedule import Schedule
from .replicas import ReplicaHandle

WORTH_SECONDS = 5.0
"""What an assistant has to prepare first, a forward pass and the encoding, should be little of what is left."""
_LONGER = 0.2
"""What has taken longer than expected is taken to last so much of it longer still."""


def assign_helpers(replicas: Sequence[ReplicaHandle], schedule: Schedule) -> None:
    """Offer every replica that has nothing to do to the one that will be busy for longest.

    Not to one with a suspect, a prompt that was tried before: what killed a worker might kill whoever helps.
    """
    idle = [r for r in replicas if r.loaded and r.helps is None and not r.asked and not r.share.unwritten]
    busy = [r for r in replicas if r.loaded and r.asked and all(unit.attempt == 1 for unit in r.running())]
    for replica in idle:
        leader = max(busy, key=lambda other: _left(other, schedule), default=None)
        if leader is None or _left(leader, schedule) < WORTH_SECONDS:
            return
        leader.actor.offer.remote(replica.actor)
        leader.helpers.append(replica)
        replica.helps = leader


def _left(replica: ReplicaHandle, schedule: Schedule) -> float:
    """Seconds, with the help that it has."""
    taken = time.monotonic() - replica.since
    expected = schedule.expected_seconds(replica.running())
    return max(expected - taken, _LONGER * taken) / (1 + len(replica.helpers))
