"""Repeated flags on a command line: flags that take several values are combined, all others are refused.

Parsers of command lines usually take the last value of a repeated flag and silently ignore the earlier ones.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import ConfigError
from ..redact import redacted_argument

SEVERAL = frozenset(
    {
        *("--where", "--set", "--platform", "--classes", "--predict", "--a", "--b", "--nodes"),
        *("--mined", "--allow-host", "--only", "--without", "--contrast-by"),
    }
)
"""Flags, of any command, that take several values."""
SEVERAL_OF = {"export": frozenset({"--prompt"}), "prepare-upload": frozenset({"--prompt"})}
"""Flags that take several values in these commands and one value in others."""


def settled(args: Sequence[str], several: Collection[str] = SEVERAL) -> list[str]:
    """Return the arguments with each flag once: the values of a repeated flag that takes several are joined.

    These are the flags of `several`, and those of SEVERAL_OF for the command, which is the first argument.

    Arguments after `--` stay as they are. Raises ConfigError for any other flag that is given twice, also as `--x` and
    `--no-x`, and for a flag of `several` without a value.
    """
    several = {*several, *SEVERAL_OF.get(args[0] if args else "", ())}
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
            before, again = (" ".join(map(redacted_argument, args)) for args in (first[name][:2], [arg]))
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
