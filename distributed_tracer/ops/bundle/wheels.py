"""Wheels of this project and of its dependencies, in the versions installed here, for another Python or platform.

pip finds, chooses and downloads wheels, but this module decides which packages are needed. Up to its version 26.3, pip
evaluates environment markers for the Python and the machine on which it runs, whatever `--python-version` and
`--platform` say. A bundle made on a Mac would lack the CUDA libraries of torch. So the requirements are read from the
wheels themselves, their markers are evaluated by `packaging` for the target, and pip is called with `--no-deps` until
nothing is missing. uv evaluates markers for a target, but it reads none of pip's settings (indexes, passwords, proxies)
and cannot download wheels.
"""

from __future__ import annotations

import re
import shutil
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
from .pip_process import circumstances, run_pip, why_pip_failed
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
    log: LogLine,
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
        log(f"wheels: {len(used)} there, {len(missing)} more are needed: {', '.join(sorted(missing)[:6])} ...")
        if torch_index and "torch" in missing:
            _download(wheels, {"torch": missing.pop("torch")}, target, pins, ["--index-url", torch_index], log)
            saved()
        if missing:
            _download(wheels, missing, target, pins, [], log)
        saved()
    for package in have.keys() - used.keys():
        have[package].unlink()
    _check_versions(have, used, pins)
    log(f"wheels: all {len(used)} are there")
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


def _check_versions(have: Mapping[str, Path], used: Needs, pins: Mapping[str, str]) -> None:
    for package, needs in used.items():
        version = parse_wheel_filename(have[package].name)[1]
        for need in needs:
            if need.specifier.contains(version, prereleases=True):
                continue
            wanted = f"{redacted(str(need))} is needed, but"
            if package in pins:
                raise BundleError(f"{wanted} {package} {version} is installed here: fix this environment")
            raise BundleError(
                f"{wanted} pip chose {package} {version}, which is not installed here: install a version of it here "
                "that satisfies all packages, and run the same command again"
            )


def _download(
    wheels: Path, needs: Needs, target: Target, pins: Mapping[str, str], options: Collection[str], log: LogLine
) -> None:
    """Download wheels with one call of pip into a separate folder, and move them when pip has finished."""
    arriving = wheels / "arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    command = ["download", "--no-deps", "--only-binary=:all:", "--progress-bar=off", "--dest", str(arriving)]
    command += ["--python-version", target.python, "--implementation", "cp"]
    command += [word for tag in target.tags for word in ("--platform", tag)]
    command += [*options, *sorted(_requested(package, requested, pins) for package, requested in needs.items())]

    def show(line: str) -> None:
        if found := re.search(r"(Downloading|Using cached|Processing) .*?([^/\s]+\.whl)( \(.*\))?\s*$", line):
            log(f"wheels: {found[2]}{found[3] or ''}")

    succeeded, lines = run_pip(*command, show=show)
    if not succeeded:
        raise BundleError(_reason(lines, target))
    for wheel in arriving.glob("*.whl"):
        wheel.replace(wheels / wheel.name)
    arriving.rmdir()


def _requested(package: str, needs: Collection[Requirement], pins: Mapping[str, str]) -> str:
    """Return the requirement for pip: the version installed here, or else the limits of the packages that need it.

    It has no marker, because pip would evaluate it for this machine.
    """
    if package in pins:
        return f"{package}=={pins[package]}"
    limits = sorted({str(need.specifier) for need in needs if need.specifier})
    return next((f"{package} @ {need.url}" for need in needs if need.url), package + ",".join(limits))


def _reason(lines: list[str], target: Target) -> str:
    if found := re.search(r"No matching distribution found for (\S+)", "\n".join(lines)):
        where = f"Python {target.python} on {', '.join(target.platforms)}"
        said = "".join(f" pip: {line}" for line in circumstances(lines))
        return (
            f"no index that pip knows has a wheel of {found[1]} for {where}. Install a version here that has one and "
            f"try again, or choose another --python or --platform.{said}"
        )
    return f"pip cannot download wheels for {PROJECT}: {why_pip_failed(lines)}"
