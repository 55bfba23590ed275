"""Copies committed parts from one store to another, byte for byte; every object is checked against its commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ...errors import StoreCorrupt
from ..backend.base import Backend
from ..checked_objects import CheckedObjects, CheckedPartObjects
from ..format.part_manifest import PartManifest
from ..ledger import commit_part

Show = Callable[[int, int], None]
"""A function that is called with the number of bytes copied and the total number of bytes."""

_PARTS_AT_ONCE = 4
_BATCH_BYTES = 16 << 20
"""Maximum number of bytes of one part in memory, or one object if it is larger: objects have two megabytes at most."""
_METADATA = "zarr.json"


@dataclass(frozen=True)
class PartCopy:
    """A part to copy: the name of its commit in the source, its manifest, and the name of its commit in the target."""

    commit: str
    manifest: PartManifest
    commit_there: str


def copy_parts(source: Backend, target: Backend, parts: Sequence[PartCopy], show: Show | None = None) -> None:
    """Copy parts and commit them in the given order, each after all of its objects and after the commits before it.

    If the copy is killed at any point, the target has the first few parts; another call with the others continues.
    Objects that the target already has as committed are kept. Raises StoreCorrupt for an object that does not agree
    with the source's commit.
    """
    total, done = sum(part_copy.manifest.num_bytes for part_copy in parts), 0
    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        copied = pool.map(lambda part_copy: _copy_part(source, target, part_copy.manifest), parts)
        for part_copy, _ in zip(parts, copied, strict=True):
            _commit(source, target, part_copy)
            done += part_copy.manifest.num_bytes
            if show:
                show(done, total)


def copy_objects(taken: CheckedObjects, written: CheckedObjects, target: Backend) -> None:
    """Copy every object of a folder that the target does not have as recorded. Raises StoreCorrupt.

    The root's metadata are always written, and last: `gc` decides by the time of that write.
    """
    there = target.list_all(written.folder)
    for keys in _batches(taken.expected):
        sized = [key for key in keys if f"{written.folder}/{key}" in there and key != _METADATA]
        intact = set(written.intact(sized))
        objects = taken.fetch([key for key in keys if key not in intact])
        target.put_many({f"{written.folder}/{key}": data for key, data in objects.items()})


def _copy_part(source: Backend, target: Backend, manifest: PartManifest) -> None:
    copy_objects(CheckedPartObjects(source, manifest), CheckedPartObjects(target, manifest), target)


def _batches(expected: Mapping[str, tuple[int, str]]) -> Iterator[list[str]]:
    """Yield keys of objects, as many at a time as may be in memory."""
    batch: list[str] = []
    num_bytes = 0
    for key in sorted(expected, key=lambda key: (key == _METADATA, key)):
        num_bytes += expected[key][0]
        if batch and num_bytes > _BATCH_BYTES:
            yield batch
            batch, num_bytes = [], expected[key][0]
        batch.append(key)
    if batch:
        yield batch


def _commit(source: Backend, target: Backend, part_copy: PartCopy) -> None:
    """Copy the commit unchanged from the source, so that it still says who made the part and when."""
    data = source.read(f"commits/{part_copy.commit}")
    if data is None:
        raise StoreCorrupt(
            f"{source.url}/commits/{part_copy.commit} has gone while it was copied; run the same command again"
        )
    commit_part(target, part_copy.commit_there, data, part_copy.manifest)
