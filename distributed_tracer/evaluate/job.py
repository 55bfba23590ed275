"""run_evaluation: evaluates the graphs of a store and writes the results beside them.

It uses the same executors as tracing and is as robust when it is killed.

open ─▶ choose ─▶ skip what is done ─▶ execute ─▶ record ─▶ EvaluationSummary
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifacts.files_in_use import FilesInUse
from ..config import CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TraceConfig, TranscoderConfig
from ..errors import ConfigError
from ..job.provenance import made_by
from ..job.summary import describe_counts, describe_unfinished
from ..moved import former_names
from ..plan.work import Outcome, WorkUnit
from ..prompt import Prompt
from ..redact import redacted
from ..runtime.execute import run_units
from ..runtime.signals import GracefulShutdown, NothingBegun
from ..runtime.telemetry.logs import log_outcomes
from ..runtime.telemetry.progress import ProgressTracker
from ..store.evaluations import EvaluatedPrompt, EvaluationResults, evaluation_results, new_check, write_check
from ..store.format.run_file import check_traced
from ..store.ledger import Ledger
from ..store.reader import Store, open_store
from ..table import Table
from .metric import Metric, present_metric

if TYPE_CHECKING:
    from .worker import EvaluationWorker

_SECONDS_PER_TOKEN = 0.01
"""First estimate of the duration, on two CPU cores with the demo's model. The run learns the real duration."""


@former_names(measure="metric")
@dataclass(frozen=True)
class EvaluationJob:
    """What to evaluate, on which graphs, and with which resources."""

    store: str
    """Directory or URL of a store."""
    metric: Metric
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
    """A worker also writes its results after this many seconds. A crash loses unwritten results."""
    prompts: tuple[str, ...] | None = None
    """Ids of the prompts to evaluate, or to sample from; None for all prompts of the store."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", present_metric(self.metric))
        if self.sample is not None and self.sample < 1:
            raise ConfigError(f"sample must be at least 1, not {self.sample}")


@former_names(figures="results")
@dataclass(frozen=True)
class EvaluationSummary:
    """How a job went, and the results known so far for all prompts that were requested."""

    wanted: tuple[str, ...]
    results: EvaluationResults
    num_done: int
    num_skipped: int
    failed: tuple[Outcome, ...]
    num_left: int
    seconds: float

    @property
    def table(self) -> Table:
        """Results of the requested prompts."""
        table, wanted = self.results.table, set(self.wanted)
        return table.where([prompt in wanted for prompt in table["prompt"]])

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain data for JSON, without the results."""
        failed = {outcome.prompt_id: redacted(f"{outcome.phase}: {outcome.reason}") for outcome in self.failed}
        counts = {"num_done": self.num_done, "num_skipped": self.num_skipped, "num_left": self.num_left}
        return {"settings": dict(self.results.settings), **counts, "failed": failed, "seconds": self.seconds}

    @property
    def exit_code(self) -> int:
        """0 if all is evaluated, 3 if some prompts failed, 130 if the job was stopped; independent of the results."""
        return 130 if self.num_left else 3 if self.failed else 0

    def describe(self) -> str:
        """Return the summary as one or more lines of text."""
        num_failed = len(self.failed)
        counts = describe_counts("measured", self.num_done, self.num_skipped, num_failed, self.seconds)
        return "\n".join([counts, *describe_unfinished(self.failed, num_failed, self.num_left)])


def run_evaluation(job: EvaluationJob) -> EvaluationSummary:
    """Evaluate every graph of the store, or a sample, that was not evaluated with the same settings before.

    If it is killed at any moment and called again, it does the rest. Graphs that cannot be evaluated are recorded with
    their reason and tried again by the next call. Raises StoreError; StoreMismatch for files that differ from those
    that the store was made with; and InputError and WorkerLost as `run_job` does.
    """
    with log_outcomes(job.run.log_format) as log_outcome:
        return _run(job, log_outcome)


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


def _run(job: EvaluationJob, on_outcome: Callable[[Outcome], None]) -> EvaluationSummary:
    started, store = time.monotonic(), open_store(job.store)
    check_traced(store.info, "an evaluation")
    config = job_config(job, store.info["identity"])
    files = FilesInUse(config.model.model, config.transcoders.transcoders)
    Ledger(job.store).create_or_check({"identity": store.info["identity"], "content": files.identity["content"]})
    wanted = choose(store, job.sample, job.sample_seed, job.prompts)
    known = evaluation_results(store.root, job.metric.name, store.catalogue, job.metric.settings)
    units = [_unit(store, name) for name in wanted if name not in known.done]
    about = made_by(config)
    made_by_us = {name: about[name] for name in ("command", "versions", "platform")}
    record = _Recorder(job, store, made_by_us, known.number + 1, on_outcome)
    if units:
        make_worker = partial(
            new_evaluation_worker, job.metric, made_by_us, expected=files.content, number=known.number + 1
        )
        tracker = ProgressTracker(len(units), sum(unit.expected_seconds for unit in units))
        with GracefulShutdown(job.run.log_format) as stopping, suppress(NothingBegun):
            run_units(config, units, tracker, record, make_worker, stopping)
    found = evaluation_results(store.root, job.metric.name, store.catalogue, job.metric.settings)
    num_left = len(units) - record.num_done - len(record.failed)
    num_skipped, seconds = len(wanted) - len(units), time.monotonic() - started
    return EvaluationSummary(
        tuple(wanted), found, record.num_done, num_skipped, tuple(record.failed), num_left, seconds
    )


def new_evaluation_worker(
    metric: Metric, made_by: Mapping[str, Any], config: JobConfig, threads: int, **options: Any
) -> EvaluationWorker:
    """Create the worker that evaluates graphs.

    Its module is imported in the worker's process, so that the driver of a cluster need not load torch.
    """
    from .worker import EvaluationWorker

    return EvaluationWorker(metric, made_by, config, threads, **options)


def choose(store: Store, sample: int | None, seed: int, prompts: Sequence[str] | None = None) -> list[str]:
    """Return the ids of all prompts, or of `sample` of them chosen at random, in the order of the store.

    `prompts` are those to choose from, by default all. Raises PromptNotFound.
    """
    ids = list(store) if prompts is None else sorted(store.entry(prompt_id).id for prompt_id in prompts)
    if sample is not None and sample < len(ids):
        ids = [ids[number] for number in np.random.default_rng(seed).choice(len(ids), sample, replace=False)]
    return sorted(ids, key=store.catalogue.number_of.__getitem__)


def _unit(store: Store, prompt_id: str) -> WorkUnit:
    num_tokens = store.entry(prompt_id).num_tokens
    return WorkUnit(Prompt(prompt_id), expected_seconds=_SECONDS_PER_TOKEN * num_tokens)


class _Recorder:
    """Records failures, each as an object of its own, and counts outcomes."""

    def __init__(
        self,
        job: EvaluationJob,
        store: Store,
        made_by: Mapping[str, Any],
        number: int,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self.num_done = 0
        self.failed: list[Outcome] = []
        self._job, self._store, self._made_by, self._number = job, store, made_by, number
        self._on_outcome = on_outcome

    def __call__(self, outcome: Outcome) -> None:
        if outcome.status == "done":
            self.num_done += 1
        elif outcome.status == "failed":
            self.failed.append(outcome)
            self._write(outcome)
        self._on_outcome(outcome)

    def _write(self, outcome: Outcome) -> None:
        metric, content_hash = self._job.metric, self._store.entry(outcome.prompt_id).asked
        prompt = EvaluatedPrompt(outcome.prompt_id, content_hash, "", f"{outcome.phase}: {outcome.reason}")
        check = new_check(metric.name, metric.settings, self._made_by, (prompt,), (), self._number)
        write_check(self._store.root, check, StoreConfig(self._job.store).retry_seconds)
