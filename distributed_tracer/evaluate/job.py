"""run_evaluation: evaluates the graphs of a store and writes the results beside them.

It uses the same executors as tracing and is as robust when it is killed.

open ─▶ choose ─▶ skip what is done ─▶ execute ─▶ record ─▶ EvaluationSummary
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..artifacts.files_in_use import FilesInUse
from ..config import CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TraceConfig, TranscoderConfig
from ..errors import ConfigError
from ..job.provenance import made_by
from ..job.summary import SHOWN_FAILURES
from ..plan.work import Outcome, WorkUnit
from ..prompt import Prompt
from ..runtime.execute import run_units
from ..runtime.signals import GracefulShutdown, NothingBegun
from ..runtime.telemetry.logs import log_outcomes
from ..runtime.telemetry.progress import ProgressTracker
from ..store.evaluations import EvaluatedPrompt, EvaluationResults, evaluation_results, new_check, write_check
from ..store.format.part_manifest import PartManifest
from ..store.ledger import Ledger
from ..store.reader import Store, open_store
from ..table import Table
from .metric import Metric

_SECONDS_PER_TOKEN = 0.01
"""First estimate of the duration, on two CPU cores with the demo's model. The run learns the real duration."""


@dataclass(frozen=True)
class EvaluationJob:
    """What to evaluate, on which graphs, and with which resources."""

    store: str
    """Directory or URL of a store."""
    measure: Metric
    sample: int | None = None
    """Number of prompts to sample at random; None evaluates all."""
    sample_seed: int = 0
    model: str | None = None
    """Directory or hub id of the model, if it is not where run.json says; `transcoders` likewise. Files that differ
    from those that the store was made with are refused.
    """
    transcoders: str | None = None
    device_map: str = "auto"
    run: RunConfig = field(default_factory=RunConfig)
    part_prompts: int = 64
    """A worker writes its results once it has evaluated this many prompts."""
    part_seconds: float = 30.0
    """A worker also writes its results after this many seconds. A crash loses what is not written."""

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 1:
            raise ConfigError(f"sample must be at least 1, not {self.sample}")


@dataclass(frozen=True)
class EvaluationSummary:
    """How a job went, and the results known so far for all prompts that were requested."""

    wanted: tuple[str, ...]
    figures: EvaluationResults
    num_done: int
    num_skipped: int
    failed: tuple[Outcome, ...]
    num_left: int
    seconds: float

    @property
    def table(self) -> Table:
        """Results of the requested prompts."""
        table, wanted = self.figures.table, set(self.wanted)
        return table.where([prompt in wanted for prompt in table["prompt"]])

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain data for JSON, without the results."""
        failed = {outcome.prompt_id: f"{outcome.phase}: {outcome.reason}" for outcome in self.failed}
        counts = {"num_done": self.num_done, "num_skipped": self.num_skipped, "num_left": self.num_left}
        return {"settings": dict(self.figures.settings), **counts, "failed": failed, "seconds": self.seconds}

    @property
    def exit_code(self) -> int:
        """0 if all is evaluated, 3 if some prompts failed, 130 if the job was stopped; independent of the results."""
        return 130 if self.num_left else 3 if self.failed else 0

    def describe(self) -> str:
        """Return the summary as one or more lines of text."""
        rate = self.num_done / self.seconds if self.seconds > 0 else 0.0
        lines = [
            f"{self.num_done:,} measured, {self.num_skipped:,} skipped (done before), {len(self.failed):,} failed "
            f"in {self.seconds:,.1f} seconds ({rate:.2f} prompts/s)"
        ]
        lines += [f"failed in {one.phase}: {one.prompt_id!r}: {one.reason!r}" for one in self.failed[:SHOWN_FAILURES]]
        if len(self.failed) > SHOWN_FAILURES:
            lines.append(f"... and {len(self.failed) - SHOWN_FAILURES:,} more")
        if self.num_left:
            lines.append(f"stopped with {self.num_left:,} prompts left: run the same command again to go on")
        return "\n".join(lines)


def run_evaluation(job: EvaluationJob) -> EvaluationSummary:
    """Evaluate every graph of the store, or a sample, that was not evaluated with the same settings before.

    If it is killed at any moment and called again, it does the rest. Graphs that cannot be evaluated are recorded with
    their reason and tried again by the next call. Raises StoreError; StoreMismatch for files that differ from those
    that the store was made with; and InputError and WorkerLost as `run_job` does.
    """
    with log_outcomes(job.run.log_format) as tell:
        return _run(job, tell)


def job_config(job: EvaluationJob, identity: Mapping[str, Any]) -> JobConfig:
    """Return the configuration for workers, with the settings with which the store's graphs were made."""
    return JobConfig(
        ModelConfig(job.model or identity["model"], identity["forward_dtype"], job.device_map),
        TranscoderConfig(job.transcoders or identity["transcoders"]),
        CorpusConfig(""),
        StoreConfig(job.store, part_prompts=job.part_prompts, part_seconds=job.part_seconds),
        TraceConfig(),
        job.run,
    )


def _run(job: EvaluationJob, tell: Callable[[Outcome], None]) -> EvaluationSummary:
    started, store = time.monotonic(), open_store(job.store)
    config = job_config(job, store.info["identity"])
    files = FilesInUse(config.model.model, config.transcoders.transcoders)
    Ledger(job.store).create_or_check({"identity": store.info["identity"], "content": files.identity["content"]})
    wanted = choose(store, job.sample, job.sample_seed)
    known = evaluation_results(store.root, job.measure.kind, store.catalogue, job.measure.settings)
    units = [_unit(store, name) for name in wanted if name not in known.done]
    about = made_by(config)
    record = _Record(
        job, store, {name: about[name] for name in ("command", "versions", "platform")}, known.number + 1, tell
    )
    if units:
        make_worker = partial(new_checker, job.measure, record.made_by, expected=files.content, number=known.number + 1)
        tracker = ProgressTracker(len(units), sum(unit.expected_seconds for unit in units))
        with GracefulShutdown(job.run.log_format) as stopping, suppress(NothingBegun):
            run_units(config, units, tracker, record, _count, make_worker, stopping)
    found = evaluation_results(store.root, job.measure.kind, store.catalogue, job.measure.settings)
    num_left = len(units) - record.num_done - len(record.failed)
    num_skipped, seconds = len(wanted) - len(units), time.monotonic() - started
    return EvaluationSummary(
        tuple(wanted), found, record.num_done, num_skipped, tuple(record.failed), num_left, seconds
    )


def new_checker(measure: Metric, made_by: Mapping[str, Any], config: JobConfig, threads: int, **options: Any) -> Any:
    """Make an EvaluationWorker. The import stands here, so that only workers load torch, never a cluster's driver."""
    from .worker import EvaluationWorker

    return EvaluationWorker(measure, made_by, config, threads, **options)


def choose(store: Store, sample: int | None, seed: int) -> list[str]:
    """Return the ids of all prompts, or of `sample` of them chosen at random, in the order of the store."""
    ids = list(store)
    if sample is not None and sample < len(ids):
        ids = [ids[number] for number in np.random.default_rng(seed).choice(len(ids), sample, replace=False)]
    return sorted(ids, key=store.catalogue.number_of.__getitem__)


def _unit(store: Store, prompt_id: str) -> WorkUnit:
    num_tokens = store.entry(prompt_id).num_tokens
    return WorkUnit(Prompt(prompt_id), expected_seconds=_SECONDS_PER_TOKEN * num_tokens)


def _count(*receipts: PartManifest) -> None:
    """Do nothing with part manifests: results count as soon as they are written."""


class _Record:
    """Records failures, each as an object of its own, and counts outcomes."""

    def __init__(
        self, job: EvaluationJob, store: Store, made_by: Mapping[str, Any], number: int, tell: Callable[[Outcome], None]
    ) -> None:
        self.num_done = 0
        self.failed: list[Outcome] = []
        self.made_by = made_by
        self._job, self._store, self._number, self._tell = job, store, number, tell

    def __call__(self, outcome: Outcome) -> None:
        if outcome.status == "done":
            self.num_done += 1
        elif outcome.status == "failed":
            self.failed.append(outcome)
            self._write(outcome)
        self._tell(outcome)

    def _write(self, outcome: Outcome) -> None:
        measure, asked = self._job.measure, self._store.entry(outcome.prompt_id).asked
        prompt = EvaluatedPrompt(outcome.prompt_id, asked, "", f"{outcome.phase}: {outcome.reason}")
        check = new_check(measure.kind, measure.settings, self.made_by, (prompt,), (), self._number)
        write_check(self._store.root, check, StoreConfig(self._job.store).retry_seconds)
