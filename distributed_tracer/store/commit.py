"""Commit: a part, or an index, begins to count. Only what is whole does, however long its writer was suspended.

`gc` takes what no commit names for what a crash left, once it is old; a writer that wakes up after that has a part that
is going, or gone. Both sides say first what they are about to do and look afterwards what the other has said: `gc` puts
REMOVAL into the folder, looks for a commit, and takes REMOVAL away last; here the commit is made, and then the folder
is looked at. Whatever the order, one of them sees the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import CommitRefused
from .places.root import Root

REMOVAL = ".removal.tmp"
"""In a folder that `gc` is about to remove. Readers pass over it."""


def commit(root: Root, key: str, document: bytes, folder: str, noted: Mapping[str, tuple[int, str]]) -> bytes:
    """Make the object `key`, which says that `folder` exists with the objects noted; what is there afterwards.

    Raises CommitRefused if the folder is not whole. The object is not there then, unless somebody else made it.
    """
    try:
        _check_whole(root, folder, noted)
        there = root.create(key, document)
        _check_whole(root, folder, noted)
    except CommitRefused:
        if root.read(key) == document:
            root.remove(key)
        raise
    return there


def _check_whole(root: Root, folder: str, noted: Mapping[str, tuple[int, str]]) -> None:
    there = root.listing(folder)
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
