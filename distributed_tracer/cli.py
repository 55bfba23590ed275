"""The command line: trace and plan take the configuration's fields as flags, the other commands read a store.

Exit codes: 0 all is done, 1 a mistake in flags or set-up, 3 some prompts failed (the rest is stored), 130 stopped by a
signal. What is asked for goes to standard output; progress and errors go to standard error.
"""

from __future__ import annotations

import io
import json as json_format
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial, wraps
from inspect import signature
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from distributed_tracer import __version__

from .config import CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TraceConfig, TranscoderConfig
from .documents.text import MAX_INDEX_BYTES, read_text
from .errors import ConfigError, TracerError
from .flags import settled
from .names import unknown
from .offline.target import PLATFORM, Target, this_python
from .redact import redacted, redacted_argument
from .store.table import printable

PROG = "distributed-tracer"
_NO_STORE = StoreConfig(store="")
_SHOWN_REJECTED = 20

app = tyro.extras.SubcommandApp()
registry = ConstructorRegistry()

_COMMANDS: list[str] = []
StorePath = Annotated[Positional[str], tyro.conf.arg(metavar="PATH")]


def _command(function: Callable[..., int]) -> Callable[..., int]:
    """Make a function a subcommand. Parsing only binds arguments: tyro takes any ValueError for a bad flag."""

    @wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], int]:
        return partial(function, *args, **kwargs)

    app.command(bind)
    _COMMANDS.append(function.__name__.replace("_", "-"))
    return function


@registry.primitive_rule
def _optional_int(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int | None] | None:
    """`none` in any case where an integer may be absent."""
    if info.type != (int | None):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT|none",
        instance_from_str=lambda given: None if given[0].lower() == "none" else int(given[0]),
        is_instance=lambda value: value is None or isinstance(value, int),
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


@_command
def trace(
    model: ModelConfig,
    transcoders: TranscoderConfig,
    corpus: CorpusConfig,
    store: StoreConfig,
    trace: TraceConfig = TraceConfig(),  # noqa: B008  (frozen)
    run: RunConfig = RunConfig(),  # noqa: B008  (frozen)
) -> int:
    """Compute the attribution graph of every prompt into a store. Run again, it goes on where it stopped."""
    from .pipeline import run_job

    summary = run_job(JobConfig(model, transcoders, corpus, store, trace, run))
    try:
        print(summary.describe(), flush=True)
    except OSError:  # nobody reads it, or the disk under it is full: the store has all of it
        _discard_output()
    return summary.exit_code


@_command
def plan(
    model: ModelConfig,
    transcoders: TranscoderConfig,
    corpus: CorpusConfig,
    store: StoreConfig = _NO_STORE,
    trace: TraceConfig = TraceConfig(),  # noqa: B008  (frozen)
    run: RunConfig = RunConfig(),  # noqa: B008  (frozen)
) -> int:
    """Say what `trace` with the same flags would take: memory, time, what will not fit. Reads no weights."""
    from .pipeline import plan_job

    plan, intake = plan_job(JobConfig(model, transcoders, corpus, store, trace, run))
    print(plan.describe())
    for outcome in islice(intake.rejected, _SHOWN_REJECTED):
        print(f"cannot be traced: {outcome.prompt_id!r}: {outcome.reason!r}")
    num_rejected = intake.prompts.num_rejected
    if num_rejected > _SHOWN_REJECTED:
        print(f"cannot be traced: {num_rejected - _SHOWN_REJECTED:,} more; trace records each in the store")
    plan.check_fits()
    return 3 if num_rejected or any(plan.too_large()) else 0


@_command
def doctor(
    ray_address: str | None = None,
    model: str | None = None,
    transcoders: str | None = None,
    store: str | None = None,
    prompts: str | None = None,
    text_field: str = "text",
    full_hash: bool = False,
    timeout_seconds: float = 60.0,
    json: bool = False,
) -> int:
    """Check every node of a cluster, or this machine, before a run. Exit code 1 if a run should not be started yet.

    Args:
        ray_address: A running cluster, as for trace (RAY_ADDRESS counts too); without one this machine is checked.
        model: As for trace: is it there, whole, and the same on all nodes?
        transcoders: As for trace, likewise.
        store: As for trace: can it be written from everywhere? A small object is made in it and removed.
        prompts: As for trace: can they be read?
        text_field: As for trace.
        full_hash: Compare all bytes of files; otherwise those of more than 64 MiB by samples of every tensor.
        timeout_seconds: How long to wait for the nodes' answers.
        json: Print JSON.
    """
    from .doctor.answer import Question
    from .doctor.examine import examine

    question = Question(model, transcoders, store, full_hash=full_hash)
    found = examine(question, prompts, ray_address, timeout_seconds, text_field)
    _print(found.as_dict() if json else found.describe())
    return found.exit_code


@_command
def submit(
    job: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="JOB.py | -- FLAGS")] = (),
    address: str | None = None,
    follow: bool = True,
    stop: str | None = None,
    python: str = "python",
) -> int:
    """Run a job file, or `trace` with the flags after `--`, on the cluster of a Ray job server, from anywhere.

    Args:
        job: A job file and its arguments; its folder is sent along. Or, after `--`, the flags of `trace`.
        address: http://HOST:PORT of the cluster's dashboard, else RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265.
        follow: Print the job's log until it ends, and end with its exit code.
        stop: Stop the job with this id: it writes what is under way, and the same submission goes on from there.
        python: The Python of the cluster's head, by name or path.
    """
    from .runtime.job_server import JobServer
    from .runtime.submission import of_file, of_flags

    if bool(job) == bool(stop):
        raise ConfigError("give a job file, or -- and the flags of trace, or --stop and the id of a job")
    if stop:
        print(f"{printable(stop)} has ended: {JobServer(address).stop(stop)}")
        return 0
    are_flags = job[0].startswith("-")
    submission = of_flags(job, _config_of(job), python) if are_flags else of_file(job[0], job[1:], python)
    server = JobServer(address)
    name = server.submit(submission)
    again = f"--address {server.address} --stop {name}"
    print(f"submitted {name}; to stop it: {PROG} submit {again}", flush=True)
    if not follow:
        return 0
    try:
        return server.follow(name, partial(print, flush=True))
    except KeyboardInterrupt:
        print(f"the job goes on; its log: ray job logs --follow {name}", file=sys.stderr)
        return 130


@_command
def status(path: StorePath, json: bool = False, watch: float | None = None) -> int:
    """Say what a store holds: prompts done and failed with reasons, how far a run is, what made it.

    Args:
        path: Directory or URL of a store.
        json: Print JSON.
        watch: Interval in seconds at which the status is printed again, until the run has ended or no prompt is left.
    """
    from .report.status import status_of, status_text

    while True:
        found = status_of(path)
        _print(found if json else status_text(found))
        if watch is None or (found["run"] and (found["run"]["end"] or not found["run"]["num_left"])):
            return 0
        sys.stdout.flush()
        try:
            time.sleep(max(watch, 0.1))
        except KeyboardInterrupt:
            return 0


@_command
def show(path: StorePath, prompt: str, top: int = 10, json: bool = False) -> int:
    """Print one graph: its targets, scores, most influential nodes and strongest edges.

    Args:
        path: Directory or URL of a store.
        prompt: Id of the prompt.
        top: How many nodes of each kind, and edges.
        json: Print JSON.
    """
    from .report.graph import graph_summary, graph_text
    from .store.reader import open_store

    _check_count("--top", top)
    found = graph_summary(open_store(path).graph(prompt), top)
    _print(found if json else graph_text(found))
    return 0


@_command
def query(
    path: StorePath,
    feature: str | None = None,
    show: Literal["occurrences", "edges-into", "edges-out", "together"] = "occurrences",
    where: tuple[str, ...] = (),
    token: str | None = None,
    target: str | None = None,
    layer: int | None = None,
    limit: int = 50,
    json: bool = False,
) -> int:
    """Ask about one feature over all prompts or, with any other condition, which prompts meet all conditions.

    Args:
        path: Directory or URL of a store.
        feature: Layer and index, as in 12:3045.
        show: Where it acts, the strongest edges into or out of it, or which features occur in the same prompts.
        where: KEY=VALUE, KEY>=VALUE or KEY<=VALUE, of metadata, scores and sizes: topic=capitals "replacement>=0.8".
            All must hold; docs/store.md says how values are compared.
        token: Id, or text with or without a space before it, of one of the prompt's tokens. '"Texas"' with its double
            quotes is the text without a space alone, " Texas" the one with it.
        target: Id, or label, in the same way, of one of the targets.
        layer: A feature of this layer is among the nodes.
        limit: How many rows to print; JSON has them all.
        json: Print JSON.
    """
    from .query.answer import feature_answer
    from .query.prompts import matching_prompts, why_none
    from .store.reader import open_store

    _check_count("--limit", limit)
    site = None if feature is None else _parse_feature(feature)
    of_prompts = bool(where) or not (token is None and target is None and layer is None)
    if show != "occurrences" and (site is None or of_prompts):
        raise ConfigError(f"--show {show} is about a feature: it goes with --feature alone")
    store = open_store(path)
    if site is None or of_prompts:
        found = matching_prompts(store, where, token, target, layer, site)
        why = "" if len(found) else "".join(f"\n{reason}" for reason in why_none(store, where, token, target))
        summary = f"{len(found)} of {len(store)} prompts{why}"
    else:
        found, summary = feature_answer(store, *site, show)
    _print(list(found.rows()) if json else f"{found.format(limit)}\n{summary}")
    return 0


@_command
def intervene(
    model: ModelConfig,
    transcoders: TranscoderConfig,
    text: str,
    set: tuple[str, ...] = (),
    groups: str | None = None,
    suggest: bool = False,
    freeze_attention: bool = True,
    generate: int = 0,
    out: str | None = None,
    limit: int = 24,
    json: bool = False,
) -> int:
    """Set features of one prompt to other values, and say what the model says then and what becomes of supernodes.

    Args:
        text: The prompt.
        set: WHAT=VALUE or WHAT=xTIMES. WHAT is LAYER:POSITION:FEATURE, where the position may be a slice (2:5::117 is
            from 5 on), or a supernode by name or number.
        groups: Supernodes saved in a viewer: the JSON file of a graph, or the address of its page.
        suggest: Trace the prompt, and group the features of its graph.
        freeze_attention: Attention patterns stay those of the prompt as it is.
        generate: Also go on for so many tokens, before and after.
        out: Where to draw it: .png, .pdf or .svg.
        limit: How many supernodes to print and draw, those that are set and the most influential; JSON has them all.
        json: Print JSON.
    """
    from .intervene.intervention_graph import InterventionGraph
    from .intervene.replacement_model import ReplacementModel
    from .intervene.saved_groups import groups_of
    from .intervene.settings import parse_settings
    from .intervene.suggest import suggest as suggest_supernodes
    from .intervene.supernode import Supernode
    from .model.load import model_shape
    from .plot.interventions import draw_interventions
    from .plot.style import check_picture, notes, save
    from .report.interventions import interventions_text

    _check_count("--limit", limit)
    _check_count("--generate", generate)
    if out:
        check_picture(out)
    if groups and suggest:
        raise ConfigError("--groups and --suggest exclude each other")
    supernodes: tuple[Supernode, ...] = ()
    if groups:
        saved = groups_of(groups, model_shape(model.model).num_layers)
        supernodes = saved.supernodes
        if saved.left_out:
            print("no features, left out:", printable(" ".join(saved.left_out)), file=sys.stderr)
    if not suggest:
        settings = parse_settings(set, supernodes)  # what is mistyped is said before weights are loaded
    replacement = ReplacementModel.load(model.model, transcoders.transcoders, model.forward_dtype, model.device_map)
    if suggest:
        settings = parse_settings(set, suggest_supernodes(replacement.trace(text)))
    graph = InterventionGraph(replacement, text, settings.supernodes)
    found = graph.apply(settings.times, settings.values, freeze_attention=freeze_attention).summary()
    if generate:
        after = graph.interventions(settings.times, settings.values)
        options: dict[str, Any] = {"max_new_tokens": generate, "freeze_attention": freeze_attention}
        found["generated"] = {
            "before": replacement.generate(text, **options),
            "after": replacement.generate(text, after, **options),
        }
    if out:
        figure = draw_interventions(found, limit)
        save(figure, out)
        print("\n".join(map(printable, [f"wrote {out}", *notes(figure)])), file=sys.stderr)
    _print(found if json else interventions_text(found, limit))
    return 0


@_command
def compact(path: StorePath) -> int:
    """Put small parts together and index all prompts and features: the store opens and answers faster.

    Nothing is removed, and runs and readers may go on meanwhile.

    Args:
        path: Directory or URL of a store.
    """
    from .upkeep.compact import compact as compact_store

    print(compact_store(path).describe())
    return 0


@_command
def verify(path: StorePath, json: bool = False) -> int:
    """Read every object of a store and compare it with what was noted of it. Exit code 1 if anything is damaged.

    Args:
        path: Directory or URL of a store.
        json: Print JSON.
    """
    from .report.bar import bar
    from .report.damage import verified_as_dict, verified_text
    from .store.places.root import open_root
    from .upkeep.verify import verify as verify_store

    with bar("verifying") as show:
        found = verify_store(open_root(path), show)
    _print(verified_as_dict(found) if json else verified_text(found))
    return 1 if found.damages else 0


@_command
def verify_edges(
    path: StorePath,
    sample: int | None = None,
    sources: int = 16,
    seed: int = 0,
    tolerance: float | None = None,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    run: RunConfig = RunConfig(),  # noqa: B008  (frozen)
    json: bool = False,
) -> int:
    """Run the model for stored graphs with features turned off, and compare what that does with the edges.

    Figures are kept beside the graphs; run again, it goes on. Exit code 1 where direct effects are not the edges.

    Args:
        path: Directory or URL of a store.
        sample: So many graphs, by lot; all without it.
        sources: So many features of each graph, by lot.
        seed: Of both lots.
        tolerance: Direct effects may differ by so much of a graph's largest edge; by the store's precisions without it.
        model: Where the model is, if it is not where the store says.
        transcoders: Where the transcoders are, if they are not where the store says.
        device_map: As for trace.
        json: Print JSON.
    """
    from .report.edge_check import edge_check, edge_check_text
    from .store.reader import open_store
    from .validate.edges import EdgeMeasure, tolerance_of
    from .validate.job import CheckJob, run_checks

    if tolerance is not None and not tolerance >= 0:
        raise ConfigError(f"--tolerance must be at least 0, not {tolerance}")
    allowed = tolerance_of(open_store(path).info["identity"]) if tolerance is None else tolerance
    job = CheckJob(path, EdgeMeasure(sources, seed), sample, seed, model, transcoders, device_map, run)
    checked = run_checks(job)
    found = edge_check(checked.table, allowed)
    _print({**checked.as_dict(), **found} if json else f"{checked.describe()}\n{edge_check_text(found)}")
    return 1 if found["disagreeing"] else checked.exit_code


@_command
def faithfulness(
    path: StorePath,
    sample: int | None = None,
    seed: int = 0,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    out: str | None = None,
    run: RunConfig = RunConfig(),  # noqa: B008  (frozen)
    json: bool = False,
) -> int:
    """Run the model with only the features of stored graphs, and without them: is what pruning kept what counts?

    Figures are kept beside the graphs; run again, it goes on.

    Args:
        path: Directory or URL of a store.
        sample: So many graphs, by lot; all without it.
        seed: Of this lot, and of the features that are taken by lot for comparison.
        model: Where the model is, if it is not where the store says.
        transcoders: Where the transcoders are, if they are not where the store says.
        device_map: As for trace.
        out: Where to write a picture, too: .png, .pdf or .svg.
        json: Print JSON.
    """
    from .plot.faithfulness import draw_faithfulness
    from .plot.style import check_picture, save
    from .report.faithfulness import faithfulness as summary_of
    from .report.faithfulness import faithfulness_text
    from .validate.faithfulness import FaithfulnessMeasure
    from .validate.job import CheckJob, run_checks

    if out is not None:
        check_picture(out)
    measure = FaithfulnessMeasure(seed=seed)
    checked = run_checks(CheckJob(path, measure, sample, seed, model, transcoders, device_map, run))
    found = summary_of(checked.table)
    if out is not None:
        save(draw_faithfulness(checked.table), out)
    as_json = {**checked.as_dict(), "shares": list(found.rows())}
    _print(as_json if json else f"{checked.describe()}\n{faithfulness_text(found)}")
    return checked.exit_code


@_command
def repair(path: StorePath, dry_run: bool = False) -> int:
    """Take what is damaged out of a store; the same `trace` command then does these prompts again.

    Args:
        path: Directory or URL of a store.
        dry_run: Say what would be done, and do nothing.
    """
    from .report.bar import bar
    from .report.damage import repaired_text
    from .upkeep.repair import repair as repair_store

    with bar("verifying") as show:
        done = repair_store(path, dry_run, show)
    print(repaired_text(done, dry_run))
    return 0


@_command
def export(path: StorePath, prompt: str, out: str, format: Literal["npz"] = "npz") -> int:
    """Write one graph to a file for other tools.

    Args:
        path: Directory or URL of a store.
        prompt: Id of the prompt.
        out: File to write, which ends in .npz; replaced if it is there.
        format: npz is a numpy archive with a dense matrix; the ending says the same.
    """
    from .export.npz import check_npz, export_npz
    from .store.reader import open_store

    check_npz(out)
    export_npz(open_store(path).graph(prompt), out)
    print(f"wrote {printable(out)}")
    return 0


@_command
def draw(path: StorePath, out: str, prompt: str | None = None, by: str | None = None) -> int:
    """Draw one graph or, without a prompt, the whole store.

    Args:
        path: Directory or URL of a store.
        out: Where to write the picture: .png, .pdf or .svg.
        prompt: Id of the prompt.
        by: Metadata column to colour the store's prompts by.
    """
    from .plot.corpus import draw_corpus
    from .plot.graph import draw_graph
    from .plot.style import check_picture, notes, save
    from .store.reader import open_store

    check_picture(out)
    if by is not None and prompt is not None:
        raise ConfigError("--by colours the prompts of a whole store: it does not go with --prompt")
    store = open_store(path)
    figure = draw_corpus(store, by) if prompt is None else draw_graph(store.graph(prompt))
    save(figure, out)
    print("\n".join(map(printable, [out, *notes(figure)])))
    return 0


@_command
def info(path: StorePath, json: bool = False) -> int:
    """Say what a store is made of: counts, bytes by kind of array, per edge and per graph, and what nothing reads.

    Args:
        path: Directory or URL of a store.
        json: Print JSON.
    """
    from .report.info import info_of, info_text

    found = info_of(path)
    _print(found if json else info_text(found))
    return 0


@_command
def digest(path: StorePath) -> int:
    """Print a hash of all graphs: equal for stores with bit for bit the same ones, however they were written.

    Args:
        path: Directory or URL of a store.
    """
    from .store.reader import open_store

    print(open_store(path).digest())
    return 0


@_command
def copy(
    source: Annotated[Positional[str], tyro.conf.arg(metavar="FROM")],
    target: Annotated[Positional[str], tyro.conf.arg(metavar="TO")],
) -> int:
    """Copy a store, checking every object: between local disks and S3, in any direction. Run again, it goes on.

    Args:
        source: Directory or URL of a store.
        target: Directory or URL to copy it to: nothing there yet, or a copy of the same store.
    """
    from .report.bar import bar
    from .upkeep.copy import copy_store

    with bar("copying") as show:
        made = copy_store(source, target, show)
    print(f"copied {made.num_parts:,} parts of {made.num_bytes:,} bytes; {made.num_there:,} were there")
    if made.num_beside:
        print(f"{made.num_beside:,} parts there are not in the source; they stay")
    return 0


@_command
def merge(
    out: Annotated[Positional[str], tyro.conf.arg(metavar="OUT")],
    stores: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="STORE...")],
) -> int:
    """Copy the parts of stores of one configuration into one. Run again, it goes on.

    Args:
        out: Directory or URL of the store to make or to add to. Its own graphs come first.
        stores: Directories or URLs of stores. Of a prompt in several the first one's graph counts.
    """
    from .report.bar import bar
    from .upkeep.merge import merge_stores

    if not stores:
        raise ConfigError("name at least one store to merge into OUT")
    with bar("merging") as show:
        made = merge_stores(out, stores, show)
    print(f"copied {made.num_parts:,} parts of {made.num_bytes:,} bytes; {made.num_left_out:,} hold nothing new")
    return 0


@_command
def split(
    path: StorePath,
    out: Annotated[Positional[str], tyro.conf.arg(metavar="OUT")],
    where: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")] = (),
    prompts: str | None = None,
) -> int:
    """Write some prompts' graphs into a store of their own, bit for bit the same. Run again, it goes on.

    Args:
        path: Directory or URL of a store.
        out: Directory or URL of the store to make, or one split from the same.
        where: Prompts that meet all of these, as for query: topic=capitals hops=2.
        prompts: Or a file with their ids, one per line.
    """
    from .report.bar import bar
    from .store.reader import open_store
    from .upkeep.split import chosen, split_store

    if bool(where) == bool(prompts):
        raise ConfigError("say which prompts: --where KEY=VALUE, or --prompts FILE with an id per line")
    store = open_store(path)
    wanted = _lines(prompts) if prompts else chosen(store, where)
    if not wanted:
        raise ConfigError(f"{prompts} has no ids" if prompts else f"no prompt of {path} meets {' '.join(where)}")
    with bar("splitting") as show:
        written = split_store(store, out, wanted, show)
    print(f"wrote {written:,} graphs; {len(wanted) - written:,} were there")
    return 0


@_command
def gc(path: StorePath, grace_hours: float = 24.0, dry_run: bool = False, json: bool = False) -> int:
    """Remove what crashes left: parts that no commit names, temporary files. Runs that write meanwhile are safe.

    Args:
        path: Directory or URL of a store.
        grace_hours: Leave alone what was written to in the last so many hours: a run may be about to commit it.
        dry_run: Only say what would be removed.
        json: Print JSON.
    """
    from .report.garbage import garbage_text
    from .upkeep.gc import collect_garbage

    if not grace_hours >= 0:
        raise ConfigError(f"--grace-hours must not be negative, not {grace_hours}")
    found = collect_garbage(path, grace_hours, dry_run)
    _print([vars(one) for one in found] if json else garbage_text(found, dry_run))
    return 0


@_command
def bundle(
    out: str,
    model: str | None = None,
    transcoders: str | None = None,
    prompts: str | None = None,
    wheels: bool = True,
    python: str = this_python(),
    platform: tuple[str, ...] = (PLATFORM,),
    torch_index: str | None = None,
) -> int:
    """Collect all that a run takes into one directory, for machines without internet. Run again, it goes on.

    Args:
        out: The directory: a new or empty one, or a bundle.
        model: Hugging Face directory or hub id, `org/name[@revision]`.
        transcoders: Directory or hub id, `user/repo[/folder][@revision]`.
        prompts: Path or fsspec URL of a corpus; copied as it is.
        wheels: Collect this project and all that it needs too, in the versions installed here.
        python: Version of Python over there.
        platform: Platform tags of wheels; the default runs where glibc is 2.28 or newer.
        torch_index: Index of the build of torch to take (CPU, another CUDA); else pip's own.
    """
    from .offline.bundle import Wanted, make_bundle
    from .offline.manifest import summary

    target = Target(python, platform) if wheels else None
    wanted = Wanted(model, transcoders, prompts, target, torch_index)
    made = make_bundle(Path(out), wanted, lambda line: print(printable(line), file=sys.stderr, flush=True))
    print(f"{printable(out)}: {summary(made)}")
    name = Path(out).resolve().name
    print(printable(f"over there: bash {shlex.quote(f'{name}/install_offline.sh')} {shlex.quote(name)}"))
    return 0


@_command
def verify_bundle(path: Annotated[Positional[str], tyro.conf.arg(metavar="PATH")]) -> int:
    """Check every file of a bundle against its manifest.

    Args:
        path: Directory of a bundle.
    """
    from .offline.manifest import summary, verify

    print(f"{printable(path)}: {summary(verify(Path(path)))}, all as recorded")
    return 0


@_command
def version() -> int:
    """Print the version."""
    print(__version__)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    _write_anything()
    args = list(sys.argv[1:] if argv is None else argv)
    with _signals_end_as_sigint():
        return _main(args)


def _main(args: list[str]) -> int:
    try:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            raise ConfigError(unknown("command", redacted_argument(args[0]), _COMMANDS))
        args = settled(args)
        _refuse_workers_with_local(args)
        return int(_parsed(args)())
    except SystemExit as stop:  # tyro has said why
        return 1 if stop.code else 0
    except KeyboardInterrupt:
        print("stopped at once; what is committed stays: run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        _discard_output()
        return 0
    except (TracerError, OSError) as error:
        lines = [printable(redacted(line)) for line in (*str(error).splitlines(), *getattr(error, "__notes__", ()))]
        # a line break in what a stranger named begins no line that looks like one of ours
        print("error:", "\n  ".join(line.strip() for line in lines), file=sys.stderr)
        return 1


@contextmanager
def _signals_end_as_sigint() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt a command too: what it has begun is put away, and it says how to go on."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in numbers}
    for number in (one for one in before if before[one] == signal.SIG_DFL):  # nohup has one ignored
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_anything() -> None:
    """Let characters that the encoding of standard output and error lacks become escapes: they are no reason to end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Nothing more can be written, nor be left for the end of the process to write."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(args: Sequence[str]) -> Any:
    """The command bound to its arguments. Raises SystemExit where tyro refuses them and has said why.

    What it says repeats arguments, broken into lines, and among them may be an address with a password. So that is not
    shown: it is asked again with what may be shown of them.
    """
    parse = partial(app.cli, prog=PROG, registry=registry, config=(tyro.conf.OmitArgPrefixes,))
    try:
        with redirect_stderr(io.StringIO()):
            return parse(args=args)
    except SystemExit as refused:
        if not refused.code:  # --help has been printed
            raise
    parse(args=[printable(redacted_argument(arg)) for arg in args])
    raise ConfigError("an argument cannot be read; it is not shown, as it may hold a password or a signature")


def _config_of(flags: Sequence[str]) -> JobConfig:
    """What `trace` would run with these flags: mistakes show here rather than on the cluster."""
    command = _parsed(["trace", *settled(flags)])
    return JobConfig(**signature(trace).bind(*command.args, **command.keywords).arguments)


def _refuse_workers_with_local(args: Sequence[str]) -> None:
    given = {arg.partition("=")[0] for arg in args}
    if {"--workers", "--local"} <= given:
        raise ConfigError("--workers and --local exclude each other: --local works in this process, without workers")


def _check_count(flag: str, count: int) -> None:
    if count < 0:
        raise ConfigError(f"{flag} must not be negative, not {count}")


def _parse_feature(feature: str) -> tuple[int, int]:
    layer, colon, index = feature.partition(":")
    if not (colon and layer.isdecimal() and index.isdecimal() and len(feature) <= 20):
        raise ConfigError(f"--feature is LAYER:INDEX, as in 12:3045, not {feature!r}")
    return int(layer), int(index)


def _lines(path: str) -> list[str]:
    """A file's lines that are not empty."""
    return [line for line in read_text(Path(path), ConfigError, MAX_INDEX_BYTES).split("\n") if line]


def _print(found: Any) -> None:
    """A report as it is, anything else as JSON."""
    from .report.plain import plain

    print(found if isinstance(found, str) else json_format.dumps(plain(found), indent=2))
