"""The command line: trace and plan take the configuration's fields as flags, the other commands read a store.

Exit codes: 0 all is done, 1 a mistake in flags or set-up, 3 some prompts failed (the rest is stored), 130 stopped by a
signal. What is asked for goes to standard output; progress and errors go to standard error.
"""

from __future__ import annotations

import json as json_format
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from . import __version__
from .config import CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TraceConfig, TranscoderConfig
from .errors import ConfigError, TracerError
from .store.table import printable

PROG = "distributed-tracer"
_NO_STORE = StoreConfig(store="")

app = tyro.extras.SubcommandApp()
registry = ConstructorRegistry()

StorePath = Annotated[Positional[str], tyro.conf.arg(metavar="PATH")]


def _command(function: Callable[..., int]) -> Callable[..., int]:
    """Make a function a subcommand. Parsing only binds arguments: tyro takes any ValueError for a bad flag."""

    @wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], int]:
        return partial(function, *args, **kwargs)

    app.command(bind)
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
    print(summary.describe(), flush=True)
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

    plan, rejected = plan_job(JobConfig(model, transcoders, corpus, store, trace, run))
    print(plan.describe())
    for outcome in rejected:
        print(f"cannot be traced: {outcome.prompt_id!r}: {outcome.reason!r}")
    plan.check_fits()
    return 3 if rejected or any(plan.too_large()) else 0


@_command
def status(path: StorePath, json: bool = False) -> int:
    """Say what a store holds: prompts done and failed with reasons, what made it, parts that do not count.

    Args:
        path: Directory or URL of a store.
        json: Print JSON.
    """
    from .report.status import status_of, status_text

    found = status_of(path)
    _print(found if json else status_text(found))
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

    found = graph_summary(open_store(path).graph(prompt), top)
    _print(found if json else graph_text(found))
    return 0


@_command
def query(path: StorePath, feature: str, limit: int = 50, json: bool = False) -> int:
    """List where a feature acts, over all prompts: position, activation, influence.

    Args:
        path: Directory or URL of a store.
        feature: Layer and index, as in 12:3045.
        limit: How many rows to print; JSON has them all.
        json: Print JSON.
    """
    from .store.reader import open_store

    found = open_store(path).occurrences(*_parse_feature(feature))
    count = f"{len(found)} occurrences in {len(set(found['prompt']))} prompts"
    _print(list(found.rows()) if json else f"{found.format(limit)}\n{count}")
    return 0


@_command
def export(path: StorePath, prompt: str, out: str, format: Literal["npz"] = "npz") -> int:
    """Write one graph to a file for other tools.

    Args:
        path: Directory or URL of a store.
        prompt: Id of the prompt.
        out: File to write; replaced if it is there.
        format: npz is a numpy archive with a dense matrix.
    """
    from .export.npz import export_npz
    from .store.reader import open_store

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
    from .plot.style import save
    from .store.reader import open_store

    store = open_store(path)
    save(draw_corpus(store, by) if prompt is None else draw_graph(store.graph(prompt)), out)
    print(out)
    return 0


@_command
def version() -> int:
    """Print the version."""
    print(__version__)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        _refuse_workers_with_local(args)
        command = app.cli(prog=PROG, args=args, registry=registry, config=(tyro.conf.OmitArgPrefixes,))
        return int(command())
    except SystemExit as stop:  # tyro has said why
        return 1 if stop.code else 0
    except KeyboardInterrupt:
        print("stopped at once; what is committed stays: run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TracerError, OSError) as error:
        lines = [*str(error).splitlines(), *getattr(error, "__notes__", ())]
        print("error:", "\n".join(map(printable, lines)), file=sys.stderr)
        return 1


def _refuse_workers_with_local(args: Sequence[str]) -> None:
    given = {arg.partition("=")[0] for arg in args}
    if {"--workers", "--local"} <= given:
        raise ConfigError("--workers and --local exclude each other: --local works in this process, without workers")


def _parse_feature(feature: str) -> tuple[int, int]:
    layer, colon, index = feature.partition(":")
    if not (colon and layer.isdecimal() and index.isdecimal()):
        raise ConfigError(f"--feature is LAYER:INDEX, as in 12:3045, not {feature!r}")
    return int(layer), int(index)


def _print(found: Any) -> None:
    """A report as it is, anything else as JSON."""
    from .report.plain import plain

    print(found if isinstance(found, str) else json_format.dumps(plain(found), indent=2))
