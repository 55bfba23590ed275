"""Control groups: the memory and processors that a container, Slurm or systemd leaves to this process.

A control group is a folder. Its limits apply together with those of all groups around it, so the lowest limit holds.
Versions 1 and 2 of the kernel's interface name their files differently, and both may be mounted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

_MEMORY = (
    ("memory.max", "memory.current"),
    ("memory.high", "memory.current"),  # beyond it, the kernel slows processes down until they hardly move
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Names of the files that hold a limit, and of those that hold the memory in use, both in bytes."""
_FILES_CACHED = ("inactive_file", "active_file", "total_inactive_file", "total_active_file")
"""Entries of memory.stat for cached files, whose memory the kernel frees when it is needed. Version 1 has sums over all
groups below under names that begin with total_."""
_NO_LIMIT = 2**62
"""Limits from this value on mean that there is none: version 1 then writes the largest multiple of a page."""


@dataclass(frozen=True)
class MemoryLimit:
    """The memory in bytes that all processes of a group may use together, and that they use now."""

    limit: int
    used: int
    folder: Path

    @property
    def free(self) -> int:
        """Bytes that the group may still use; at least 0."""
        return max(0, self.limit - self.used)


def memory_limits(root: Path = Path("/")) -> list[MemoryLimit]:
    """Return the limits of all groups that this process is in; empty if none limits its memory.

    `root` is the folder that contains `proc` and `sys`.
    """
    return [found for folder in folders("memory", root) for found in _limits_of(folder)]


def num_processors(root: Path = Path("/")) -> float | None:
    """Return the smallest CPU quota of this process's groups, in processors; None if there is none."""
    found = [quota for folder in folders("cpu", root) for quota in _quotas_of(folder)]
    return min(found) if found else None


@dataclass(frozen=True)
class Kills:
    """Number of processes of a group that the kernel has killed because the group or the machine ran out of memory."""

    file: Path
    count: int
    limit: int | None
    """Lowest memory limit that applies to the group, in bytes; None if there is none."""

    @classmethod
    def here(cls, root: Path = Path("/")) -> Kills | None:
        """Return the kills so far in the group of this process; None if the kernel does not count them."""
        for folder in folders("memory", root):
            for name in ("memory.events.local", "memory.events", "memory.oom_control"):
                if (count := _kills(folder / name)) is not None:
                    limits = [one.limit for one in memory_limits(root)]
                    return cls(folder / name, count, min(limits) if limits else None)
        return None

    def more(self) -> int:
        """Return the number of kills since this count, read from the same file; call it on the same machine."""
        return max(0, (_kills(self.file) or 0) - self.count)


@cache
def folders(controller: str, root: Path = Path("/")) -> tuple[Path, ...]:
    """Return the folders of all groups whose limits apply to this process, as far as they are visible.

    They are the folders of its own group and of the groups around it, for one controller (`memory` or `cpu`).
    """
    mounts, own = _text(root / "proc/self/mountinfo"), _text(root / "proc/self/cgroup")
    path_of: dict[str, str] = {}
    for line in own.splitlines():
        _, names, path = line.split(":", 2)
        path_of |= dict.fromkeys(names.split(","), path)  # version 2 names no controllers
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
    """Yield the folders from that of the group `path` up to `top`, where the group `shown` is mounted.

    In a container, `path` may not exist; then the mounted group is the container's own.
    """
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
        if limit_name == "memory.limit_in_bytes":  # include the limits of groups further up, which may be invisible
            limit = min(limit, numbers.get("hierarchical_memory_limit", limit))
        if limit < _NO_LIMIT:
            yield MemoryLimit(limit, max(0, used - cached), folder)


def _quotas_of(folder: Path) -> Iterator[float]:
    """Yield the CPU quota of a group in processors: microseconds of CPU time per period, divided by the period."""
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota.isdigit() and period.isdigit() and int(period):  # "max" and -1 mean that there is no quota
        yield int(quota) / int(period)


def _kills(file: Path) -> int | None:
    return _numbers(file).get("oom_kill")


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _numbers(file: Path) -> dict[str, int]:
    """Return the numbers by name from a file in which each line is a name and a number."""
    pairs = (line.split(" ") for line in _text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(file: Path) -> str:
    """Return the text of a file; empty if it does not exist or this user cannot read it."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _unescaped(text: str) -> str:
    r"""Return a path from /proc with its escapes resolved: a space is written as \040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
