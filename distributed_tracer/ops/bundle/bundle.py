"""Bundle: `make_bundle` collects everything that a run needs, on a machine with internet for machines without it.

    model/  transcoders/  prompts.*          copied from this machine or the hub
    wheels/                                  this project and its dependencies, in the versions installed here
    install_offline.sh                       script to run on the machines without internet
    manifest.json                            sizes, hashes and origins of all these files

A second call goes on: files that match the manifest and their sources are not copied again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from ...errors import BundleError
from ...redact import redacted, redacted_url
from .manifest import NAME, WHEELS, Manifest, is_intact, place, read_manifest
from .project_wheel import PROJECT, project_wheel
from .sources import Opener, Source, model_source, opener_of, prompts_source, transcoder_source
from .wheel_target import Target
from .wheels import LogLine, collect, extras_here, installed_versions

INSTALLER = "install_offline.sh"
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class BundleRequest:
    """Contents of a bundle. A field that is None keeps what an earlier run left."""

    model: str | None = None
    """Directory or hub id of the model."""
    transcoders: str | None = None
    """Directory or hub id of the transcoders."""
    prompts: str | None = None
    """Path or URL of the corpus."""
    target: Target | None = None
    """Python version and platform for which wheels are downloaded."""
    torch_index: str | None = None
    """URL of the package index for torch, if it differs from the index of the other packages."""


def make_bundle(out: Path, wanted: BundleRequest, log: LogLine) -> Manifest:
    """Make or complete the bundle at `out`, and call `log` with each step.

    Raises BundleError if the directory is not a bundle, the disk is full, a wheel cannot be downloaded, or a run would
    refuse the files. Raises ModelError, TranscoderError or CorpusError for sources that cannot be read.
    """
    manifest = _open(out)
    for name, find in (("model", model_source), ("transcoders", transcoder_source), ("prompts", prompts_source)):
        if (given := getattr(wanted, name)) is not None:
            log(f"{name}: from {redacted_url(given)}")
            _take(out, manifest, name, find(given), log)
    if wanted.target:
        _take_wheels(out, manifest, wanted.target, wanted.torch_index, log)
    _copy(out, manifest, INSTALLER, opener_of(Path(__file__).with_name(INSTALLER)), log)
    _dry_run(out, manifest, log)
    manifest.complete = True
    manifest.write(out)
    return manifest


def _open(out: Path) -> Manifest:
    """Return the manifest of the bundle so far, marked as unfinished."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        out.mkdir(parents=True, exist_ok=True)
        manifest = Manifest()
    elif out.is_dir() and (out / NAME).is_file():
        manifest = read_manifest(out)
    else:
        raise BundleError(f"{out} exists and is no bundle; give a directory that is new or empty")
    manifest.complete = False
    manifest.project_version = Manifest.project_version
    manifest.write(out)
    return manifest


def _take(out: Path, manifest: Manifest, part: str, source: Source, log: LogLine) -> None:
    """Copy the model, the transcoders or the prompts, and remove their files that the source does not have."""
    _check_room(out, source.num_bytes - sum(_size(out / name) for name in source.files))
    copied = [name for name, opener in source.files.items() if _copy(out, manifest, name, opener, log)]
    num_bytes = sum(manifest.files[name]["bytes"] for name in source.files)
    log(f"{part}: {len(source.files)} files, {num_bytes / 1e6:,.1f} MB; {len(copied)} copied, the others were there")
    old = manifest.parts.get(part)
    for name in [name for name in manifest.files if old and _is_in(str(old["path"]), name)]:
        if name not in source.files:
            place(out, name).unlink(missing_ok=True)
            del manifest.files[name]
    manifest.parts[part] = {"path": source.path, "origin": source.origin, "revision": source.revision}
    manifest.write(out)


def _is_in(path: str, name: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_room(out: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(out).free
    if num_bytes > free:
        raise BundleError(f"{num_bytes / 1e6:,.1f} MB more are needed in {out}, and {free / 1e6:,.1f} MB are free")


def _copy(out: Path, manifest: Manifest, name: str, opener: Opener, log: LogLine) -> bool:
    """Copy a file and compute its hash, unless the bundle has it with the content of the source.

    Returns whether the file was copied.
    """
    path = place(out, name)
    if is_intact(out, manifest, name) and _hash_while_copying(opener, None) == manifest.files[name]["sha256"]:
        return False
    log(f"copying {name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)  # opening a link would write to its target
    try:
        sha256 = _hash_while_copying(opener, part)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        part.unlink(missing_ok=True)
        raise BundleError(f"the disk is full at {path}; make room and run the same command again") from error
    part.replace(path)
    manifest.files[name] = {"sha256": sha256, "bytes": path.stat().st_size}
    manifest.write(out)
    return True


def _hash_while_copying(opener: Opener, path: Path | None) -> str:
    sha = hashlib.sha256()
    with opener() as source, open(path or os.devnull, "wb") as copy:
        while chunk := source.read(_CHUNK_BYTES):
            sha.update(chunk)
            copy.write(chunk)
    return sha.hexdigest()


def _take_wheels(out: Path, manifest: Manifest, target: Target, torch_index: str | None, log: LogLine) -> None:
    wheels, pins = out / WHEELS, installed_versions()
    wheels.mkdir(exist_ok=True)
    log(f"wheels: for Python {target.python} on {', '.join(target.platforms)}")
    with tempfile.TemporaryDirectory() as folder:
        own = project_wheel(Path(folder))
        extras = extras_here(own, pins)
        install = f"{PROJECT}[{','.join(extras)}]=={manifest.project_version}"
        requested = {
            "python": target.python,
            "platforms": list(target.platforms),
            "install": install,
            "torch_index": _without_user(torch_index),
        }
        before = {key: (manifest.packages or {}).get(key) for key in requested}
        remove_stale_wheels(out, manifest, pins if before == requested else None)
        shutil.move(own, wheels / own.name)
    manifest.packages = requested

    def saved() -> None:
        there = {f"{WHEELS}/{path.name}": path for path in sorted(wheels.glob("*.whl"))}
        manifest.files = {name: e for name, e in manifest.files.items() if not _is_in(WHEELS, name) or name in there}
        for name, path in there.items():
            if name not in manifest.files or path.name == own.name:
                manifest.record(name, path)
        manifest.write(out)

    collect(wheels, Requirement(install), target, pins, torch_index, log, saved)


def remove_stale_wheels(out: Path, manifest: Manifest, pins: dict[str, str] | None) -> None:
    """Remove wheels that are damaged, or whose version is not installed here. Without `pins`, remove all wheels."""
    place(out, f"{WHEELS}/arriving")
    shutil.rmtree(out / WHEELS / "arriving", ignore_errors=True)
    for path in (out / WHEELS).glob("*"):
        if not is_intact(out, manifest, f"{WHEELS}/{path.name}"):
            path.unlink()
            continue
        package, version, _, _ = parse_wheel_filename(path.name)
        if pins is None or package == canonicalize_name(PROJECT) or pins.get(package, version.public) != version.public:
            path.unlink()


def _without_user(url: str | None) -> str | None:
    """Return an address without user, password and query, which may be stored."""
    if url is None:
        return None
    return re.sub(r"(?<=://)\.\.\.@|[?#]\.\.\.$", "", redacted_url(url))


def _dry_run(out: Path, manifest: Manifest, log: LogLine) -> None:
    """Read the bundle as a run without internet would, except for the weights, so that mistakes show where they can be
    fixed."""
    paths = {name: str(out / str(part["path"])) for name, part in manifest.parts.items()}
    given = [f"{name}={path}" for name, path in paths.items()]
    if not given:
        return
    log(f"dry run: reading {', '.join(paths)} as without internet")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    command = [sys.executable, "-m", "distributed_tracer.ops.bundle.dry_run", *given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        message = redacted(done.stderr).strip().removeprefix("error: ")
        raise BundleError(f"what was bundled cannot be run: {message[-2000:]}")
    log(f"dry run: {done.stdout.strip()}")
