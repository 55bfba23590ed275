"""Target of wheels: the Python version and platform of a bundle, for pip and for environment markers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement

from ...errors import ConfigError

PLATFORM = "manylinux_2_28_x86_64"  # torch is built for this glibc or newer
_TAG = re.compile(r"(?P<kind>manylinux_2_(?P<minor>\d+)|manylinux2014|linux)_(?P<machine>[a-z]\w*)")
_OLDEST_MINOR = 5
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def this_python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True)
class Target:
    """Python version and platform of wheels. Raises ConfigError for malformed values."""

    python: str
    """Python version, such as 3.11 or 3.12."""
    platforms: tuple[str, ...]
    """Platform tags, any of which a wheel may have. manylinux_2_N includes the tags of all older versions of glibc."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"3\.\d+", self.python):
            raise ConfigError(f"--python is a version like 3.11, not {self.python!r}")
        if not self.platforms:
            raise ConfigError(f"give --platform at least one tag, like {PLATFORM}")
        matches = [_TAG.fullmatch(platform) for platform in self.platforms]
        for platform, match in zip(self.platforms, matches, strict=True):
            if match is None:
                raise ConfigError(f"--platform is a Linux tag of wheels like {PLATFORM}, not {platform!r}")
        machines = sorted({match["machine"] for match in matches if match})
        if len(machines) != 1:
            raise ConfigError(f"a bundle is for one kind of machine, not for {machines}: make one for each")

    @property
    def machine(self) -> str:
        """Architecture of the processor, such as x86_64 or aarch64."""
        match = _TAG.fullmatch(self.platforms[0])
        assert match is not None, "checked above"
        return match["machine"]

    @property
    def tags(self) -> list[str]:
        """All platform tags, best first.

        They are listed because, up to its version 26.3, pip takes `--platform manylinux_2_28_x86_64` for that tag
        alone, although a newer glibc runs wheels built for an older one. `packaging.tags` has the list of the running
        machine only.
        """
        return list(dict.fromkeys(tag for platform in self.platforms for tag in _runnable(platform)))

    def wants(self, requirement: Requirement, extras: frozenset[str]) -> bool:
        """Whether the marker of a requirement holds on the target, for some patch version and one of these extras or
        none."""
        if requirement.marker is None:
            return True
        return any(
            requirement.marker.evaluate({**self._environment(patch), "extra": extra})
            for patch in (0, 99)
            for extra in ("", *extras)
        )

    def _environment(self, patch: int) -> dict[str, str]:
        full = f"{self.python}.{patch}"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "python_version": self.python,
            "sys_platform": "linux",
        }


def _runnable(platform: str) -> Iterator[str]:
    """Yield the tag, and those of all older versions of glibc with their names from before PEP 600."""
    match = _TAG.fullmatch(platform)
    assert match is not None, "checked when made"
    newest = 17 if match["kind"] == "manylinux2014" else int(match["minor"] or 0)
    for minor in range(newest, _OLDEST_MINOR - 1, -1):
        yield f"manylinux_2_{minor}_{match['machine']}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{match['machine']}"
    yield f"linux_{match['machine']}"
