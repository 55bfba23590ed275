"""Commit: a part, or an index, begins to count. Only what is whole does, however long its writer was suspended.

`gc` takes what no commit names for what a crash left, once it is old; a writer that wakes up after that has a part that
is going, or gone. Both sides say first what they are about to do and look afterwards what the other has said: `gc` puts
REMOVAL into the folder, looks for a commit, and takes REMOVAL away last; here the commit is made, and then the folder
is looked at. Whatever the order, one of them sees the other.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from ..errors import CommitRefused, StoreCorrupt
from .backend.base import Backend, key_batches
from .format.part_manifest import PartManifest
from .object_names import COMMIT_NAME, committed_part

REMOVAL = ".removal.tmp"
"""In a folder that `gc` is about to remove. Readers pass over it."""


def commit(root: Backend, key: str, document: bytes, folder: str, noted: Mapping[str, tuple[int, str]]) -> bytes:
    """Make the object `key`, which says that `folder` exists with the objects noted; what is there afterwards.

    Raises CommitRefused if the folder is not whole. The object is not there then, unless somebody else made it.
    """
    try:
        _check_whole(root, folder, noted)
        there = root.put_if_absent(key, document)
        _check_whole(root, folder, noted)
    except CommitRefused:
        if root.read(key) == document:
            root.remove(key)
        raise
    return there


def _check_whole(root: Backend, folder: str, noted: Mapping[str, tuple[int, str]]) -> None:
    there = root.list_all(folder)
    wrong = [key for key, (size, _) in noted.items() if _size(there, f"{folder}/{key}") != size]
    if not wrong and f"{folder}/{REMOVAL}" not in there:
        return
    what = "it is being removed"
    if wrong:
        what = f"{len(wrong)} of its {len(noted)} objects are not there as written, such as {wrong[0]}"
    raise CommitRefused(
        f"{root.url}/{folder} was written and must not count: {what}. `gc` removes what was not committed within its "
        "grace: was this process suspended? Nothing that was committed is concerned; the same command does it again, "
        "and after a `gc` that was stopped, run `gc` first."
    )


def _size(there: Mapping[str, object], key: str) -> int | None:
    return getattr(there.get(key), "num_bytes", None)


def read_commits(root: Backend, covered: Container[str] = ()) -> Iterator[tuple[str, PartManifest]]:
    """Name and receipt of every commit but those `covered`, in the order of names; some are read at once."""
    names = [name for name in commit_names(root) if name not in covered]
    for batch in key_batches(names):
        keys = {name: f"commits/{name}" for name in batch}
        found = root.read_many(list(keys.values()))
        if gone := [key for key in keys.values() if key not in found]:
            raise StoreCorrupt(f"{root.url}/{gone[0]} is listed but cannot be read ({len(gone)} such)")
        for name, key in keys.items():
            yield name, parse_commit(root, name, found[key])


def read_commit(root: Backend, name: str) -> PartManifest:
    """One commit's receipt. Raises StoreCorrupt, also if it is gone."""
    data = root.read(f"commits/{name}")
    if data is None:
        raise StoreCorrupt(f"{root.url}/commits/{name} is gone; if the store was cleaned meanwhile, open it again")
    return parse_commit(root, name, data)


def parse_commit(root: Backend, name: str, data: bytes) -> PartManifest:
    """The receipt in the commit `name`. Raises StoreCorrupt, also for another part's."""
    receipt = PartManifest.from_json(data, f"{root.url}/commits/{name}")
    if receipt.part != committed_part(name):
        raise StoreCorrupt(f"{root.url}/commits/{name} is the commit of another part, {receipt.part}")
    return receipt


def commit_names(root: Backend) -> list[str]:
    """File names of all commits, in their order."""
    return [name for name in root.list_dir("commits") if COMMIT_NAME.fullmatch(name)]
