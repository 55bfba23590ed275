"""The command line: trace and plan take the configuration's fields as flags, the other commands read a store.

Exit codes: 0 all is done, 1 a mistake in flags or set-up, 3 some prompts failed (the rest is stored), 130 stopped by a
signal. What is asked for goes to standard output; progress and errors go to standard error.
"""

from __future__ import annotations

import io
import json as json_format
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial, wraps
from typing import Annotated, Any

import tyro
from tyro.conf import Positional
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from ..config import RunConfig, StoreConfig, TraceConfig
from ..errors import ConfigError
from ..redact import redacted_argument
from ..text import printable


@contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int], None] | None]:
    """Gives what is to be called with what is done and what is to do in all, in any unit; None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def to_json_types(value: Any) -> Any:
    """The value in JSON's types: tuples become lists, numbers that are not finite None."""
    if isinstance(value, Mapping):
        return {str(key): to_json_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_types(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


PROG = "distributed-tracer"
NO_STORE = StoreConfig(store="")
DEFAULT_TRACE, DEFAULT_RUN = TraceConfig(), RunConfig()
SHOWN_REJECTED = 20

app = tyro.extras.SubcommandApp()
registry = ConstructorRegistry()

StorePath = Annotated[Positional[str], tyro.conf.arg(metavar="PATH")]


def bound(function: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """The function as a subcommand. Parsing only binds its arguments: tyro takes any ValueError for a bad flag."""

    @wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], int]:
        return partial(function, *args, **kwargs)

    return bind


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


def discard_output() -> None:
    """Nothing more can be written, nor be left for the end of the process to write."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(args: Sequence[str]) -> Any:
    """The command bound to its arguments. Raises SystemExit where tyro refuses them and has said why.

    What it says repeats arguments, broken into lines, and among them may be an address with a password. So that is not
    shown: it is asked again with what may be shown of them.
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


def print_answer(found: Any) -> None:
    """A report as it is, anything else as JSON."""

    print(found if isinstance(found, str) else json_format.dumps(to_json_types(found), indent=2))
