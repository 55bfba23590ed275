"""run_profile: makes the profile of a set of transcoders from texts, or from what a store has.

    check ─▶ skip what is done ─▶ execute ─▶ merge parts ─▶ write profile.json ─▶ ProfileSummary

Workers write parts; the driver commits them. Once every text is examined or has failed, the driver merges the parts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifacts.files_in_use import FilesInUse
from ..config import JobConfig
from ..errors import ConfigError
from ..plan.work import Outcome, WorkUnit
from ..profile.from_store import harvest_store, store_settings
from ..profile.layout import WEIGHTS, layer_file
from ..profile.parts import done_units, open_parts
from ..profile.reader import Profile, open_profile
from ..profile.work_folder import check_folder, work_folder
from ..runtime.execute import run_units
from ..runtime.signals import GracefulShutdown, NothingBegun
from ..runtime.telemetry.logs import log_outcomes
from ..runtime.telemetry.progress import ProgressTracker
from ..shapes import TranscoderShape
from ..store.reader import open_store
from ..table_folder import import_parquet
from .estimate import ProfileEstimate, estimate
from .recorder import HarvestRecorder, ProfileSummary
from .settings import SHORTEST_CONTEXT, HarvestSettings, ProfileJob
from .units import HarvestInputs, layer_prompt, load_harvest_inputs
from .write_profile import write_profile_of_store, write_profile_of_texts

if TYPE_CHECKING:
    from .worker import HarvestWorker

_log = logging.getLogger(__name__)


def run_profile(job: ProfileJob, announce: Callable[[str], None] = _log.info) -> ProfileSummary:
    """Make the profile, or the rest of it.

    If it is killed at any moment and called again with the same settings, it does the rest. Texts that cannot be
    examined are reported, and do not stop the others. `announce` gets the plan in a line before the work begins.
    Raises ConfigError if the folder has another profile, or if pyarrow is missing; InputError if something is wrong
    with the whole job, before any work; FilesChanged, StoreError and WorkerLost as `run_job` does.
    """
    import_parquet("a profile")
    with log_outcomes(job.run.log_format) as log_outcome:
        return _run(job, announce, log_outcome)


def plan_profile(job: ProfileJob) -> ProfileEstimate:
    """Return what `run_profile` would take for texts, and refuse what it would refuse. It loads no weights."""
    if job.prompts is None:
        raise ConfigError("a plan is for texts: a store is profiled at once")
    config = job.config()
    inputs = load_harvest_inputs(config, job.context_length)
    check_folder(job.folder, _of_texts(job, inputs, FilesInUse(config.model.model, config.transcoders.transcoders)))
    return estimate(job, config, inputs)


def _of_texts(job: ProfileJob, inputs: HarvestInputs, files: FilesInUse) -> dict[str, Any]:
    """Return the settings that decide what is in the profile: another run must have the same."""
    of_texts = {"forward_dtype": job.forward_dtype, "context_length": inputs.context_length, "prompts": inputs.digest}
    return {**job.settings(), **of_texts, **files.identity}


def _run(job: ProfileJob, announce: Callable[[str], None], on_outcome: Callable[[Outcome], None]) -> ProfileSummary:
    started = time.monotonic()
    if job.store is not None:
        return _run_store(job, started, on_outcome)
    config = job.config()
    files = FilesInUse(config.model.model, config.transcoders.transcoders)
    with files.loading():
        inputs = load_harvest_inputs(config, job.context_length)
    settings = _of_texts(job, inputs, files)
    if check_folder(job.folder, settings):
        return _finished(open_profile(job.folder), started)
    with work_folder(job.folder, settings):
        recorder = HarvestRecorder(job.folder, on_outcome)
        for prompt_id, phase, reason in inputs.prompts.rejected():
            recorder(Outcome(prompt_id, "failed", phase, reason))
        found = estimate(job, config, inputs)
        announce(found.describe())
        effects = found.layer_seconds if job.effects else None
        done = done_units(open_parts(job.folder))

        def units() -> Iterator[WorkUnit]:
            if effects is not None:
                yield from layer_units(job.folder, inputs.transcoders, effects)
            for prompt in inputs.pieces():
                if prompt.id not in done:
                    assert prompt.tokens is not None
                    yield WorkUnit(prompt, found.token_seconds * len(prompt.tokens))

        harvest = HarvestSettings.of(job, inputs.context_length)
        num_units = _execute(config, harvest, units, files, recorder)
        about = {"source": "texts", "settings": settings}
        num_left = num_units - recorder.num_done - recorder.num_failed_units
        num_features = None
        if not num_left and not recorder.failed_layers:
            num_features = write_profile_of_texts(job, inputs, {**about, **recorder.about(config)})
    return recorder.summary(len(done), num_left, num_features, time.monotonic() - started)


def _run_store(job: ProfileJob, started: float, on_outcome: Callable[[Outcome], None]) -> ProfileSummary:
    """Profile a store in this process, after workers have examined the decoders, if a model is given."""
    assert job.store is not None
    store = open_store(job.store)
    if not len(store):
        raise ConfigError(f"{store.url} has no graphs to profile")
    settings: dict[str, Any] = {**job.settings(), **store_settings(store)}
    files = shape = None
    if job.effects:
        from ..model.load import model_shape  # these load torch, which is not needed without decoders
        from ..transcoder.load import check_fits, transcoder_shape

        config = job.config()
        files = FilesInUse(config.model.model, config.transcoders.transcoders)
        with files.loading():
            shape = transcoder_shape(config.transcoders.transcoders)
            check_fits(shape, model_shape(config.model.model))
        if shape.num_layers != store.num_layers:
            raise ConfigError(f"{store.url} is of {store.num_layers} layers, and the transcoders of {shape.num_layers}")
        settings |= files.identity | {"forward_dtype": job.forward_dtype}
    if check_folder(job.folder, settings):
        return _finished(open_profile(job.folder), started)
    with work_folder(job.folder, settings):
        recorder, num_units = HarvestRecorder(job.folder, on_outcome), 0
        if files is not None and shape is not None:
            harvest = HarvestSettings.of(job, SHORTEST_CONTEXT)
            num_units = _execute(config, harvest, lambda: layer_units(job.folder, shape, 1.0), files, recorder)
        num_left, num_features = num_units - recorder.num_done - recorder.num_failed_units, None
        if not num_left and not recorder.failed_layers:
            texts = harvest_store(job.folder, store, job.sampling, HarvestSettings.of(job, SHORTEST_CONTEXT).part_bytes)
            recorder.num_done += len(store)
            about = {"source": "store", "settings": settings, **recorder.about(None)}
            num_features = write_profile_of_store(job, store.num_layers, texts, about)
    return recorder.summary(0, num_left, num_features, time.monotonic() - started)


def _execute(
    config: JobConfig,
    harvest: HarvestSettings,
    units: Callable[[], Iterator[WorkUnit]],
    files: FilesInUse,
    recorder: HarvestRecorder,
) -> int:
    """Let workers examine units, and return the number of these. `units` yields the same ones each time until then."""
    expected = [unit.expected_seconds for unit in units()]
    if expected:
        make_worker = partial(new_harvest_worker, harvest, expected=files.content)
        tracker = ProgressTracker(len(expected), sum(expected))
        with GracefulShutdown(config.run.log_format) as stopping, suppress(NothingBegun):
            run_units(config, units(), tracker, recorder, make_worker, stopping, recorder.commit)
    return len(expected)


def new_harvest_worker(settings: HarvestSettings, config: JobConfig, threads: int, **options: Any) -> HarvestWorker:
    """Create the worker that examines texts.

    Its module is imported in the worker's process, so that the driver of a cluster need not load torch.
    """
    from .worker import HarvestWorker

    return HarvestWorker(settings, config, threads, **options)


def layer_units(folder: Path, transcoders: TranscoderShape, seconds: float) -> Iterator[WorkUnit]:
    """Yield a unit for the decoders of each layer that are not examined yet."""
    for layer in range(transcoders.num_layers):
        if not (folder / layer_file(WEIGHTS, layer)).exists():
            yield WorkUnit(layer_prompt(layer), seconds)


def _finished(profile: Profile, started: float) -> ProfileSummary:
    """Return the summary of a job whose profile was finished before."""
    failed = tuple(Outcome(id_, "failed", *reason.split(": ", 1)) for id_, reason in profile.info["failed"].items())
    num_prompts, seconds = profile.info["num_prompts"], time.monotonic() - started
    return ProfileSummary(profile.path, 0, num_prompts, failed, 0, len(profile), seconds)
