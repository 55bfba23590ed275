"""What is said twice on a command line: flags that take several values add up, all others are refused.

Parsers of command lines take the last of two values and forget the first, so that half of what was asked for is ignored
without a word.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import ConfigError
from ..redact import redacted_argument

SEVERAL = frozenset({"--where", "--set", "--platform"})
"""Flags of all commands that take several values."""


def settled(args: Sequence[str], several: Collection[str] = SEVERAL) -> list[str]:
    """The same arguments, with each flag once: the values of a repeated one of `several` follow one another.

    What stands after `--` is left alone. Raises ConfigError for another flag that is given twice, also as `--x` and
    `--no-x`, and for one of `several` without a value.
    """
    end = list(args).index("--") if "--" in args else len(args)
    kept: list[list[str]] = [[]]
    first: dict[str, list[str]] = {}
    for arg in args[:end]:
        if not arg.startswith("--"):
            kept[-1].append(arg)
            continue
        written, equals, value = arg.partition("=")
        flag = written.replace("_", "-")
        name = f"--{flag.removeprefix('--no-')}" if flag.startswith("--no-") else flag
        group = [arg]
        if flag in several:
            group = [flag, *([value] if equals else [])]
        elif name in first:
            before, again = (" ".join(map(redacted_argument, said)) for said in (first[name][:2], [arg]))
            raise ConfigError(f"{redacted_argument(name)} is given twice, as {before} and as {again}: give it once")
        first.setdefault(name, group)
        kept.append(group)
    for group in kept[1:]:
        flag = group[0].replace("_", "-")
        if flag in several:
            if len(group) == 1:
                raise ConfigError(f"{flag} needs at least one value")
            if group is not first[flag]:
                first[flag] += group[1:]
                group.clear()
    return [arg for group in kept for arg in group] + list(args[end:])
