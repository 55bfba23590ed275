"""mine_dark_matter: where the influence through errors ends, and, with the model, how much of the errors is linear.

    choose prompts ─▶ influence of errors ─▶ fit groups of layers on workers ─▶ provenance.json

Tasks read the influence of errors. Then workers write a file for each layer into the result's folder for temporary
files. An interrupted job goes on with the tasks and the layers that are left.

Axes: I prompt by rank, L layer, X token of all prompts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifacts.files_in_use import FilesInUse
from ..config import CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TraceConfig, TranscoderConfig
from ..errors import ConfigError, ResultError, StoreMismatch
from ..mine.clusters import clusters_of
from ..mine.dark_matter import check_fields, dark_matter_in_phases
from ..mine.findings import Findings, mine_in_phases
from ..mine.linear_errors import LayerErrors, linear_errors
from ..mine.prompts import ChosenPrompts, choose_prompts
from ..mine.result import WORK, Result
from ..plan.machine import worker_resources
from ..plan.work import Outcome, WorkUnit
from ..prompt import Prompt
from ..runtime.execute import run_units
from ..runtime.signals import GracefulShutdown, NothingBegun
from ..runtime.task_runner import task_runner
from ..runtime.telemetry.logs import log_outcomes
from ..runtime.telemetry.progress import ProgressTracker
from ..shapes import ModelShape, TranscoderShape
from ..store.format.run_file import check_traced
from ..store.reader import Store
from ..tasks.phases import Execute, Phases
from ..tasks.task import Done, TaskCall
from ..text import counted, format_bytes, listed
from .settings import FOLDS, Corpus, LinearErrorSettings

if TYPE_CHECKING:
    from .worker import LinearErrorWorker

LOCAL = RunConfig(local=True, progress=False)
_ERROR_BYTES = 64
"""Bytes that an error node takes in the files of tasks, about."""
_MATRICES_OF_FIT = 8
"""Number of matrices of the model's width that a fit needs beside the sums."""


def mine_dark_matter(
    store: Store,
    out: str | Path,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    classes: Sequence[str] = (),
    top: int = 1_000,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    memory_gb: float = 4.0,
    seed: int = 0,
    run: RunConfig = LOCAL,
) -> Result:
    """Write where the influence ends that transcoders do not explain into the folder `out`, and return the result.

    `run` says which workers read the graphs. With `model` and `transcoders`, those of the store, the errors of every
    layer are also fitted linearly on them; each uses `memory_gb` times 10^9 bytes for sums, beside the weights. What a
    killed run has finished is not done again. docs/dark-matter.md describes the tables. Raises ConfigError for
    arguments that do not fit, StoreMismatch for another model or other transcoders, StoreError if the store cannot be
    read, ResultError if layers could not be fitted or the disk is full, and WorkerLost.
    """
    prompts = _chosen(store, where, cluster, classes)
    conditions = (where,) if isinstance(where, str) else tuple(where)
    options: dict[str, Any] = {"where": list(conditions), "cluster": cluster, "classes": list(classes), "top": top}

    def find(phases: Phases) -> Findings:
        return dark_matter_in_phases(phases, prompts, cluster, classes, top)

    config = _config(store, model, transcoders, device_map, run)
    common: dict[str, Any] = {"run": _tasks(run), "temporary_bytes": _ERROR_BYTES * prompts.num_nodes}
    if config is None:
        return mine_in_phases(out, "dark-matter", prompts, options, find, **common)
    files = FilesInUse(config.model.model, config.transcoders.transcoders)
    _check_content(store, files.identity.get("content", {}))
    options |= {"seed": seed, "forward_dtype": config.model.forward_dtype, **files.identity}
    name = hashlib.sha256(json.dumps([prompts.digest(), options], sort_keys=True, default=str).encode()).hexdigest()
    folder = Path(out).expanduser().absolute() / WORK / f"linear_{name[:16]}"
    settings = LinearErrorSettings(store.url, conditions, cluster, prompts.digest(), seed, str(folder))

    def find_both(phases: Phases) -> Findings:
        found = find(phases)
        table, facts, doubts = _fitted(prompts, settings, config, files, memory_gb)
        return Findings({**found.tables, "linear": table}, {**found.facts, **facts}, (*found.warnings, *doubts))

    return mine_in_phases(out, "dark-matter", prompts, options, find_both, **common)


def _tasks(run: RunConfig) -> Execute:
    """Return what does tasks as the configuration asks for, and ends its workers before others fit the errors."""

    def execute(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        with task_runner(run) as own:
            yield from own(calls)

    return execute


def describe_dark_matter(
    store: Store,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    classes: Sequence[str] = (),
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    memory_gb: float = 4.0,
    run: RunConfig = LOCAL,
) -> str:
    """Return what `mine_dark_matter` would take, and refuse what it would refuse. Reads no graphs and no weights."""
    prompts = _chosen(store, where, cluster, classes)
    lines = [f"{counted(len(prompts), 'prompt')}, {counted(prompts.num_nodes, 'node')} to read"]
    if (config := _config(store, model, transcoders, device_map, run)) is not None:
        shapes, num_tokens = _shapes(config), sum(store.entry(prompt_id).num_tokens for prompt_id in prompts.ids)
        layers, workers = range(shapes[0].num_layers), 1 if config.run.local else config.run.workers
        groups = layer_groups(layers, shapes[0].d_model, memory_gb, workers)
        seconds = _seconds(config, *shapes, num_tokens) * len(groups) / workers
        lines.append(
            f"{counted(len(layers), 'layer')} in {counted(len(groups), 'group')}, each of which reads "
            f"{counted(num_tokens, 'token')} twice: about {max(1, round(seconds)):,} s beside loading and fitting"
        )
    return "\n".join(lines)


def _chosen(store: Store, where: str | Sequence[str], cluster: str | None, classes: Sequence[str]) -> ChosenPrompts:
    prompts = choose_prompts(store, where, cluster)
    clusters_of(prompts, cluster)
    check_fields(prompts, classes)
    return prompts


def _config(
    store: Store, model: str | None, transcoders: str | None, device_map: str, run: RunConfig
) -> JobConfig | None:
    """Return the configuration for workers; None without a model. Raises ConfigError, StoreMismatch."""
    if (model is None) != (transcoders is None):
        raise ConfigError("the linear part needs both --model and --transcoders: give both or neither")
    if model is None or transcoders is None:
        return None
    check_traced(store.info, "the linear part of errors")
    dtype = store.info["identity"].get("forward_dtype", "float32")
    models = ModelConfig(model, dtype, device_map), TranscoderConfig(transcoders)
    return JobConfig(*models, CorpusConfig(""), StoreConfig(store.url), TraceConfig(), run)


def _check_content(store: Store, content: Mapping[str, Any]) -> None:
    """Raise StoreMismatch if a model or transcoders are known not to be those of the store."""
    theirs = store.info.get("content", {})
    for name in sorted(theirs.keys() & content.keys()):
        if theirs[name] != content[name]:
            what = {"model": "another model"}.get(name, "other transcoders")
            raise StoreMismatch(f"{store.url} was made with {what}: the errors of its graphs are not these")


def _fitted(
    prompts: ChosenPrompts, settings: LinearErrorSettings, config: JobConfig, files: FilesInUse, memory_gb: float
) -> Any:
    """Let workers fit the layers that are not fitted yet, and return what `linear_errors` makes of all."""
    clusters = clusters_of(prompts, settings.cluster)
    corpus = Corpus.of(prompts, clusters, settings.seed)
    with files.loading():
        shapes = _shapes(config)
    left = [layer for layer in range(shapes[0].num_layers) if not settings.layer_path(layer).exists()]
    groups = layer_groups(left, shapes[0].d_model, memory_gb, 1 if config.run.local else config.run.workers)
    Path(settings.folder).mkdir(parents=True, exist_ok=True)
    seconds = _seconds(config, *shapes, len(corpus.token_X))
    units = [WorkUnit(_unit(group), seconds + len(group)) for group in groups]
    if units:
        _execute(settings, config, units, files)
    layers = [LayerErrors.read(settings.layer_path(layer)) for layer in range(shapes[0].num_layers)]
    return linear_errors(prompts, clusters, corpus.first_I, layers)


def _shapes(config: JobConfig) -> tuple[ModelShape, TranscoderShape]:
    from ..model.load import model_shape  # these load torch, which is not needed without a model
    from ..transcoder.load import check_fits, transcoder_shape

    model, transcoders = model_shape(config.model.model), transcoder_shape(config.transcoders.transcoders)
    check_fits(transcoders, model)
    return model, transcoders


def layer_groups(layers: Sequence[int], width: int, memory_gb: float, workers: int) -> list[list[int]]:
    """Return the layers in groups whose sums fit into the memory, and at least as many groups as workers if possible.

    Raises ConfigError if the sums of one layer do not fit.
    """
    matrix = 8 * width**2
    of_layer, of_fit = 2 * FOLDS * matrix, _MATRICES_OF_FIT * matrix
    most = int((memory_gb * 1e9 - of_fit) // of_layer)
    if most < 1:
        raise ConfigError(
            f"the sums of one layer of width {width:,} take {format_bytes(of_layer + of_fit)}, more than --memory-gb "
            f"{memory_gb:g} allows"
        )
    size = max(1, min(most, -(-len(layers) // workers)))
    return [list(layers[first : first + size]) for first in range(0, len(layers), size)]


def _unit(group: Sequence[int]) -> Prompt:
    return Prompt(f"(errors of layers {group[0]} to {group[-1]})", tokens=(0,), metadata={"layers": list(group)})


def _seconds(config: JobConfig, model: ModelShape, transcoders: TranscoderShape, num_tokens: int) -> float:
    """Return about how long a worker takes to read all tokens twice."""
    operations = 4 * (model.num_parameters + sum(transcoders.features_L) * transcoders.d_model)
    return num_tokens * operations / worker_resources(config).operations_per_second


def _execute(settings: LinearErrorSettings, config: JobConfig, units: Sequence[WorkUnit], files: FilesInUse) -> None:
    """Fit all units. Raises KeyboardInterrupt if a signal stopped the job, ResultError if a unit failed."""
    num_done, failed = 0, list[Outcome]()
    with log_outcomes(config.run.log_format) as log_outcome:

        def record(outcome: Outcome) -> None:
            nonlocal num_done
            num_done += outcome.status == "done"
            if outcome.status == "failed":
                failed.append(outcome)
            log_outcome(outcome)

        make_worker = partial(new_linear_error_worker, settings, expected=files.content)
        tracker = ProgressTracker(len(units), sum(unit.expected_seconds for unit in units))
        with GracefulShutdown(config.run.log_format) as stopping, suppress(NothingBegun):
            run_units(config, list(units), tracker, record, make_worker, stopping)
    if failed:
        reasons = [f"{one.prompt_id}: {one.phase}: {one.reason}" for one in failed]
        raise ResultError(f"errors could not be fitted: {listed(reasons)}; run the same command again")
    if num_done < len(units):
        raise KeyboardInterrupt


def new_linear_error_worker(
    settings: LinearErrorSettings, config: JobConfig, threads: int, **options: Any
) -> LinearErrorWorker:
    """Create the worker that fits errors.

    Its module is imported in the worker's process, so that the driver of a cluster need not load torch.
    """
    from .worker import LinearErrorWorker

    return LinearErrorWorker(settings, config, threads, **options)
