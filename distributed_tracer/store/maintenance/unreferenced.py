"""UnreferencedObjects: something in a store that nobody reads, and that may be removed once it is old enough."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from ..backend.base import Backend, ObjectInfo
from ..commits import REMOVAL
from ..object_names import PART_NAME, file_of

Kind = Literal["part", "superseded", "index", "temporary"]

_AT_ONCE = 16
_FOLDERS = ("parts", "commits", "failures", "runs", "index", "checks", "annotations")
_TEMPORARY = re.compile(r"\..*\.tmp")
_DOOMED = re.compile(r"(?:parts|index)/\..*\.tmp")
"""A folder under a temporary name: the rest of a removal that did not finish."""


@dataclass(frozen=True)
class UnreferencedObjects:
    """A folder with all of its objects, or a temporary file."""

    kind: Kind
    key: str
    num_objects: int
    num_bytes: int
    written: float
    """Time when the newest of its objects was written (seconds since 1970)."""
    named_by: str = ""
    """Key of the object that names it, if any.

    That object is removed first, so that a crash leaves only unnamed objects.
    """


def garbage(kind: Kind, key: str, there: Mapping[str, ObjectInfo], named_by: str = "") -> UnreferencedObjects:
    """Return what a listing has under a folder, or a single file, as UnreferencedObjects."""
    objects = {name: info for name, info in there.items() if name == key or name.startswith(f"{key}/")}
    # what an earlier `gc` has already decided to remove counts as old
    is_judged = _DOOMED.fullmatch(key) or f"{key}/{REMOVAL}" in objects
    written = 0.0 if is_judged else max((info.written for info in objects.values()), default=0.0)
    num_objects = sum(1 for name in objects if not name.endswith("/"))
    return UnreferencedObjects(
        kind, key, num_objects, sum(info.num_bytes for info in objects.values()), written, named_by
    )


def orphans(root: Backend, committed: Iterable[str]) -> dict[str, dict[str, ObjectInfo]]:
    """Return the parts that no commit names, however recent, each with its objects."""
    names = sorted(name for name in set(root.list_dir("parts")) - set(committed) if PART_NAME.fullmatch(name))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = pool.map(root.list_all, (f"parts/{name}" for name in names))
        found = dict(zip(names, listed, strict=True))
    return {name: objects for name, objects in found.items() if objects}  # some servers list removed folders


def unnamed_folders(
    there: Mapping[str, ObjectInfo], folder: Literal["parts", "index"], named: set[str]
) -> list[UnreferencedObjects]:
    """Return the parts, or the groups of indexes, that are not in `named`, and what is left of removed ones."""
    own: dict[str, dict[str, ObjectInfo]] = {}
    for key, info in there.items():
        first, name = _folder_of(key)
        if first == folder and name not in named and (PART_NAME.fullmatch(name) or _TEMPORARY.fullmatch(name)):
            own.setdefault(name, {})[key] = info
    kind: Kind = "part" if folder == "parts" else "index"
    return [garbage(kind, f"{folder}/{name}", objects) for name, objects in own.items()]


def temporary_files(there: Mapping[str, ObjectInfo], kept: set[str]) -> list[UnreferencedObjects]:
    """Return temporary files, also those in the parts and groups in `kept`; others are removed with their folder."""
    found = []
    for key, info in there.items():
        first, name = _folder_of(key)
        place, slash, _ = key.partition("/")
        known = name in kept if first else place in _FOLDERS or not slash
        if known and _TEMPORARY.fullmatch(file_of(key)):
            found.append(garbage("temporary", key, {key: info}))
    return found


def _folder_of(key: str) -> tuple[str, str]:
    """Return the part or index group that an object is in, as `("parts", name)`; empty strings if it is in none."""
    first, *rest = key.split("/", 2)
    return (first, rest[0]) if first in ("parts", "index") and len(rest) == 2 else ("", "")
