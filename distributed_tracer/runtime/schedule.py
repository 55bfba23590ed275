"""Schedule: which prompt goes to which worker, and where a lost worker's prompts go. No Ray in here.

Two calls are kept in flight per worker, so that none waits for the driver. A worker that dies takes three kinds of
prompts with it: the one it was running, which is suspected; those it had not begun; and those it had traced but
not written. The last two are innocent and go first. A suspect goes last, to a worker with nothing unwritten, so
that if it kills again it kills nothing else; after `attempts` deaths it is recorded as failed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..errors import WorkerLost
from ..plan.unit import WorkUnit
from .events import Outcome, Reply, Status
from .executor import Unwritten

Call = WorkUnit | None
"""What a worker is asked: to trace a unit or, None, to write what it has."""

IN_FLIGHT = 2
MAX_LOSSES_IN_A_ROW = 30
"""So many lost workers without one prompt traced in between are a broken machine, not broken prompts."""


class Share:
    """What one worker was asked and has not answered, and what it traced and has not written."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.units: dict[str, WorkUnit] = {}
        self.unwritten = Unwritten()

    def ask(self, call: Call) -> Call:
        self.calls.append(call)
        if call is not None:
            self.units[call.prompt.id] = call
        return call


class Schedule:
    """The work not handed out yet, and the rules for what a worker gets next."""

    def __init__(self, units: Iterable[WorkUnit], attempts: int) -> None:
        self._fresh = iter(units)
        self._again: deque[WorkUnit] = deque()
        self._suspects: deque[WorkUnit] = deque()
        self._attempts = attempts
        self._losses_in_a_row = 0

    def has_work(self) -> bool:
        """Whether there is anything left to hand out. May read one unit ahead."""
        if not self._again and (unit := next(self._fresh, None)) is not None:
            self._again.append(unit)
        return bool(self._again or self._suspects)

    def next_calls(self, share: Share) -> Iterator[Call]:
        """What to ask of a worker now: nothing if it has enough to do or there is nothing left."""
        while len(share.calls) < IN_FLIGHT and (unit := self._take()) is not None:
            yield share.ask(unit)
        if share.calls:
            return
        if share.unwritten:
            yield share.ask(None)
        if self._suspects:
            yield share.ask(self._suspects.popleft())

    def settle(self, share: Share, call: Call, reply: Reply) -> Iterator[Outcome]:
        """Take a worker's answer to `call`, after the receipt in it was committed."""
        share.calls.remove(call)
        for outcome in share.unwritten.settle(reply):
            if outcome.status in ("done", "failed"):
                del share.units[outcome.prompt_id]
            if outcome.status == "traced":
                self._losses_in_a_row = 0
            yield outcome

    def lost(self, share: Share, reason: str) -> Iterator[Outcome]:
        """Take back everything a dead worker had. Raises WorkerLost if nothing but deaths has happened for long."""
        running = share.calls[0] if share.calls else None
        for unit in share.units.values():
            if unit is running:
                yield self._suspect(unit, reason)
                continue
            self._again.append(unit)
            if unit not in share.calls:
                yield _outcome(unit, "retried", "its worker died before writing the part it was in")
        self._losses_in_a_row += 1
        if self._losses_in_a_row >= MAX_LOSSES_IN_A_ROW:
            raise WorkerLost(
                f"{self._losses_in_a_row} workers died one after another without tracing a prompt; the last: "
                f"{reason} What was written is kept; once the cause is mended, the same command goes on from there."
            )

    def _take(self) -> WorkUnit | None:
        return self._again.popleft() if self._again else next(self._fresh, None)

    def _suspect(self, unit: WorkUnit, reason: str) -> Outcome:
        if unit.attempt >= self._attempts:
            why = f"{unit.attempt} worker processes died while tracing it; the last: {reason}"
            return _outcome(unit, "failed", why)
        self._suspects.append(replace(unit, attempt=unit.attempt + 1))
        return _outcome(unit, "retried", f"its worker died: {reason}")


def _outcome(unit: WorkUnit, status: Status, reason: str) -> Outcome:
    return Outcome(unit.prompt.id, status, "worker", reason, unit.attempt, expected_seconds=unit.expected_seconds)
