"""Executor: the protocol for tracing prompts in this process or on a cluster, and the code that both ways share."""

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
"""Creates the worker of a process from the configuration and the number of CPU threads. The keyword argument `shard` is
passed only if the worker holds a single shard of the transcoders. Executors take this function as an argument, so that
a caller can supply a worker that does something other than tracing. A worker without an attribute `helpers` neither
gets helpers nor helps."""


class Commit(Protocol):
    """Function that the driver calls with every part manifest; manifests that arrive together come in one call."""

    def __call__(self, *manifests: PartManifest) -> None:
        """Commit the parts; when the call has returned, their prompts are done.

        Raises CommitRefused if some parts must not count: the exception names them, and all other parts of the call
        are committed. Any other error ends the run.
        """
        ...


class Executor(Protocol):
    """Traces units of work and reports what became of each prompt."""

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        """Trace every unit in any order, write the graphs, and yield what became of each prompt.

        Every prompt ends exactly once as *done* or *failed*; *traced* and *retried* may come before that. `units` is
        read only as fast as work is handed out. A caller who ends `units` early therefore ends the run early, and
        everything traced until then is written and committed. A prompt whose part is refused at its commit is traced
        again; it fails after RunConfig.attempts such parts. Raises InputError if workers cannot be set up,
        StoreError if the store cannot be written, OutOfMemory if there is no memory to write a part, and WorkerLost
        if workers die without completing any work.
        """
        ...


def new_worker(config: JobConfig, threads: int, **options: Any) -> Worker:
    """Create the worker that traces prompts.

    Its module is imported in the worker's process, so that the driver of a cluster need not load torch.
    """
    from .worker import Worker

    return Worker(config, threads, **options)


def threads_per_worker(run: RunConfig, cores: int) -> int:
    """Return the CPU threads of each worker: the configured number, or else an equal share of the cores, at least 1."""
    return run.threads or max(1, cores // (1 if run.local else run.workers))


class PendingOutcomes:
    """The traced prompts of one worker whose results are not durable yet. They are lost if the worker is lost."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}

    def __len__(self) -> int:
        return len(self._outcomes)

    def receive(self, reply: WorkerReply) -> Iterator[Outcome]:
        """Yield a reply's outcomes, remember the traced prompts, and yield a *done* outcome for each durable prompt.

        The prompts of a part become durable later: call `mark_durable` once the part is committed.
        """
        for outcome in reply.outcomes:
            if outcome.status == "traced":
                self._outcomes[outcome.prompt_id] = outcome
            yield outcome
        yield from self.mark_durable(reply.durable)

    def mark_durable(self, prompt_ids: Iterable[str]) -> Iterator[Outcome]:
        """Yield a *done* outcome for each of the prompts, whose results are now durable."""
        for prompt_id in prompt_ids:
            yield replace(self._outcomes.pop(prompt_id), status="done")

    def discard(self, prompt_ids: Iterable[str]) -> None:
        """Forget prompts whose part was refused; their graphs no longer exist anywhere."""
        for prompt_id in prompt_ids:
            del self._outcomes[prompt_id]


def committed(commit: Commit | None, manifests: Sequence[PartManifest]) -> Mapping[str, str]:
    """Commit parts, and return the reason for each part that was refused, by the part's name.

    `commit` may be None if no worker writes parts. Raises every error other than CommitRefused; such an error ends the
    run.
    """
    if not manifests:
        return {}
    assert commit is not None, "a worker wrote a part in a run that cannot commit parts"
    try:
        commit(*manifests)
    except CommitRefused as error:
        return error.parts
    return {}


def after_refusal(unit: WorkUnit, attempts: int, reason: str) -> tuple[WorkUnit | None, Outcome]:
    """Return the unit to trace again after its part was refused, and the outcome to report.

    The unit is None, and the outcome *failed*, once `attempts` parts that held the prompt's graph were refused.
    """
    refusals, tries = unit.refusals + 1, unit.attempt + unit.refusals
    outcome = Outcome(unit.prompt.id, "retried", "store", reason, tries, expected_seconds=unit.expected_seconds)
    if refusals < attempts:
        return replace(unit, refusals=refusals), outcome
    why = f"{refusals} parts that its graph was in were refused" if refusals > 1 else "its part was refused"
    return None, replace(outcome, status="failed", reason=f"{why}; {'the last: ' if refusals > 1 else ''}{reason}")
