"""Command-line application: the parser, and the output that all commands share.

The fields of the configuration are the flags of `trace` and `plan`. Exit codes: 0 all is done, 1 a mistake in flags or
set-up, 3 some prompts failed (the others are stored), 130 stopped by a signal. Answers go to standard output; progress
and errors go to standard error.
"""

from __future__ import annotations

import io
import json as json_format
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial, wraps
from typing import Annotated, Any

import tyro
from tyro.conf import Positional
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from ..config import RunConfig, StoreConfig, TraceConfig
from ..documents.json_text import to_json_types
from ..errors import ConfigError
from ..redact import redacted_argument
from ..text import printable


@contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar on standard error. Yields a function of the amount done and the total amount, both in any
    unit, or None if standard error is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


PROG = "distributed-tracer"
NO_STORE = StoreConfig(store="")
DEFAULT_TRACE, DEFAULT_RUN = TraceConfig(), RunConfig()
SHOWN_REJECTED = 20

app = tyro.extras.SubcommandApp()
registry = ConstructorRegistry()

StorePath = Annotated[Positional[str], tyro.conf.arg(metavar="PATH")]


def bound(function: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """Return the function as a subcommand that only binds its arguments.

    The command runs after parsing, because tyro takes any ValueError during parsing for a bad flag.
    """

    @wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], int]:
        return partial(function, *args, **kwargs)

    return bind


@registry.primitive_rule
def _optional_int(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int | None] | None:
    """Accept `none`, in upper or lower case, for a field of type `int | None`."""
    if info.type != (int | None):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT|none",
        instance_from_str=lambda given: None if given[0].lower() == "none" else int(given[0]),
        is_instance=lambda value: value is None or isinstance(value, int),
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


def discard_output() -> None:
    """Redirect standard output to the null device, so that what is still buffered does not fail at the end of the
    process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(args: Sequence[str]) -> Any:
    """Return the command, bound to its arguments. Raises SystemExit if tyro refuses them and has printed the reason.

    The message of tyro repeats arguments, broken into lines, and one of them may be an address with a password. So the
    first message is discarded, and the arguments are parsed once more with their secrets redacted.
    """
    parsed = partial(app.cli, prog=PROG, registry=registry, config=(tyro.conf.OmitArgPrefixes,))
    try:
        with redirect_stderr(io.StringIO()):
            return parsed(args=args)
    except SystemExit as refused:
        if not refused.code:  # --help has been printed
            raise
    parsed(args=[printable(redacted_argument(arg)) for arg in args])
    raise ConfigError("an argument cannot be read; it is not shown, as it may hold a password or a signature")


def check_count(flag: str, count: int) -> None:
    if count < 0:
        raise ConfigError(f"{flag} must not be negative, not {count}")


def parse_feature(feature: str, flag: str = "--feature") -> tuple[int, int]:
    """Return layer and index of a feature as users name it. Raises ConfigError."""
    layer, colon, index = feature.partition(":")
    if not (colon and layer.isdecimal() and index.isdecimal() and len(feature) <= 20):
        raise ConfigError(f"{flag} is LAYER:INDEX, as in 12:3045, not {feature!r}")
    return int(layer), int(index)


def parse_node(node: str, flag: str = "--nodes") -> tuple[str, int, int, int]:
    """Return the key of a feature node as users name it. Raises ConfigError."""
    parts = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})@([0-9]{1,9})", node)
    if parts is None:
        raise ConfigError(f"{flag} takes LAYER:INDEX@POSITION, as in 12:3045@7, not {node!r}")
    layer, index, position = map(int, parts.groups())
    return "feature", layer, position, index


def print_answer(found: Any) -> None:
    """Print a report as it is, and anything else as JSON."""

    print(found if isinstance(found, str) else json_format.dumps(to_json_types(found), indent=2))
