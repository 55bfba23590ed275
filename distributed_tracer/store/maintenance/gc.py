"""gc: removes what crashes left in a store, and what a compaction superseded, once it is old enough.

A part is written first and committed afterwards, so a part without a commit may belong to a run that is alive. The age
of its newest object tells, measured by the store's own clock; a copy that is resumed writes one object of each part
anew. Before something is removed, it is looked at once more, and its writer is warned first, so that it is not
committed at that very moment: see `store/commits.py`. Of committed parts the commit is removed first: a crash then
leaves a part without a commit, and never a commit without a part.
"""

from __future__ import annotations

import time

from ...errors import StoreError
from ..backend.base import Backend
from ..backend.open import open_backend
from ..commits import REMOVAL, read_commits
from ..format.run_file import read_run
from ..object_names import committed_part
from .superseded import read_indexes, superseded
from .unreferenced import UnreferencedObjects, garbage, temporary_files, unnamed_folders


def collect_garbage(url: str, grace_hours: float = 24.0, dry_run: bool = False) -> list[UnreferencedObjects]:
    """Remove everything that nothing reads and nobody has written to for `grace_hours`.

    Return what was removed, or what would be removed in a dry run. If it is killed at any point, another call
    continues. Raises StoreNotFound, StoreVersionError, and StoreCorrupt if a commit cannot be read or a compacted part
    is incomplete; nothing is removed then.
    """
    root = open_backend(url)
    read_run(root)
    before = _now(root, dry_run) - 3600 * grace_hours
    found = find_garbage(root, before)
    return found if dry_run else [one for one in found if remove_garbage(root, one, before)]


def find_garbage(root: Backend, before: float) -> list[UnreferencedObjects]:
    """Return what could be removed now.

    A folder is kept if any object in it was written after `before` (seconds since 1970, by the store's clock).
    """
    there = root.list_all("")  # listed before the commits are read, so that commits made meanwhile are among these
    commits, indexes = dict(read_commits(root)), read_indexes(root, there)
    parts, groups = {manifest.part for manifest in commits.values()}, {index.group for index in indexes}
    if indexes:  # a part that the index names and whose commit is lost is damage, not garbage
        parts |= {entry.part for entry in indexes[-1].catalogue.commits}
    found = [
        *superseded(root, indexes, commits, there, before),
        *unnamed_folders(there, "parts", parts),
        *unnamed_folders(there, "index", groups),
        *temporary_files(there, parts | groups),
    ]
    return [one for one in found if one.written <= before]


def remove_garbage(root: Backend, found: UnreferencedObjects, before: float) -> bool:
    """Remove what was found, unless somebody has written to it or named it since; return whether it was removed."""
    if found.kind == "temporary":
        root.remove(found.key)
        return True
    if garbage(found.kind, found.key, root.list_all(found.key)).written > before:
        return False
    root.put(f"{found.key}/{REMOVAL}", b"")
    if found.named_by:
        root.remove(found.named_by)
    if _is_named(root, found.key):
        root.remove(f"{found.key}/{REMOVAL}")
        return False
    root.remove_folder(found.key)
    return True


def _now(root: Backend, dry_run: bool) -> float:
    """Return the time of the store's clock.

    A dry run without permission to write uses the clock of this machine instead.
    """
    try:
        return root.now()
    except StoreError:
        if not dry_run:
            raise
        return time.time()


def _is_named(root: Backend, key: str) -> bool:
    """Whether a commit or an index names a folder at this moment. Two commits may name the same part."""
    folder, _, name = key.partition("/")
    if folder == "parts":
        return any(committed_part(commit) == name for commit in root.list_dir("commits"))
    return any(index.group == name for index in read_indexes(root, root.list_all("index")))
