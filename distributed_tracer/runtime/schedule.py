"""Schedule: decides which prompt goes to which worker, and where a lost worker's prompts go. It does not use Ray.

Two calls are kept in flight per worker, so that no worker waits for the driver. A call carries one prompt. If there are
many workers and the prompts are short, a call carries several prompts, which together take long enough that the driver
keeps up with all workers.

A worker that dies takes three kinds of prompts with it: the prompt it was running, which becomes a suspect; the prompts
it had not begun; and those it had traced but not written. Prompts of the last two kinds are innocent and are handed out
first. A suspect is handed out last, to a worker that has nothing pending, so that another crash loses nothing else.
After `attempts` crashes the prompt is recorded as failed, provided it was the only prompt in flight at the last crash.
Otherwise the crash may belong to the previous prompt, whose reply was lost with the process. If the running call
carried several prompts, the one at fault is unknown: each is retried in a call of its own, and only a crash during such
a call counts against it. If a worker ends because another member of its group died, no prompt is blamed.
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
"""One call to a worker: the units to trace. An empty batch tells the worker to write the graphs that it has."""
FLUSH: UnitBatch = ()

IN_FLIGHT = 2
MAX_UNITS = 64
"""Largest number of units in one call, even if they are very short: a part is written only between calls."""
MAX_LOSSES_IN_A_ROW = 30
"""Number of workers lost in a row, without one prompt traced in between, that ends the run: after that many, the
machine is assumed to be broken, not the prompts."""


class WorkerQueue:
    """The calls that one worker has not answered yet, and its prompts whose results are not durable yet."""

    def __init__(self) -> None:
        self.calls: list[UnitBatch] = []
        self.units: dict[str, WorkUnit] = {}
        self.pending = PendingOutcomes()

    def ask(self, call: UnitBatch) -> UnitBatch:
        """Record a call that is about to be sent, and return it."""
        self.calls.append(call)
        self.units |= {unit.prompt.id: unit for unit in call}
        return call


class Schedule:
    """The work that is not handed out yet, and the rules for what a worker gets next."""

    def __init__(self, units: Iterable[WorkUnit], attempts: int, call_seconds: float = 0.0) -> None:
        """Create a schedule of `units`, which are read only as they are handed out.

        `attempts` is the number of crashes or refused parts after which a prompt fails. `call_seconds` is the least
        duration that a call should have, estimated from the prompts traced so far; 0 puts one prompt into each call.
        """
        self._fresh = iter(units)
        self._ahead: WorkUnit | None = None
        self._again: deque[WorkUnit] = deque()
        self._suspects: deque[WorkUnit] = deque()
        self._attempts, self._call_seconds = attempts, call_seconds
        self._estimate = DurationModel()
        self._losses_in_a_row = 0
        self._losses_writing = 0

    def has_work(self) -> bool:
        """Whether there is work left to hand out. May read one unit ahead."""
        if self._ahead is None and not self._again:
            self._ahead = next(self._fresh, None)
        return bool(self._ahead or self._again or self._suspects)

    def withdraw(self) -> None:
        """Hand out nothing more; calls that workers already have are completed."""
        self._fresh, self._ahead = iter(()), None
        self._again.clear()
        self._suspects.clear()

    def next_calls(self, queue: WorkerQueue) -> Iterator[UnitBatch]:
        """Yield the calls to send to a worker now; none if it has enough to do or there is no work left."""
        while len(queue.calls) < IN_FLIGHT and (call := self._take()):
            yield queue.ask(call)
        if queue.calls:
            return
        if queue.pending:
            yield queue.ask(FLUSH)
        elif self._suspects:  # only after the reply to FLUSH: if the process crashes, that reply would be lost with it
            yield queue.ask((self._suspects.popleft(),))

    def expected_seconds(self, call: UnitBatch) -> float:
        """Return the expected duration of a call, estimated from the prompts traced so far."""
        return sum(self._estimate.predict(1, unit.expected_seconds) for unit in call)

    def call_not_sent(self, queue: WorkerQueue, call: UnitBatch, reason: str) -> Iterator[Outcome]:
        """Take back a call that could not be sent because of its content.

        A prompt that was alone in the call has failed; several prompts are sent again, each in a call of its own.
        """
        queue.calls.remove(call)
        for unit in call:
            del queue.units[unit.prompt.id]
            if len(call) == 1:
                yield _outcome(unit, "failed", reason)
            else:
                self._again.append(unit)

    def settle(self, queue: WorkerQueue, call: UnitBatch, reply: WorkerReply) -> Iterator[Outcome]:
        """Take a worker's reply to `call` and yield its outcomes.

        If the reply has a part manifest, call `part_committed` or `part_refused` afterwards.
        """
        queue.calls.remove(call)
        for outcome in queue.pending.receive(reply):
            if outcome.status == "failed":
                del queue.units[outcome.prompt_id]
            elif outcome.status == "traced":
                self._losses_in_a_row = 0
                self._estimate.observe(outcome.expected_seconds, outcome.seconds)
            elif outcome.status == "done":
                self._done(queue, outcome)
            yield outcome

    def part_committed(self, queue: WorkerQueue, manifest: PartManifest) -> Iterator[Outcome]:
        """Yield a *done* outcome for each prompt of a worker's part, which has been committed."""
        for outcome in queue.pending.mark_durable(manifest.prompt_ids):
            self._done(queue, outcome)
            yield outcome

    def part_refused(self, queue: WorkerQueue, manifest: PartManifest, reason: str) -> Iterator[Outcome]:
        """Take back the prompts of a worker's part that was refused.

        They are traced again; a prompt fails after `attempts` refused parts.
        """
        queue.pending.discard(manifest.prompt_ids)
        for prompt_id in manifest.prompt_ids:
            unit, outcome = after_refusal(queue.units.pop(prompt_id), self._attempts, reason)
            self._again.extend([] if unit is None else [unit])
            yield outcome

    def worker_lost(self, queue: WorkerQueue, reason: str, blamed: bool = True) -> Iterator[Outcome]:
        """Take back all prompts of a dead worker. The prompt it was running becomes a suspect if `blamed`.

        Raises WorkerLost after MAX_LOSSES_IN_A_ROW crashes without a prompt traced or without a part written.
        """
        running, *waiting = queue.calls or [FLUSH]
        not_begun = {unit.prompt.id for call in waiting for unit in call}
        for unit in queue.units.values():
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
        self._losses_writing += bool(queue.calls) and running == FLUSH  # no prompt is blamed: it could go on for ever
        if max(self._losses_in_a_row, self._losses_writing) >= MAX_LOSSES_IN_A_ROW:
            what = "writing a part" if self._losses_writing >= MAX_LOSSES_IN_A_ROW else "tracing a prompt"
            raise WorkerLost(
                f"{MAX_LOSSES_IN_A_ROW} workers died one after another without {what}; the last: "
                f"{reason} What was written is kept; once the cause is fixed, the same command goes on from there."
            )

    def _done(self, queue: WorkerQueue, outcome: Outcome) -> None:
        self._losses_writing = 0
        del queue.units[outcome.prompt_id]

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
