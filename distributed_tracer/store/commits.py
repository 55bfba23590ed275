"""Commit: the step that makes a part or an index count. Only complete folders are committed.

`gc` treats a folder that no commit names as the remains of a crash, once it is old. A writer that was suspended for so
long may wake up and find its part being removed, or gone. Therefore both sides first announce what they are about to
do, and then look at what the other side has announced. `gc` puts REMOVAL into the folder, looks for a commit, and
removes REMOVAL last. The writer makes the commit and then looks at the folder. Whatever the order of these steps, at
least one side sees the other.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from ..errors import CommitRefused, StoreCorrupt
from .backend.base import Backend, key_batches
from .format.part_manifest import PartManifest
from .object_names import COMMIT_NAME, committed_part

REMOVAL = ".removal.tmp"
"""Name of an object in a folder that `gc` is about to remove. Readers ignore it."""


def commit(root: Backend, key: str, document: bytes, folder: str, expected: Mapping[str, tuple[int, str]]) -> bytes:
    """Create the object `key`, which makes `folder` count, and return the bytes that `key` has afterwards.

    `expected` gives the size and SHA-256 of each object in the folder. Raises CommitRefused if the folder is
    incomplete; `key` does not exist then, unless another process created it.
    """
    try:
        _check_whole(root, folder, expected)
        there = root.put_if_absent(key, document)
        _check_whole(root, folder, expected)
    except CommitRefused:
        if root.read(key) == document:
            root.remove(key)
        raise
    return there


def _check_whole(root: Backend, folder: str, expected: Mapping[str, tuple[int, str]]) -> None:
    there = root.list_all(folder)
    wrong = [key for key, (size, _) in expected.items() if _size(there, f"{folder}/{key}") != size]
    if not wrong and f"{folder}/{REMOVAL}" not in there:
        return
    what = "it is being removed"
    if wrong:
        what = f"{len(wrong)} of its {len(expected)} objects are not there as written, such as {wrong[0]}"
    raise CommitRefused(
        f"{root.url}/{folder} was written and must not count: {what}. `gc` removes what was not committed within its "
        "grace: was this process suspended? Nothing that was committed is concerned; the same command does it again, "
        "and after a `gc` that was stopped, run `gc` first."
    )


def _size(there: Mapping[str, object], key: str) -> int | None:
    return getattr(there.get(key), "num_bytes", None)


def read_commits(root: Backend, covered: Container[str] = ()) -> Iterator[tuple[str, PartManifest]]:
    """Yield name and part manifest of every commit except those in `covered`, in the order of names.

    The commits are read in batches. Raises StoreCorrupt if one of them cannot be read.
    """
    names = [name for name in commit_names(root) if name not in covered]
    for batch in key_batches(names):
        keys = {name: f"commits/{name}" for name in batch}
        found = root.read_many(list(keys.values()))
        if gone := [key for key in keys.values() if key not in found]:
            raise StoreCorrupt(f"{root.url}/{gone[0]} is listed but cannot be read ({len(gone)} such)")
        for name, key in keys.items():
            yield name, parse_commit(root, name, found[key])


def read_commit(root: Backend, name: str) -> PartManifest:
    """Return the part manifest of one commit. Raises StoreCorrupt, also if the commit no longer exists."""
    data = root.read(f"commits/{name}")
    if data is None:
        raise StoreCorrupt(f"{root.url}/commits/{name} is gone; if the store was cleaned meanwhile, open it again")
    return parse_commit(root, name, data)


def parse_commit(root: Backend, name: str, data: bytes) -> PartManifest:
    """Return the part manifest in the commit `name`.

    Raises StoreCorrupt, also if it is the manifest of another part.
    """
    manifest = PartManifest.from_json(data, f"{root.url}/commits/{name}")
    if manifest.part != committed_part(name):
        raise StoreCorrupt(f"{root.url}/commits/{name} is the commit of another part, {manifest.part}")
    return manifest


def commit_names(root: Backend) -> list[str]:
    """Return the file names of all commits, in their order."""
    return [name for name in root.list_dir("commits") if COMMIT_NAME.fullmatch(name)]
