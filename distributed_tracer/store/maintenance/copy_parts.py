"""Transfer: committed parts from one store into another, byte for byte, every object checked against its commit."""

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
"""Called with the bytes that are done and those to do in all."""

_PARTS_AT_ONCE = 4
_BATCH_BYTES = 16 << 20
"""Of one part in memory, or one object if that is larger: objects have two megabytes at most."""
_METADATA = "zarr.json"


@dataclass(frozen=True)
class PartCopy:
    """A part to take over: the source's commit, and the name of the target's."""

    commit: str
    receipt: PartManifest
    commit_there: str


def copy_parts(source: Backend, target: Backend, parts: Sequence[PartCopy], show: Show | None = None) -> None:
    """Copy parts and commit them in the order given, each after all of its objects and after those before it.

    Killed anywhere, the target has the first few; called again with the others, it goes on. Objects that are there
    already as committed stay. Raises StoreCorrupt for what does not agree with the source's commit.
    """
    total, done = sum(carried.receipt.num_bytes for carried in parts), 0
    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        copied = pool.map(lambda carried: _copy_part(source, target, carried.receipt), parts)
        for carried, _ in zip(parts, copied, strict=True):
            _commit(source, target, carried)
            done += carried.receipt.num_bytes
            if show:
                show(done, total)


def copy_objects(taken: CheckedObjects, written: CheckedObjects, target: Backend) -> None:
    """Every object of a folder that is not there yet as it was noted. Raises StoreCorrupt.

    The root's metadata are always written, and last: what `gc` goes by is how long ago that was.
    """
    there = target.list_all(written.folder)
    for keys in _batches(taken.noted):
        sized = [key for key in keys if f"{written.folder}/{key}" in there and key != _METADATA]
        intact = set(written.intact(sized))
        objects = taken.fetch([key for key in keys if key not in intact])
        target.put_many({f"{written.folder}/{key}": data for key, data in objects.items()})


def _copy_part(source: Backend, target: Backend, receipt: PartManifest) -> None:
    copy_objects(CheckedPartObjects(source, receipt), CheckedPartObjects(target, receipt), target)


def _batches(noted: Mapping[str, tuple[int, str]]) -> Iterator[list[str]]:
    """Keys of objects, so many at a time as may be in memory."""
    batch: list[str] = []
    num_bytes = 0
    for key in sorted(noted, key=lambda key: (key == _METADATA, key)):
        num_bytes += noted[key][0]
        if batch and num_bytes > _BATCH_BYTES:
            yield batch
            batch, num_bytes = [], noted[key][0]
        batch.append(key)
    if batch:
        yield batch


def _commit(source: Backend, target: Backend, carried: PartCopy) -> None:
    """The commit as the source has it: who made the part and when stays known."""
    data = source.read(f"commits/{carried.commit}")
    if data is None:
        raise StoreCorrupt(
            f"{source.url}/commits/{carried.commit} has gone while it was copied; run the same command again"
        )
    commit_part(target, carried.commit_there, data, carried.receipt)
