"""Verify: reads every object of a store, compares it with what is recorded about it, and lists all damage."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from ...errors import StoreCorrupt, StoreNotFound
from ..annotations import annotation_keys
from ..backend.base import Backend, Larger, key_batches
from ..commits import commit_names, parse_commit
from ..evaluations import check_keys, parse_check
from ..format.annotation import parse_annotation
from ..format.failure import parse_failure
from ..format.part_manifest import PartManifest
from ..format.run_file import parse_run
from ..format.run_record import parse_run_end, parse_run_record
from ..format.schema import COLUMNS, POINTER_COLUMN
from ..object_names import FAILURE_NAME, RUN, RUN_END_NAME, RUN_NAME
from ..part import Part
from ..read.prefetch import prefetch
from .damage import Damage, Verified
from .salvage import unreadable_rows
from .verify_index import check_indexes

_PARTS_AT_ONCE = 4
_EDGES_AT_ONCE = 1 << 20

Progress = Callable[[int, int], None]
"""A function that is called with the number of commits that are checked and the number of all commits."""


@dataclass(frozen=True)
class _Checked:
    """Result of checking one commit."""

    name: str
    manifest: PartManifest | None = None
    damage: Damage | None = None


def verify(root: Backend, progress: Progress | None = None) -> Verified:
    """Read everything that readers rely on and return what was found.

    Neither a part that no commit names nor an object that is no longer needed counts as damage. Raises StoreNotFound,
    StoreVersionError, StoreUnavailable; damage is not raised but returned.
    """
    damages = _check_run_json(root)
    index, of_index = check_indexes(root)
    names = commit_names(root)
    whole: set[str] = set()
    num_objects = num_bytes = 0
    checks = (partial(_check_commit, root, name) for name in names)
    for count, checked in enumerate(prefetch(checks, _PARTS_AT_ONCE), start=1):
        manifest = checked.manifest
        if checked.damage:
            damages.append(index.placed(checked.damage, checked.name) if index else checked.damage)
        if manifest:
            num_objects, num_bytes = num_objects + len(manifest.objects) + 1, num_bytes + manifest.num_bytes
            rows = checked.damage.whole if checked.damage else range(len(manifest.prompts))
            whole.update(manifest.prompts[row].id for row in rows)
            of_index += index.disagreement(checked.name, manifest) if index else []
        if progress:
            progress(count, len(names))
    if index:
        num_objects, num_bytes = num_objects + index.num_objects + 1, num_bytes + index.num_bytes
        of_index += index.gone(root, names)
    damages += [*of_index, *_check_records(root)]
    lost = {name for damage in damages for name in damage.prompts or ()} - whole
    return Verified(root.url, len(whole), num_objects, num_bytes, tuple(damages), tuple(sorted(lost)))


def _check_run_json(root: Backend) -> list[Damage]:
    try:
        data = root.read(RUN)
        if data is None:
            raise StoreNotFound(f"there is no store at {root.url}: it has no {RUN}")
        parse_run(data, root.url)
    except StoreCorrupt as error:
        return [Damage(RUN, (str(error),))]
    return []


def _check_commit(root: Backend, name: str) -> _Checked:
    """Check a commit and every object of its part.

    A commit that disappears meanwhile is not damage: somebody has cleaned the store.
    """
    key = f"commits/{name}"
    try:
        data = root.read(key)
        if data is None:
            is_there = name in commit_names(root)
            problem = f"{root.url}/{key} is listed but cannot be read"
            return _Checked(name, damage=Damage(key, (problem,), None) if is_there else None)
        manifest = parse_commit(root, name, data)
    except StoreCorrupt as error:
        return _Checked(name, damage=Damage(key, (str(error),), None))
    part = Part(root, manifest)
    damaged = part.objects.damaged()
    mismatch = None if damaged else _mismatch_with_commit(part)
    if not damaged and not mismatch:
        return _Checked(name, manifest)
    if root.read(key) is None:
        return _Checked(name)
    bad = unreadable_rows(part, damaged) if damaged else set(range(len(manifest.prompts)))
    ids = tuple(manifest.prompts[row].id for row in sorted(bad))
    whole = tuple(row for row in range(len(manifest.prompts)) if row not in bad)
    return _Checked(name, manifest, Damage(key, (mismatch,) if mismatch else tuple(damaged.values()), ids, whole))


def _mismatch_with_commit(part: Part) -> str | None:
    """Return how a commit contradicts its part, or what in the part cannot be decoded; None if all is well.

    All objects of the part already agree with their recorded hashes.
    """
    expected = part.manifest.objects
    try:
        part.head  # noqa: B018  reading it compares pointers, lengths and sizes
        for name in (POINTER_COLUMN.name, *COLUMNS):
            chunks = part.layout(name).chunks(slice(0, part.layout(name).num_rows)) if part.has(name) else []
            if absent := [chunk for chunk in chunks if f"{name}/{chunk}" not in expected]:
                return f"{part.objects.where}: {name}/{absent[0]} is not in its commit"
        for rows in _together(part.manifest):
            deque(part.graphs(rows), maxlen=0)
    except StoreCorrupt as error:
        return str(error)
    return None


def _together(manifest: PartManifest) -> Iterator[range]:
    """Yield ranges of prompts whose graphs are decoded together: at most `_EDGES_AT_ONCE` edges, or one prompt."""
    first = num_edges = 0
    for row, entry in enumerate(manifest.prompts):
        if row > first and num_edges + entry.num_edges > _EDGES_AT_ONCE:
            yield range(first, row)
            first, num_edges = row, 0
        num_edges += entry.num_edges
    if manifest.prompts:
        yield range(first, len(manifest.prompts))


def _check_records(root: Backend) -> Iterator[Damage]:
    """Yield the damage among failure records, run records, evaluation records and annotations."""
    failures = [f"failures/{name}" for name in root.list_dir("failures") if FAILURE_NAME.fullmatch(name)]
    named = root.list_dir("runs")
    runs = [f"runs/{name}" for name in named if RUN_NAME.fullmatch(name)]
    ends = [f"runs/{name}" for name in named if RUN_END_NAME.fullmatch(name)]
    for keys, parse in (
        (failures, parse_failure),
        (runs, parse_run_record),
        (ends, parse_run_end),
        (check_keys(root), parse_check),
        (annotation_keys(root), parse_annotation),
    ):
        for batch in key_batches(keys):
            larger: dict[str, Larger] = {}
            found = root.read_many(batch, larger=larger)
            for key, size in larger.items():
                yield Damage(key, (f"{root.url}/{key} has {size}; at most {size.most:,} are read",))
            for key, data in found.items():
                try:
                    parse(data, root.url, key)
                except StoreCorrupt as error:
                    yield Damage(key, (str(error),))
