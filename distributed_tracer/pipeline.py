"""Pipeline: `run_job` reads a corpus and writes a store of attribution graphs. Read this file first.

    load inputs ─▶ check ─▶ skip what is done ─▶ plan ─▶ execute ─▶ record ─▶ Summary
    (prompts, sizes)                             (bytes, seconds)   (commit parts, record failures)

Everything before `execute` costs almost nothing, and mistakes should show there. Workers write graphs to the store
themselves. This process only sees the outcome of each prompt, and commits the parts that count.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from .artifacts.files_in_use import FilesInUse
from .config import JobConfig
from .errors import StoreNotFound, StoreUnavailable, TracerError
from .job.inputs import JobInputs, load_inputs
from .job.provenance import as_planned, made_by, run_info
from .job.summary import OutcomeRecorder, Summary
from .plan.decoders import PlannedDecoders
from .plan.plan import Plan, make_plan
from .plan.sizing import default_round_size
from .plan.work import Outcome
from .redact import redacted
from .runtime.execute import run_units
from .runtime.executor import MakeWorker, new_worker
from .runtime.signals import GracefulShutdown, NothingBegun
from .runtime.telemetry.logs import log_outcomes
from .runtime.telemetry.progress import ProgressTracker
from .runtime.telemetry.untrusted_text import in_short
from .store.ledger import Ledger

_CHANGED = (
    "the store holds a graph of other tokens or targets under this id; give the prompt a new id, or another store"
)
_log = logging.getLogger(__name__)


def run_job(config: JobConfig) -> Summary:
    """Trace every prompt of the corpus that is not done yet, and return a summary.

    A run that is killed at any moment and called again with the same configuration ends with the same store. Prompts
    that cannot be traced are recorded as failed, and the next run tries them again. Raises InputError if something is
    wrong with the whole job, before any work is done; FilesChanged if files of the model or the transcoders change
    during the run; StoreError if the store cannot be used; WorkerLost if workers die without any progress.
    """
    with log_outcomes(config.run.log_format) as log_outcome:
        return _run(config, log_outcome)


def _run(config: JobConfig, on_outcome: Callable[[Outcome], None]) -> Summary:
    started = time.monotonic()
    files = FilesInUse(config.model.model, config.transcoders.transcoders)
    with files.loading():
        inputs = load_inputs(config)
    prompts = inputs.prompts
    ledger = Ledger(config.store.store, config.store.retry_seconds)
    plan = make_plan(prompts, inputs.model, inputs.transcoders, config, recorded=ledger.identity())
    plan.check_fits()
    config = plan.config
    _announce(plan)
    ledger.create_or_check(run_info(config, inputs.transcoders.features_L, files))
    prompts.mark_done(ledger.content_hashes())
    num_wanted = len(prompts) + prompts.num_rejected
    recorder = OutcomeRecorder(ledger, on_outcome)
    with GracefulShutdown(config.run.log_format) as stopping:
        try:
            with suppress(NothingBegun):
                about = {**made_by(config), "planned": as_planned(plan)}
                ledger.start_run(num_wanted, prompts.num_done, config.store.part_seconds, about)
                planned = PlannedDecoders(plan.decoders, plan.prompt_bytes)
                make_worker = partial(new_worker, expected=files.content, planned=planned)
                _work(config, inputs, plan, stopping, recorder, make_worker)
            recorder.flush()
        except BaseException as error:
            _record_end(ledger, recorder, stopping, error)
            raise
        summary = recorder.summary(config.store.store, num_wanted, prompts.num_done, time.monotonic() - started)
        if summary.num_left:
            ledger.end("stopped", stopping.signal)
        else:
            ledger.end("finished")
    return summary


def _announce(plan: Plan) -> None:
    """Log what a person would want to know before the work begins."""
    trace = plan.config.trace
    number, usual = trace.features_per_round, default_round_size(plan.machine.device, trace.max_feature_nodes)
    if plan.round_size_origin == "store" and number != usual:
        _log.warning("rounds of %d features, as in the store; a new store would get %d on these workers", number, usual)
    for note in plan.notes():
        if note.severity == "warning":
            _log.warning("%s", note.text)


def _work(
    config: JobConfig,
    inputs: JobInputs,
    plan: Plan,
    stopping: GracefulShutdown,
    recorder: OutcomeRecorder,
    make_worker: MakeWorker,
) -> None:
    """Record the prompts that cannot be traced, and trace the others."""
    for outcome in inputs.rejected:
        recorder.record(outcome)
    for unit, reason in plan.too_large():
        recorder.record(Outcome(unit.prompt.id, "failed", "plan", reason))
    for prompt in inputs.prompts.changed():
        recorder.record(Outcome(prompt.id, "failed", "plan", _CHANGED))
    num_units, seconds = plan.total()
    if not num_units:
        return
    tracker = ProgressTracker(num_units, seconds)
    run_units(config, plan.fitting(), tracker, recorder.record, make_worker, stopping, recorder.commit)


def _record_end(ledger: Ledger, recorder: OutcomeRecorder, stopping: GracefulShutdown, error: BaseException) -> None:
    """Record in the store why a run ends early, unless the reason is that the store is gone or unavailable."""
    if isinstance(error, StoreUnavailable | StoreNotFound):
        return
    with suppress(TracerError, OSError):
        recorder.flush()
        if isinstance(error, KeyboardInterrupt):
            ledger.end("stopped", stopping.signal)
        else:
            ledger.end("failed", redacted(f"{type(error).__name__}: {in_short(error)}"))


def plan_job(config: JobConfig) -> tuple[Plan, JobInputs]:
    """Return the plan of what `run_job` would do now, and its inputs. It loads no weights; the store may be unnamed."""
    inputs, recorded = load_inputs(config), None
    if config.store.store:
        ledger = Ledger(config.store.store)
        inputs.prompts.mark_done(ledger.content_hashes())
        recorded = ledger.identity()
    return make_plan(inputs.prompts, inputs.model, inputs.transcoders, config, recorded=recorded), inputs
