"""copy_store: copies a store unchanged to another location: local to S3, S3 to local, or within either."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import StoreCorrupt
from ..backend.base import Backend
from ..backend.open import open_backend
from ..checked_objects import CheckedObjects
from ..commits import commit, read_commits
from ..format.run_file import read_run, settle_run
from ..index import Index, newest_index
from .copy_parts import PartCopy, Show, copy_objects, copy_parts
from .copy_records import copy_records
from .superseded import removable_commits


@dataclass(frozen=True)
class Copied:
    """Result of a copy: the parts copied, their bytes, the parts that existed, and parts that the source lacks."""

    num_parts: int
    num_bytes: int
    num_there: int
    num_beside: int


def copy_store(source: str, target: str, show: Show | None = None) -> Copied:
    """Copy everything that readers of a store read now; another call continues, and also copies what was added since.

    At every moment the target is a valid store with the first commits of the source. The index is copied last, and
    superseded parts are not copied. Raises StoreNotFound; StoreMismatch if the target is another store; StoreCorrupt
    for an object that does not agree with its commit.
    """
    here, there = open_backend(source), open_backend(target)
    settle_run(there, read_run(here), f"is no copy of {here.url}")
    index = newest_index(here)
    commits = dict(read_commits(here))
    superseded = {entry.name for entry in index.catalogue.superseded} if index else set()
    left_out = removable_commits(superseded, [index.catalogue], commits) if index else set()
    present = set(there.list_dir("commits"))
    wanted = {name: manifest for name, manifest in commits.items() if name not in left_out}
    missing = [PartCopy(name, manifest, name) for name, manifest in wanted.items() if name not in present]
    copy_parts(here, there, missing, show)
    if index:
        _copy_index(index, here, there)
    copy_records(here, there)
    return Copied(
        num_parts=len(missing),
        num_bytes=sum(part_copy.manifest.num_bytes for part_copy in missing),
        num_there=len(wanted) - len(missing),
        num_beside=len(present - superseded - commits.keys()),
    )


def _copy_index(index: Index, source: Backend, target: Backend) -> None:
    """Copy the index under its own number, unless the target has its own index of that number, which then counts."""
    key, folder = f"index/{index.name}", index.objects.folder
    if target.read(key) is not None:
        return
    copy_objects(
        index.objects, CheckedObjects(target, folder, index.objects.expected, f"{folder} of {target.url}"), target
    )
    document = source.read(key)
    if document is None:
        raise StoreCorrupt(f"{source.url}/{key} has gone while it was copied; run the same command again")
    commit(target, key, document, folder, index.objects.expected)
