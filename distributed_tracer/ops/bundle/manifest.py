"""Manifest: manifest.json lists the files of a bundle with their sizes and SHA-256 hashes.

It is written first and after each step, so that it also marks a directory as a bundle and tells a second run which
files are complete. `install_offline.sh` reads it too: change both together.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any

from ... import __version__
from ...documents.json_text import parse_json
from ...documents.text import MAX_INDEX_BYTES, read_text, shortened
from ...errors import BundleError
from ...names import is_elsewhere
from ...text import printable

NAME = "manifest.json"
WHEELS = "wheels"
_FORMAT = 1
_CHUNK_BYTES = 2**20
_KINDS: dict[str, Any] = {
    "project_version": str,
    "complete": bool,
    "packages": dict | None,
    "parts": dict,
    "files": dict,
}
_LONGEST = 200


@dataclass
class Manifest:
    """Entries of manifest.json."""

    project_version: str = __version__
    complete: bool = False
    """Whether `bundle` finished."""
    packages: dict[str, Any] | None = None
    """Target of the wheels and how they were chosen: python, platforms, install, pins, torch_index."""
    parts: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Path in the bundle, origin and revision of each of model, transcoders and prompts."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`sha256` and `bytes` of each file, by its path in the bundle."""

    def write(self, bundle: Path) -> None:
        """Write manifest.json, replacing the old file atomically."""
        text = json.dumps({"format": _FORMAT, **asdict(self)}, indent=1, sort_keys=True)
        fresh = bundle / f"{NAME}.part"
        fresh.unlink(missing_ok=True)  # opening a link would write to its target
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(bundle / NAME)

    def record(self, name: str, path: Path) -> None:
        self.files[name] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}


def read_manifest(bundle: Path) -> Manifest:
    """Return the manifest of a bundle. Raises BundleError if there is none, or one that this version does not know."""
    path = bundle / NAME
    if not path.exists():
        raise BundleError(f"{bundle} is no bundle: there is no {NAME} in it")
    text = read_text(path, BundleError, MAX_INDEX_BYTES)
    try:
        found = parse_json(text, BundleError)
    except BundleError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.pop("format", None) != _FORMAT:
        raise BundleError(f"{path} is not of format {_FORMAT}, the one that version {__version__} knows")
    if strange := [key for key in found if key not in _KINDS] or [
        key for key, value in found.items() if not isinstance(value, _KINDS[key])
    ]:
        raise BundleError(f"{path} is malformed: {shortened(strange[0])} is {shortened(found[strange[0]])}")
    manifest = Manifest(**found)
    if wrong := [part for part, entry in manifest.parts.items() if not isinstance(entry, dict) or "path" not in entry]:
        raise BundleError(f"{path} is malformed: part {shortened(wrong[0])} is {shortened(manifest.parts[wrong[0]])}")
    if wrong := [name for name, entry in manifest.files.items() if not _is_entry(entry)]:
        raise BundleError(f"{path} is malformed: {shortened(wrong[0])} is {shortened(manifest.files[wrong[0]])}")
    names = [*manifest.files, *(part["path"] for part in manifest.parts.values())]
    if outside := [name for name in names if is_elsewhere(name)]:
        raise BundleError(
            f"{path} names {shortened(outside[0])}, which may be outside the bundle: it was not made by `bundle`"
        )
    return manifest


def _is_entry(entry: object) -> bool:
    """Whether a value is an entry of `files`: the hash and the size of a file."""
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        return False
    return type(num_bytes := entry.get("bytes")) is int and 0 <= num_bytes < 2**63


def place(bundle: Path, name: str) -> Path:
    """Return the path of a file of the bundle that is to be written or removed.

    Raises BundleError if the path leads outside the bundle.
    """
    path = bundle / name
    if is_elsewhere(name) or not path.parent.resolve().is_relative_to(bundle.resolve()):
        raise BundleError(
            f"{shortened(name)} is not in {bundle}, but behind a symbolic link or another name: nothing was done"
        )
    return path


def verify(bundle: Path) -> Manifest:
    """Check every file of a bundle, and return its manifest.

    Raises BundleError if the bundle is incomplete or damaged; the message names the first wrong file.
    """
    manifest = read_manifest(bundle)
    wrong = problems(bundle, manifest)
    if wrong:
        more = f", and {len(wrong) - 1} more files are wrong" if len(wrong) > 1 else ""
        raise BundleError(f"{bundle}: {wrong[0]}{more}; copy the bundle again, or make it again by the same command")
    if not manifest.complete:
        raise BundleError(f"{bundle} is not finished: run the same `distributed-tracer bundle` again")
    return manifest


def summary(manifest: Manifest) -> str:
    """Return the number of files and their size as text."""
    return f"{len(manifest.files):,} files, {sum(entry['bytes'] for entry in manifest.files.values()) / 1e6:,.1f} MB"


def problems(bundle: Path, manifest: Manifest) -> list[str]:
    """Return what is wrong with each file, sorted by name.

    Wheels that the manifest does not list are wrong too, because pip might install them.
    """
    found = {name: _problem(bundle / name, entry) for name, entry in manifest.files.items()}
    for path in (bundle / WHEELS).glob("*"):
        if (name := f"{WHEELS}/{path.name}") not in manifest.files:
            found[name] = f"is not in {NAME}"
    return [f"{printable(name[:_LONGEST])} {what}" for name, what in sorted(found.items()) if what]


def _problem(path: Path, entry: dict[str, Any]) -> str | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return "is missing"
    if not S_ISREG(found.st_mode):
        return "is no file"
    if (num_bytes := found.st_size) != entry["bytes"]:
        return f"is damaged: it has {num_bytes:,} bytes, not {entry['bytes']:,}"
    return None if sha256_of(path) == entry["sha256"] else "is damaged: its SHA-256 is another"


def is_intact(bundle: Path, manifest: Manifest, name: str) -> bool:
    """Whether a file matches its entry in the manifest."""
    return name in manifest.files and _problem(bundle / name, manifest.files[name]) is None


def sha256_of(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()
