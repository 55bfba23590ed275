"""Annotations: what people and programs say about features and graphs, stored beside the graphs as small objects.

An annotation never changes, and a new one may replace what earlier ones say, each named by a hash of its content. So
two writers at once lose nothing, a removal is a new annotation, and the objects are their own history.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from ..graph.labels import Label, Labels
from .backend.base import Backend, key_batches
from .backend.retry import retry_until
from .catalogue import Catalogue
from .format.annotation import (
    GROUPS,
    LABELS,
    Annotation,
    PromptGroups,
    group_content,
    label_content,
    parse_annotation,
)
from .format.checksummed_json import LARGEST
from .object_names import annotation_key, annotation_kind

OBJECT_BYTES = 1 << 23
"""Size in bytes from which on a writer begins another object; one entry may be larger."""
T = TypeVar("T")


def write_labels(
    root: Backend,
    rows: Iterable[tuple[int, int, Label]],
    author: str = "",
    replaces: Collection[str] = (),
    sources: Iterable[str] = (),
    retry_seconds: float = 0.0,
) -> list[str]:
    """Write labels, given as rows of layer, index and label, and return the keys of the new objects.

    What the annotations `replaces` say in the name of these rows' sources, or of `sources`, does not count any more;
    what they say in the name of other sources stays. A failed write is retried for `retry_seconds`.
    """
    given = list(dict.fromkeys(sources))
    return _write(root, LABELS, rows, lambda some: label_content(some, given), author, replaces, given, retry_seconds)


def write_groups(
    root: Backend,
    found: Iterable[PromptGroups],
    author: str = "",
    replaces: Collection[str] = (),
    retry_seconds: float = 0.0,
) -> list[str]:
    """Write groups and pins of any number of prompts, and return the keys of the new objects.

    What the annotations `replaces` say about one of these prompts does not count any more; what others say stays. A
    failed write is retried for `retry_seconds`.
    """
    return _write(root, GROUPS, found, group_content, author, replaces, (), retry_seconds)


def read_labels(root: Backend) -> Labels:
    """Return all labels that count, of each feature the oldest first. Raises StoreCorrupt."""
    return Labels.of(label for _, label in current_labels(root))


def current_labels(
    root: Backend, withdrawn: dict[tuple[int, int, Label], bool] | None = None
) -> Iterator[tuple[Annotation, tuple[int, int, Label]]]:
    """Yield each label that counts, as layer, index and label, with the annotation that says it; the oldest first.

    Labels that an edit has withdrawn go into `withdrawn`, with whether the other labels of their source there still
    count. Raises StoreCorrupt.
    """
    return counting_labels(read_annotations(root, LABELS), withdrawn)


def counting_labels(
    found: Sequence[Annotation], withdrawn: dict[tuple[int, int, Label], bool] | None = None
) -> Iterator[tuple[Annotation, tuple[int, int, Label]]]:
    """Yield each label that counts among all annotations of labels of a store, as `current_labels` does."""
    void, rows_withdrawn = void_subjects(found), withdrawn_rows(found)
    for annotation in found:
        name = annotation.name
        gone = {source for source in annotation.subjects if (name, source) in void}
        rows_gone = rows_withdrawn.get(name, ())
        for number, row in enumerate(annotation.labels()):
            if number in rows_gone:
                if withdrawn is not None:
                    withdrawn[row] = withdrawn.get(row, False) or row[2].source not in gone
            elif row[2].source not in gone:
                yield annotation, row


def read_groups(root: Backend, catalogue: Catalogue) -> dict[str, PromptGroups]:
    """Return what counts of groups and pins, by prompt. Raises StoreCorrupt.

    What several annotations say about a prompt is put together, the oldest first. Prompts that are not in the
    catalogue, or that ask something else there, are left out.
    """
    counting: dict[str, PromptGroups] = {}
    for _, said in current_groups(root, catalogue):
        counting[said.prompt] = together(counting.get(said.prompt), said)
    return counting


def current_groups(root: Backend, catalogue: Catalogue) -> Iterator[tuple[Annotation, PromptGroups]]:
    """Yield what counts of groups and pins, with the annotation that says it; the oldest first.

    Prompts that are not in the catalogue, or that ask something else there, are left out. Raises StoreCorrupt.
    """
    found = read_annotations(root, GROUPS)
    void = void_subjects(found)
    for annotation in found:
        for said in annotation.groups():
            number = catalogue.number_of.get(said.prompt)
            is_known = number is not None and catalogue.content_hashes[number] == said.asked
            if is_known and (annotation.name, said.prompt) not in void:
                yield annotation, said


def annotation_keys(root: Backend, kind: str | None = None) -> list[str]:
    """Return the keys of all annotations of one kind, for which one folder is listed, or of all kinds."""
    kinds = root.list_dir("annotations") if kind is None else [kind]
    keys = [f"annotations/{one}/{name}" for one in kinds for name in root.list_dir(f"annotations/{one}")]
    return [key for key in keys if annotation_kind(key)]


def read_annotations(root: Backend, kind: str) -> list[Annotation]:
    """Return all annotations of one kind, also those that others replace, the oldest first. Raises StoreCorrupt.

    An annotation is older if its number is lower; the clocks of the writers decide only between equal numbers.
    """
    found = []
    for batch in key_batches(annotation_keys(root, kind)):
        found += [parse_annotation(data, root.url, key) for key, data in root.read_many(batch).items()]
    return sorted(found, key=lambda annotation: (annotation.number, annotation.created, annotation.key))


def _write(
    root: Backend,
    kind: str,
    entries: Iterable[T],
    content_of: Callable[[Sequence[T]], dict[str, Any]],
    author: str,
    replaces: Collection[str],
    subjects: Collection[str],
    retry_seconds: float,
) -> list[str]:
    """Write entries as objects of bounded size."""
    batches = list(_batches(entries)) or ([[]] if subjects else [])
    if not batches:
        return []
    first = max((one.number for one in read_annotations(root, kind)), default=-1) + 1
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    keys = []
    for number, batch in enumerate(batches, start=first):
        written = Annotation(kind, author, created, min(number, LARGEST - 1), tuple(replaces), content_of(batch))
        data = written.to_json()
        key = annotation_key(kind, data)
        retry_until(partial(_create, root, key, data), retry_seconds)
        keys.append(key)
    return keys


def _create(root: Backend, key: str, data: bytes) -> None:
    root.put_if_absent(key, data)


def _batches(entries: Iterable[T]) -> Iterator[list[T]]:
    """Yield entries in lists that take about `OBJECT_BYTES` as JSON."""
    batch: list[T] = []
    num_bytes = 0
    for entry in entries:
        size = len(json.dumps(entry if isinstance(entry, tuple) else vars(entry)))
        if batch and num_bytes + size > OBJECT_BYTES:
            yield batch
            batch, num_bytes = [], 0
        batch.append(entry)
        num_bytes += size
    if batch:
        yield batch


def together(before: PromptGroups | None, said: PromptGroups) -> PromptGroups:
    """Return the groups and pins of both, each once; where both have a place of a node, the later one counts."""
    if before is None:
        return said
    groups, pins = dict.fromkeys((*before.groups, *said.groups)), dict.fromkeys((*before.pins, *said.pins))
    places = {one.node: one for one in (*before.places, *said.places)}
    return replace(said, groups=tuple(groups), pins=tuple(pins), places=tuple(places.values()))


def void_subjects(found: Iterable[Annotation]) -> set[tuple[str, str]]:
    """Return what does not count any more, as pairs of an annotation's name and a subject."""
    return {(name, subject) for one in found for name in one.replaces for subject in one.subjects}


def withdrawn_rows(found: Iterable[Annotation]) -> dict[str, set[int]]:
    """Return the single labels that do not count any more, as the numbers of their rows, by their annotation's name."""
    rows: dict[str, set[int]] = {}
    for one in found:
        for name, row in one.withdrawn:
            rows.setdefault(name, set()).add(row)
    return rows
