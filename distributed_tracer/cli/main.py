"""Entry point of the command line: it parses arguments, runs the command, and turns exceptions into exit codes."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ..errors import ConfigError, TracerError
from ..names import unknown
from ..redact import redacted, redacted_argument
from ..text import printable
from . import (
    annotate,
    certify,
    discover,
    draw,
    evaluate,
    exchange,
    features,
    import_graphs,
    inspect,
    labels,
    maintain,
    mine,
    report,
    run,
    serve,
    setup,
)
from .app import app, bound, discard_output, parse
from .repeated_flags import settled

COMMANDS: tuple[Callable[..., int], ...] = (
    *(run.trace, run.plan, setup.doctor, run.submit),
    *(inspect.status, inspect.show, inspect.query, labels.feature, evaluate.intervene),
    *(maintain.compact, maintain.verify, evaluate.verify_edges, evaluate.faithfulness, maintain.repair),
    *(certify.certify, discover.discover),
    *(exchange.export, exchange.prepare_upload, import_graphs.import_, draw.draw, draw.compare, serve.serve),
    *(inspect.info, inspect.digest, features.profile, features.export_features, report.report),
    *(maintain.copy, maintain.merge, maintain.split, maintain.gc),
    *(setup.bundle, setup.verify_bundle, setup.version),
)
"""All commands, in the order in which `--help` lists them."""
_OF_COMMANDS = {function.__name__.strip("_").replace("_", "-"): function for function in COMMANDS}
"""Commands by name; `import` is a word of Python's, so its function has another name."""
_NAMES: list[str] = []

for _name, _function in _OF_COMMANDS.items():
    _NAMES.append(_name)
    app.command(name=_name)(bound(_function))
    if _function is labels.feature:  # a group of commands, which `--help` lists beside this one
        _NAMES.append("labels")
        app.command(labels.labels_app, name="labels")
        _NAMES.append("annotations")
        app.command(annotate.annotations_app, name="annotations")
    if _function is features.export_features:
        _NAMES.append("mine")
        app.command(mine.mine_app, name="mine")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    _write_anything()
    args = list(sys.argv[1:] if argv is None else argv)
    with _signals_end_as_sigint():
        return _main(args)


def _main(args: list[str]) -> int:
    try:
        if args and not args[0].startswith("-") and args[0] not in _NAMES:
            raise ConfigError(unknown("command", redacted_argument(args[0]), _NAMES))
        args = settled(args)
        _refuse_workers_with_local(args)
        return int(parse(args)())
    except SystemExit as stop:  # tyro has printed the reason
        return 1 if stop.code else 0
    except KeyboardInterrupt:
        print("stopped at once; what is committed stays: run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has closed the pipe, as `head` does
        discard_output()
        return 0
    except (TracerError, OSError) as error:
        lines = [printable(redacted(line)) for line in (*str(error).splitlines(), *getattr(error, "__notes__", ()))]
        # a line break in a name from outside must not begin a line that looks like one of ours
        print("error:", "\n  ".join(line.strip() for line in lines), file=sys.stderr)
        return 1


@contextmanager
def _signals_end_as_sigint() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt a command as SIGINT does, so that it cleans up and says how to go on."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in numbers}
    for number in (one for one in before if before[one] == signal.SIG_DFL):  # nohup lets a process ignore SIGHUP
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_anything() -> None:
    """Write characters that the encoding of standard output and error lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse_workers_with_local(args: Sequence[str]) -> None:
    given = {arg.partition("=")[0] for arg in args}
    if {"--workers", "--local"} <= given:
        raise ConfigError("--workers and --local exclude each other: --local works in this process, without workers")
