"""gc: takes away what crashes left in a store and what was compacted, once it has been there for a while.

A part is written first and committed afterwards, so one without a commit may be a run's that is alive. Its newest
object tells, by the store's own clock; a copy that goes on writes one anew in each part. What is found is looked at
once more before it goes, and its writer is told first, lest it be committed at that very moment: see `store.commit`.
What is committed goes commit first: a crash leaves an orphan, and never a commit without a part.
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
    """Remove what nothing reads and nobody has written to for so many hours; what that was, or would be.

    Killed anywhere and called again, it goes on. Raises StoreNotFound, StoreVersionError, and StoreCorrupt where a
    commit cannot be read or a compacted part is not whole: then nothing is removed.
    """
    root = open_backend(url)
    read_run(root)
    before = _now(root, dry_run) - 3600 * grace_hours
    found = find_garbage(root, before)
    return found if dry_run else [one for one in found if remove_garbage(root, one, before)]


def find_garbage(root: Backend, before: float) -> list[UnreferencedObjects]:
    """What could be removed now, if nothing was written to it after `before` (seconds since 1970, the store's)."""
    there = root.list_all("")  # before the commits: what is committed meanwhile is then among them
    commits, indexes = dict(read_commits(root)), read_indexes(root, there)
    parts, groups = {receipt.part for receipt in commits.values()}, {index.group for index in indexes}
    if indexes:  # one whose commit is lost is damage, and no orphan
        parts |= {entry.part for entry in indexes[-1].catalogue.commits}
    found = [
        *superseded(root, indexes, commits, there, before),
        *unnamed_folders(there, "parts", parts),
        *unnamed_folders(there, "index", groups),
        *temporary_files(there, parts | groups),
    ]
    return [one for one in found if one.written <= before]


def remove_garbage(root: Backend, found: UnreferencedObjects, before: float) -> bool:
    """Remove it unless somebody has written to it or named it since it was found."""
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
    """The store's clock. Who may only read the store sees by the clock of this machine what would be removed."""
    try:
        return root.now()
    except StoreError:
        if not dry_run:
            raise
        return time.time()


def _is_named(root: Backend, key: str) -> bool:
    """Whether a commit or an index says, now, that a folder exists. Two commits may name one part."""
    folder, _, name = key.partition("/")
    if folder == "parts":
        return any(committed_part(commit) == name for commit in root.list_dir("commits"))
    return any(index.group == name for index in read_indexes(root, root.list_all("index")))
