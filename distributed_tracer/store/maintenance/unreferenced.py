"""UnreferencedObjects: something in a store that nobody reads, and may be removed once it is old enough."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from ..backend.base import Backend, ObjectInfo
from ..commits import REMOVAL
from ..object_names import PART_NAME

Kind = Literal["part", "superseded", "index", "temporary"]

_AT_ONCE = 16
_FOLDERS = ("parts", "commits", "failures", "runs", "index", "checks")
_TEMPORARY = re.compile(r"\..*\.tmp")
_DOOMED = re.compile(r"(?:parts|index)/\..*\.tmp")
"""A folder under a temporary name: a removal that did not finish."""


@dataclass(frozen=True)
class UnreferencedObjects:
    """A folder with all of its objects, or a temporary file."""

    kind: Kind
    key: str
    num_objects: int
    num_bytes: int
    written: float
    """When the newest of its objects was written (seconds since 1970)."""
    named_by: str = ""
    """What says that it exists, if anything does: to be removed before it, so that a crash leaves an orphan."""


def garbage(kind: Kind, key: str, there: Mapping[str, ObjectInfo], named_by: str = "") -> UnreferencedObjects:
    """What is in a folder, or a file by itself, of the objects in a listing."""
    objects = {name: stamp for name, stamp in there.items() if name == key or name.startswith(f"{key}/")}
    # what somebody's gc has judged already is of no age
    is_judged = _DOOMED.fullmatch(key) or f"{key}/{REMOVAL}" in objects
    written = 0.0 if is_judged else max((stamp.written for stamp in objects.values()), default=0.0)
    num_objects = sum(1 for name in objects if not name.endswith("/"))
    return UnreferencedObjects(
        kind, key, num_objects, sum(stamp.num_bytes for stamp in objects.values()), written, named_by
    )


def orphans(root: Backend, committed: Iterable[str]) -> dict[str, dict[str, ObjectInfo]]:
    """Parts that no commit names, however young, with what is in them."""
    names = sorted(name for name in set(root.list_dir("parts")) - set(committed) if PART_NAME.fullmatch(name))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = pool.map(root.list_all, (f"parts/{name}" for name in names))
        found = dict(zip(names, listed, strict=True))
    return {name: objects for name, objects in found.items() if objects}  # some servers list folders that are gone


def unnamed_folders(
    there: Mapping[str, ObjectInfo], folder: Literal["parts", "index"], named: set[str]
) -> list[UnreferencedObjects]:
    """Parts or groups of indexes that are not `named`, and what is left of such."""
    own: dict[str, dict[str, ObjectInfo]] = {}
    for key, stamp in there.items():
        first, name = _folder_of(key)
        if first == folder and name not in named and (PART_NAME.fullmatch(name) or _TEMPORARY.fullmatch(name)):
            own.setdefault(name, {})[key] = stamp
    kind: Kind = "part" if folder == "parts" else "index"
    return [garbage(kind, f"{folder}/{name}", objects) for name, objects in own.items()]


def temporary_files(there: Mapping[str, ObjectInfo], kept: set[str]) -> list[UnreferencedObjects]:
    """Temporary files, those in the parts and groups that are `kept` too; others go with their folder."""
    found = []
    for key, stamp in there.items():
        first, name = _folder_of(key)
        place, slash, _ = key.partition("/")
        known = name in kept if first else place in _FOLDERS or not slash
        if known and _TEMPORARY.fullmatch(key.rpartition("/")[2]):
            found.append(garbage("temporary", key, {key: stamp}))
    return found


def _folder_of(key: str) -> tuple[str, str]:
    """The part or group of an index that an object is in, as `("parts", name)`; empty if it is in none."""
    first, *rest = key.split("/", 2)
    return (first, rest[0]) if first in ("parts", "index") and len(rest) == 2 else ("", "")
