"""Executor: the one method behind which prompts are traced here or on a cluster, and what both kinds share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ..config import JobConfig, RunConfig
from ..errors import CommitRefused
from ..plan.work import Outcome, WorkUnit
from ..store.format.part_manifest import PartManifest
from .reply import WorkerReply

if TYPE_CHECKING:
    from .worker import Worker

MakeWorker = Callable[..., Any]
"""Makes the worker of a process from the configuration and its number of CPU threads; and with `part`, where it keeps a
slice of the transcoders only. Executors take one as an argument: the place to put a Worker that does something else."""


class Commit(Protocol):
    """Called in the driver with every receipt, those that come together in one call."""

    def __call__(self, *receipts: PartManifest) -> None:
        """The prompts of their parts are done when it has returned. Raises CommitRefused, which names the parts that do
        not count, and is told of those that do; any other error ends the run."""
        ...


class Executor(Protocol):
    """Who does the work."""

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        """Trace every unit and write the graphs, in the order that suits; yield what became of each prompt.

        Every prompt ends as *done* or *failed*, once; *traced* and *retried* come on the way. `units` is read
        only as fast as work is handed out, so that a caller who ends it early ends the run early, with
        everything traced until then written and committed. A prompt whose part is refused at its commit is traced
        again, and failed after RunConfig.attempts such parts. Raises InputError if workers cannot be set up,
        StoreError if the store cannot be written, OutOfMemory if there is no memory to write a part, WorkerLost if
        workers die without getting anything done.
        """
        ...


def new_worker(config: JobConfig, threads: int, **options: Any) -> Worker:
    """The ordinary worker. Imported where it works, so that the driver of a cluster never loads torch for it."""
    from .worker import Worker

    return Worker(config, threads, **options)


def threads_per_worker(run: RunConfig, cores: int) -> int:
    """CPU threads of each worker: as configured, else an equal share of the cores, at least one."""
    return run.threads or max(1, cores // (1 if run.local else run.workers))


class PendingOutcomes:
    """The traced prompts of one worker whose part is not committed yet: what is lost if the worker is."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}

    def __len__(self) -> int:
        return len(self._outcomes)

    def receive(self, reply: WorkerReply) -> Iterator[Outcome]:
        """Pass on a reply's outcomes; of its receipt, if it has one, `written` is to be told once that is committed."""
        for outcome in reply.outcomes:
            if outcome.status == "traced":
                self._outcomes[outcome.prompt_id] = outcome
            yield outcome

    def mark_durable(self, receipt: PartManifest) -> Iterator[Outcome]:
        """The prompts of a committed part are done."""
        for entry in receipt.prompts:
            yield replace(self._outcomes.pop(entry.id), status="done")

    def refused(self, receipt: PartManifest) -> list[str]:
        """Ids of the prompts of a part that must not count: nobody has their graphs any more."""
        return [self._outcomes.pop(entry.id).prompt_id for entry in receipt.prompts]


def committed(commit: Commit, receipts: Sequence[PartManifest]) -> Mapping[str, str]:
    """Commit parts; those that are refused, by name, with the reason. Raises what ends the run."""
    try:
        commit(*receipts)
    except CommitRefused as error:
        return error.parts
    return {}


def after_refusal(unit: WorkUnit, attempts: int, reason: str) -> tuple[WorkUnit | None, Outcome]:
    """What is to be traced again of a prompt whose part was refused, if anything, and what to tell."""
    refusals, tries = unit.refusals + 1, unit.attempt + unit.refusals
    told = Outcome(unit.prompt.id, "retried", "store", reason, tries, expected_seconds=unit.expected_seconds)
    if refusals < attempts:
        return replace(unit, refusals=refusals), told
    why = f"{refusals} parts that its graph was in were refused" if refusals > 1 else "its part was refused"
    return None, replace(told, status="failed", reason=f"{why}; {'the last: ' if refusals > 1 else ''}{reason}")
