"""Control groups: how much memory and how many processors a container, Slurm or systemd leaves this process.

Groups are folders, each within the one that its limit also counts in: the lowest limit of all holds. Versions 1 and 2
of the kernel's interface name their files differently, and may both be mounted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

_MEMORY = (
    ("memory.max", "memory.current"),
    ("memory.high", "memory.current"),  # beyond it processes are slowed down until they hardly move
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Limit and use, in bytes."""
_FILES_CACHED = ("inactive_file", "active_file", "total_inactive_file", "total_active_file")
"""Use that is given back where memory is needed; version 1 has those of all groups below under names of their own."""
_NO_LIMIT = 2**62
"""Version 1 writes the largest multiple of a page."""


@dataclass(frozen=True)
class MemoryLimit:
    """What all processes of a group may take together, in bytes."""

    limit: int
    used: int
    folder: Path

    @property
    def free(self) -> int:
        return max(0, self.limit - self.used)


def memory_limits(root: Path = Path("/")) -> list[MemoryLimit]:
    """Of each group that this process is in; empty where none limits its memory. `root` holds `proc` and `sys`."""
    return [found for folder in folders("memory", root) for found in _limits_of(folder)]


def num_processors(root: Path = Path("/")) -> float | None:
    """What the quotas of this process's groups amount to; None where they have none."""
    found = [quota for folder in folders("cpu", root) for quota in _quotas_of(folder)]
    return min(found) if found else None


@dataclass(frozen=True)
class Kills:
    """How many processes of a group the kernel has killed because memory ran out: its limit's, or the machine's."""

    file: Path
    count: int
    limit: int | None
    """The lowest that holds for the group, in bytes."""

    @classmethod
    def here(cls, root: Path = Path("/")) -> Kills | None:
        """Until now in the group of this process; None where the kernel does not count."""
        for folder in folders("memory", root):
            for name in ("memory.events.local", "memory.events", "memory.oom_control"):
                if (count := _kills(folder / name)) is not None:
                    limits = [one.limit for one in memory_limits(root)]
                    return cls(folder / name, count, min(limits) if limits else None)
        return None

    def more(self) -> int:
        """So many since, by the same file: to be asked on the same machine."""
        return max(0, (_kills(self.file) or 0) - self.count)


@cache
def folders(controller: str, root: Path = Path("/")) -> tuple[Path, ...]:
    """Of the groups whose limits hold for this process, as far as they can be seen: its own, and those around that."""
    mounts, own = _text(root / "proc/self/mountinfo"), _text(root / "proc/self/cgroup")
    path_of: dict[str, str] = {}
    for line in own.splitlines():
        _, names, path = line.split(":", 2)
        path_of |= dict.fromkeys(names.split(","), path)  # version 2 has no names
    found: list[Path] = []
    for line in mounts.splitlines():
        place, _, kind_and_options = line.partition(" - ")
        shown, point = map(_unescaped, place.split(" ")[3:5])
        kind, _, options = kind_and_options.split(" ", 2)
        of_version_1 = kind == "cgroup" and controller in options.split(",")
        if (of_version_1 or kind == "cgroup2") and (group := path_of.get(controller if of_version_1 else "")):
            found += _upwards(root / point.lstrip("/"), shown, group)
    return tuple(found)


def _upwards(top: Path, shown: str, path: str) -> Iterator[Path]:
    """From the folder of the group `path` to `top`, where the group `shown` is mounted. A container may be told a path
    that is not there: what is mounted is its own group then."""
    pure = PurePosixPath(path)
    below = pure.relative_to(shown) if pure.is_relative_to(shown) and ".." not in pure.parts else PurePosixPath()
    folder = top / below
    if not folder.is_dir():
        folder = top
    while folder != top:
        yield folder
        folder = folder.parent
    yield top


def _limits_of(folder: Path) -> Iterator[MemoryLimit]:
    numbers = _numbers(folder / "memory.stat")
    recursive = "total_active_file" in numbers
    cached = sum(numbers.get(name, 0) for name in _FILES_CACHED if name.startswith("total_") == recursive)
    for limit_name, used_name in _MEMORY:
        limit, used = _number(folder / limit_name), _number(folder / used_name)
        if used is None or limit is None:
            continue
        if limit_name == "memory.limit_in_bytes":  # with those of groups further up, which may not be seen from here
            limit = min(limit, numbers.get("hierarchical_memory_limit", limit))
        if limit < _NO_LIMIT:
            yield MemoryLimit(limit, max(0, used - cached), folder)


def _quotas_of(folder: Path) -> Iterator[float]:
    """Microseconds of processors in so many of the clock."""
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota.isdigit() and period.isdigit() and int(period):  # "max", and -1, are none
        yield int(quota) / int(period)


def _kills(file: Path) -> int | None:
    return _numbers(file).get("oom_kill")


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _numbers(file: Path) -> dict[str, int]:
    """Of a file of lines, each a name and a number."""
    pairs = (line.split(" ") for line in _text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(file: Path) -> str:
    """Empty where it is not there, or closed to this user."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _unescaped(text: str) -> str:
    r"""Spaces in paths are \040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
