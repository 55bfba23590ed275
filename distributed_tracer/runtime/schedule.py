"""Schedule: which prompt goes to which worker, and where a lost worker's prompts go. No Ray in here.

Two calls are kept in flight per worker, so that none waits for the driver. A call carries one prompt or, where workers
are many and prompts short, as many as take so long together that the driver keeps up with all workers.

A worker that dies takes three kinds of prompts with it: the one it was running, which is suspected; those it had not
begun; and those it had traced but not written. The last two are innocent and go first. A suspect goes last, to a worker
with nothing unwritten, so that if it kills again it kills nothing else; after `attempts` deaths it is recorded as
failed, if it was alone in the last: a process that ends at once may take the answer to the prompt before along, and
that one would be blamed. Of several prompts in the call that was running nobody knows which it was: each is tried again
in a call of its own, and only a death in such a call counts against it. A worker that ends because another one of its
group died blames nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..errors import WorkerLost
from ..plan.work import Outcome, Status, WorkUnit
from ..store.format.part_manifest import PartManifest
from .executor import PendingOutcomes, after_refusal
from .reply import WorkerReply
from .telemetry.estimate import DurationModel

UnitBatch = tuple[WorkUnit, ...]
"""What a worker is asked: to trace some units or, of none, to write what it has."""
FLUSH: UnitBatch = ()

IN_FLIGHT = 2
MAX_UNITS = 64
"""In one call, however short they are: a part is written between calls only."""
MAX_LOSSES_IN_A_ROW = 30
"""So many lost workers without one prompt traced in between are a broken machine, not broken prompts."""


class WorkerQueue:
    """What one worker was asked and has not answered, and what it traced and has not written."""

    def __init__(self) -> None:
        self.calls: list[UnitBatch] = []
        self.units: dict[str, WorkUnit] = {}
        self.unwritten = PendingOutcomes()

    def ask(self, call: UnitBatch) -> UnitBatch:
        self.calls.append(call)
        self.units |= {unit.prompt.id: unit for unit in call}
        return call


class Schedule:
    """The work not handed out yet, and the rules for what a worker gets next."""

    def __init__(self, units: Iterable[WorkUnit], attempts: int, call_seconds: float = 0.0) -> None:
        """`call_seconds` is how long a call should take at least, by what prompts took so far; 0: one prompt each."""
        self._fresh = iter(units)
        self._ahead: WorkUnit | None = None
        self._again: deque[WorkUnit] = deque()
        self._suspects: deque[WorkUnit] = deque()
        self._attempts, self._call_seconds = attempts, call_seconds
        self._estimate = DurationModel()
        self._losses_in_a_row = 0
        self._losses_writing = 0

    def has_work(self) -> bool:
        """Whether there is anything left to hand out. May read one unit ahead."""
        if self._ahead is None and not self._again:
            self._ahead = next(self._fresh, None)
        return bool(self._ahead or self._again or self._suspects)

    def withdraw(self) -> None:
        """Hand out nothing more; what workers have been asked goes on."""
        self._fresh, self._ahead = iter(()), None
        self._again.clear()
        self._suspects.clear()

    def next_calls(self, share: WorkerQueue) -> Iterator[UnitBatch]:
        """What to ask of a worker now: nothing if it has enough to do or there is nothing left."""
        while len(share.calls) < IN_FLIGHT and (call := self._take()):
            yield share.ask(call)
        if share.calls:
            return
        if share.unwritten:
            yield share.ask(FLUSH)
        elif self._suspects:  # not before the answer to that is here: a process that dies at once takes it along
            yield share.ask((self._suspects.popleft(),))

    def expected_seconds(self, call: UnitBatch) -> float:
        """By what prompts took so far."""
        return sum(self._estimate.predict(1, unit.expected_seconds) for unit in call)

    def refused(self, share: WorkerQueue, call: UnitBatch, reason: str) -> Iterator[Outcome]:
        """A call never began, because of something in it: a prompt that was alone has failed, others are sent alone."""
        share.calls.remove(call)
        for unit in call:
            del share.units[unit.prompt.id]
            if len(call) == 1:
                yield _outcome(unit, "failed", reason)
            else:
                self._again.append(unit)

    def settle(self, share: WorkerQueue, call: UnitBatch, reply: WorkerReply) -> Iterator[Outcome]:
        """Take a worker's answer to `call`; the receipt in it is for `written`."""
        share.calls.remove(call)
        for outcome in share.unwritten.receive(reply):
            if outcome.status == "failed":
                del share.units[outcome.prompt_id]
            if outcome.status == "traced":
                self._losses_in_a_row = 0
                self._estimate.observe(outcome.expected_seconds, outcome.seconds)
            yield outcome

    def written(self, share: WorkerQueue, receipt: PartManifest) -> Iterator[Outcome]:
        """A worker's part is committed."""
        self._losses_writing = 0
        for outcome in share.unwritten.mark_durable(receipt):
            del share.units[outcome.prompt_id]
            yield outcome

    def not_committed(self, share: WorkerQueue, receipt: PartManifest, reason: str) -> Iterator[Outcome]:
        """A worker's part is refused: its prompts are traced again, or failed after so many parts as `attempts`."""
        for prompt_id in share.unwritten.refused(receipt):
            unit, outcome = after_refusal(share.units.pop(prompt_id), self._attempts, reason)
            self._again.extend([] if unit is None else [unit])
            yield outcome

    def worker_lost(self, share: WorkerQueue, reason: str, blamed: bool = True) -> Iterator[Outcome]:
        """Take back everything a dead worker had; what it ran is suspected unless it is not to blame.

        Raises WorkerLost if nothing but deaths has happened for long.
        """
        running, *waiting = share.calls or [FLUSH]
        not_begun = {unit.prompt.id for call in waiting for unit in call}
        for unit in share.units.values():
            if running == (unit,) and blamed:
                yield self._suspect(unit, reason, alone=not waiting)
                continue
            self._again.append(unit)
            if unit in running:
                yield _outcome(unit, "retried", f"its worker died, with {len(running)} prompts to trace: {reason}")
            elif unit.prompt.id not in not_begun:
                yield _outcome(unit, "retried", "its worker died before writing the part it was in")
        if not blamed:
            return
        self._losses_in_a_row += 1
        self._losses_writing += bool(share.calls) and running == FLUSH  # no prompt is to blame: it could go on for ever
        if max(self._losses_in_a_row, self._losses_writing) >= MAX_LOSSES_IN_A_ROW:
            what = "writing a part" if self._losses_writing >= MAX_LOSSES_IN_A_ROW else "tracing a prompt"
            raise WorkerLost(
                f"{MAX_LOSSES_IN_A_ROW} workers died one after another without {what}; the last: "
                f"{reason} What was written is kept; once the cause is mended, the same command goes on from there."
            )

    def _take(self) -> UnitBatch:
        if self._again:
            return (self._again.popleft(),)
        units: list[WorkUnit] = []
        seconds = 0.0
        while len(units) < MAX_UNITS and (unit := self._next_fresh()) is not None:
            units.append(unit)
            seconds += self._estimate.predict(1, unit.expected_seconds)
            if seconds >= self._call_seconds or not self._estimate:
                break
        return tuple(units)

    def _next_fresh(self) -> WorkUnit | None:
        unit, self._ahead = self._ahead, None
        return unit or next(self._fresh, None)

    def _suspect(self, unit: WorkUnit, reason: str, alone: bool) -> Outcome:
        if alone and unit.attempt >= self._attempts:
            why = f"{unit.attempt} worker processes died while tracing it; the last: {reason}"
            return _outcome(unit, "failed", why)
        self._suspects.append(replace(unit, attempt=unit.attempt + 1))
        return _outcome(unit, "retried", f"its worker died: {reason}")


def _outcome(unit: WorkUnit, status: Status, reason: str) -> Outcome:
    return Outcome(unit.prompt.id, status, "worker", reason, unit.attempt, expected_seconds=unit.expected_seconds)
