"""Wheels of this project and of its dependencies, in the versions installed here, for another Python or platform.

pip evaluates environment markers for the Python that it runs on, so it is used for downloads only. This module reads
the dependencies from the wheels themselves and repeats the download until nothing is missing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections import deque
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PathDistribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from ...errors import BundleError
from ...redact import redacted
from .project_wheel import PROJECT
from .wheel_target import Target

LogLine = Callable[[str], None]
Needs = dict[str, list[Requirement]]
"""Requirements that other packages have for each package."""


def installed_versions() -> dict[str, str]:
    """Return the installed version of each package, without the label of a local build such as +cpu, which an index
    does not have."""
    found = ((dist.metadata["Name"], dist.version) for dist in distributions())
    return {canonicalize_name(name): Version(version).public for name, version in found if name}


def extras_here(own: Path, pins: Mapping[str, str]) -> list[str]:
    """Return the extras of this project whose packages are installed here, except for `dev`."""
    metadata = _metadata(own)
    extras = set(metadata.metadata.get_all("Provides-Extra") or []) - {"dev"}
    needs = [Requirement(text) for text in metadata.requires or []]
    return sorted(
        extra
        for extra in extras
        if all(
            canonicalize_name(need.name) in pins
            for need in needs
            if need.marker and need.marker.evaluate({"extra": extra}) and not need.marker.evaluate({"extra": ""})
        )
    )


def collect(
    wheels: Path,
    own: Requirement,
    target: Target,
    pins: Mapping[str, str],
    torch_index: str | None,
    say: LogLine,
    saved: Callable[[], None],
) -> None:
    """Download wheels into a folder that has the project's own wheel, until it holds the dependencies of `own` and no
    others.

    Calls `saved` after each round of downloads. Raises BundleError if a wheel cannot be downloaded or versions
    conflict.
    """
    while True:
        have = _by_package(wheels)
        used, missing = closure(own, have, target)
        if not missing:
            break
        say(f"wheels: {len(used)} there, {len(missing)} more are needed: {', '.join(sorted(missing)[:6])} ...")
        if torch_index and "torch" in missing:
            _download(wheels, {"torch": missing.pop("torch")}, target, pins, ["--index-url", torch_index], say)
            saved()
        if missing:
            _download(wheels, missing, target, pins, [], say)
        saved()
    for package in have.keys() - used.keys():
        have[package].unlink()
    _check_versions(have, used)
    say(f"wheels: all {len(used)} are there")
    saved()


def closure(own: Requirement, have: Mapping[str, Path], target: Target) -> tuple[Needs, Needs]:
    """Follow the dependencies of `own` through the wheels at hand.

    Returns the needed packages that have a wheel, and the needed packages that have none.
    """
    used: Needs = {}
    missing: Needs = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = deque([own])
    while queue:
        need = queue.popleft()
        package, extras = canonicalize_name(need.name), frozenset(need.extras)
        (used if package in have else missing).setdefault(package, []).append(need)
        if package not in have or (package, extras) in seen:
            continue
        seen.add((package, extras))
        texts = _metadata(have[package]).requires or []
        queue.extend(further for text in texts if target.wants(further := Requirement(text), extras))
    return used, missing


def _by_package(wheels: Path) -> dict[str, Path]:
    """Return the wheel of each package. Raises BundleError if a package has two wheels."""
    found: dict[str, Path] = {}
    for path in sorted(wheels.glob("*.whl")):
        package = parse_wheel_filename(path.name)[0]
        if package in found:
            raise BundleError(f"two wheels of {package}: {found[package].name} and {path.name}; remove one")
        found[package] = path
    return found


def _metadata(wheel: Path) -> PathDistribution:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}  # deeper folders belong to vendored packages
    (folder,) = (name for name in top if name.endswith(".dist-info"))
    return PathDistribution(zipfile.Path(wheel, f"{folder}/"))


def _check_versions(have: Mapping[str, Path], used: Needs) -> None:
    for package, needs in used.items():
        version = parse_wheel_filename(have[package].name)[1]
        for need in needs:
            if not need.specifier.contains(version, prereleases=True):
                raise BundleError(f"{need} is needed, but {package} {version} is installed here: mend this environment")


def _download(
    wheels: Path, needs: Needs, target: Target, pins: Mapping[str, str], options: Collection[str], say: LogLine
) -> None:
    """Download wheels with one call of pip into a separate folder, and move them when pip has finished."""
    arriving = wheels / "arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", str(arriving)]
    command += ["--python-version", target.python, "--implementation", "cp"]
    command += [word for tag in target.tags for word in ("--platform", tag)]
    command += [*options, *sorted(_asked(package, asked, pins) for package, asked in needs.items())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        lines = deque[str](maxlen=30)
        for line in pip.stdout:
            lines.append(line)
            if found := re.search(r"(Downloading|Using cached|Processing) .*?([^/\s]+\.whl)( \(.*\))?\s*$", line):
                say(f"wheels: {found[2]}{found[3] or ''}")
    if pip.returncode:
        raise BundleError(_reason("".join(lines), target))
    for wheel in arriving.glob("*.whl"):
        wheel.replace(wheels / wheel.name)
    arriving.rmdir()


def _asked(package: str, needs: Collection[Requirement], pins: Mapping[str, str]) -> str:
    """Return the requirement for pip: the version installed here, or else the limits of the packages that need it."""
    if package in pins:
        return f"{package}=={pins[package]}"
    limits = sorted({str(need.specifier) for need in needs if need.specifier})
    return next((str(need) for need in needs if need.url), package + ",".join(limits))


def _reason(output: str, target: Target) -> str:
    if found := re.search(r"No matching distribution found for (\S+)", output):
        where = f"Python {target.python} on {', '.join(target.platforms)}"
        return (
            f"no index that pip knows has a wheel of {found[1]} for {where}. Install a version here that has one and "
            "try again, or choose another --python or --platform"
        )
    if "No space left" in output:
        return "the disk is full; make room and run the same command again: it goes on where it stopped"
    if "No module named pip" in output:
        return "there is no pip in this environment: python -m ensurepip"
    errors = [line for line in output.splitlines() if line.startswith("ERROR")] or output.splitlines()[-5:]
    return f"pip cannot download wheels for {PROJECT}: {redacted(' '.join(errors))}"
