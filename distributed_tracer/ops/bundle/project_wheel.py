"""Wheel of this project: built from the checkout that runs, or else assembled from the installed files."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from base64 import urlsafe_b64encode
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from ...errors import BundleError
from .pip_process import run_pip

PROJECT = "distributed-tracer"
_SOURCES = ("pyproject.toml", "README.md", "LICENSE")
_NOT_IN_WHEELS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")  # written by the installer


def project_wheel(folder: Path) -> Path:
    """Make the wheel in `folder`, and return its path. Raises BundleError if it cannot be built."""
    checkout = Path(__file__).parents[3]
    if all((checkout / name).is_file() for name in _SOURCES):
        return _built(checkout, folder)
    try:
        return repacked(distribution(PROJECT), folder)
    except PackageNotFoundError as error:
        raise BundleError(f"{PROJECT} is neither installed nor run from a checkout: no wheel can be made") from error


def _built(checkout: Path, folder: Path) -> Path:
    """Build the wheel from a copy of the sources, so that files left by an earlier build do not get into it."""
    with tempfile.TemporaryDirectory() as copy:
        for name in _SOURCES:
            shutil.copy(checkout / name, copy)
        package = "distributed_tracer"
        shutil.copytree(checkout / package, Path(copy) / package, ignore=shutil.ignore_patterns("__pycache__"))
        succeeded, lines = run_pip("wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), copy)
    if not succeeded:
        raise BundleError(f"pip cannot build a wheel of {PROJECT}: {' '.join(' '.join(lines).split())[-1000:]}")
    (wheel,) = folder.glob("distributed_tracer-*.whl")
    return wheel


def repacked(installed: Distribution, folder: Path) -> Path:
    """Assemble a wheel from the files of an installed distribution, and return its path.

    pip builds wheels from sources and downloads them from indexes, and an installed version may be in neither.
    """
    wheel = folder / f"{installed.metadata['Name'].replace('-', '_')}-{installed.version}-py3-none-any.whl"
    record, record_name = [], ""
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(installed.files or [], key=str):
            inside = file.as_posix()
            if ".dist-info/RECORD" in inside:
                record_name = inside
            if ".." in file.parts or file.suffix == ".pyc" or file.name in _NOT_IN_WHEELS:
                continue
            content = Path(str(file.locate())).read_bytes()
            archive.writestr(inside, content)
            digest = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{inside},sha256={digest},{len(content)}\n")
        archive.writestr(record_name, "".join(record) + f"{record_name},,\n")
    return wheel
