"""Files of annotations: JSON lines, each line the bytes of one annotation as a store holds it.

Names are hashes of these bytes, so an annotation has the same name in every store, and importing it again changes
nothing. What others have replaced goes along, so that it stays replaced, and as its history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..corpus.open_input import name_of, open_source, read_lines
from ..corpus.row import decode
from ..documents.json_text import parse_json
from ..errors import ConfigError, CorpusError
from ..export.atomic import check_file, new_file
from ..labels.in_store import bounds_check
from ..labels.label_file import Check
from ..store.annotation_log import AnnotationCache
from ..store.annotation_record import AnnotationRecord, is_bulk, subjects_of
from ..store.annotations import annotation_keys, void_subjects
from ..store.backend.base import Backend, key_batches
from ..store.format.annotation import GROUPS, LABELS, Annotation, load_annotation, parse_annotation
from ..store.format.annotation_entry import ENTRY_KINDS
from ..store.format.annotation_subject import FEATURE, Subject
from ..store.format.checksummed_json import MALFORMED
from ..store.maintenance.split_annotations import groups_part
from ..store.object_names import annotation_key, annotation_kind
from ..store.reader import Store
from ..text import printable, short
from .selection import EVERYTHING, Selection, check_conditions, prompt_misfit

MOST_REFUSED = 10_000
"""Number of lines that are no annotations after which a file is given up."""
_WRITTEN_AT_ONCE = 256
_BYTES_AT_ONCE = 1 << 25
_LONGEST_REASON = 500


class Line(NamedTuple):
    """A line of a file of annotations, and what is wrong with it."""

    line: int
    reason: str


@dataclass
class Imported:
    """What became of the annotations of a file."""

    name: str
    """Name of the file, without password and query."""
    num_added: int = 0
    num_there: int = 0
    """Number of annotations that the store had already."""
    refused: list[Line] = field(default_factory=list)
    """Lines that were not imported."""
    not_counting: list[Line] = field(default_factory=list)
    """Lines that were imported, although a part of what they say is about prompts that the store does not have."""


def write_annotation_file(store: Store, path: str | Path, selection: Selection = EVERYTHING) -> int:
    """Write the annotations of a store that meet the conditions to a file, and return their number.

    Without a condition on prompts, features or authors these are all annotations of the kind, with their history. With
    a prompt or a feature, annotations that say nothing else go whole, also those that were replaced; of others, a new
    annotation holds the part that counts. With an author only what counts goes. Raises ConfigError for a file that
    cannot be written or does not end in .jsonl, StoreCorrupt for a damaged annotation, and if nothing meets the
    conditions, PromptNotFound or ConfigError for a prompt or a feature that the store cannot have.
    """
    if Path(path).suffix != ".jsonl":
        raise ConfigError(f"annotations are written to a file that ends in .jsonl, not to {path}")
    check_file(Path(path))
    num_written = 0
    with new_file(Path(path)) as file:
        for data in _chosen(store.root, selection):
            if b"\n" in data or b"\r" in data:  # white space that other programs may write between the keys
                raise ConfigError(
                    "an annotation of another program has line breaks: only `copy` and `merge` take it along"
                )
            file.write(data + b"\n")
            num_written += 1
        if not num_written:
            check_conditions(store, selection)
    return num_written


def _chosen(root: Backend, selection: Selection) -> Iterator[bytes]:
    """Yield the bytes of the annotations that meet the conditions."""
    if selection.is_of_kind:
        for keys in key_batches(annotation_keys(root, selection.kind)):
            for key, data in root.read_many(keys).items():
                parse_annotation(data, root.url, key)
                yield data
        return
    cache = AnnotationCache(root)
    cache.refresh(selection.kinds)
    cache.check(selection.kinds)
    for kind in selection.kinds:
        whole, parts = _pieces(cache, kind, selection)
        for keys in key_batches(whole):
            yield from root.read_many(keys).values()
        yield from (part.to_json() for part in parts)


def _pieces(cache: AnnotationCache, kind: str, selection: Selection) -> tuple[list[str], list[Annotation]]:
    """Return the keys of the annotations that go whole, and new annotations with the parts of others."""
    found = cache.annotations(kind)
    void = void_subjects(found) if kind == GROUPS else set()
    whole, parts = list[str](), list[Annotation]()
    names: set[str] = set()
    for annotation in found:
        records = cache.records_in(annotation)
        about = [record for record in records if selection.is_about(record.subject)]
        said = [record for record in about if record.current]
        part: Annotation | None = None
        if selection.author not in (None, annotation.author):
            continue
        if selection.author is not None or is_bulk(annotation):
            part = _part(annotation, said, len(records))
        elif about:
            kept = {record.subject.prompt for record in about}
            part = groups_part(annotation, kept.__contains__, void) if kind == GROUPS else annotation
        if part is None and is_bulk(annotation) and selection.author is None and names & set(annotation.replaces):
            part = _part(annotation, [], -1)  # it removes what goes along
        if part is annotation:
            whole.append(annotation.key)
            names.add(annotation.name)
        elif part is not None:
            parts.append(part)
    return whole, parts


def _part(annotation: Annotation, said: Collection[AnnotationRecord], num_records: int) -> Annotation | None:
    """Return what an annotation says in these of its records; the annotation itself if these are all, None if it says
    nothing in them."""
    if num_records and len(said) == num_records:
        return annotation
    if not said and num_records >= 0:
        return None
    if annotation.kind == GROUPS:
        prompts = {record.subject.prompt for record in said}
        kept = [one for one in annotation.content["prompts"] if one["id"] in prompts]
        return replace(annotation, content={**annotation.content, "prompts": kept})
    rows = [int(record.ref.partition("/")[2]) for record in said]
    columns = {name: [column[row] for row in rows] for name, column in annotation.content["labels"].items()}
    return replace(annotation, content={**annotation.content, "labels": columns})


def read_annotation_file(store: Store, path: str) -> Imported:
    """Add the annotations of a file to a store that has the same prompts; those that it has already change nothing.

    Lines that are no annotations, or that are only about features or prompts that the store does not have, or about
    prompts that ask something else there, are not added; they are in `refused`. An open store does not see what was
    added. Raises CorpusError for a file that cannot be read, or with more than MOST_REFUSED such lines.
    """
    name, check, done = name_of(path), bounds_check(store), Imported(name_of(path))
    there, new, num_bytes = set(annotation_keys(store.root)), dict[str, bytes](), 0
    with open_source(path, "annotation") as file:
        for number, raw in read_lines(file, name, "annotation"):
            if not (data := raw.strip()):
                continue
            try:
                annotation = _annotation(data)
                reasons = _misfits(store, annotation, check)
            except (*MALFORMED, ConfigError) as error:
                done.refused.append(Line(number, _reason(error)))
                if len(done.refused) > MOST_REFUSED:
                    raise CorpusError(f"{name}: more than {MOST_REFUSED:,} lines are no annotations") from error
                continue
            done.not_counting += [Line(number, reason) for reason in reasons]
            if annotation.key in there:
                done.num_there += 1
                continue
            there.add(annotation.key)
            new[annotation.key] = data
            num_bytes += len(data)
            done.num_added += 1
            if len(new) >= _WRITTEN_AT_ONCE or num_bytes >= _BYTES_AT_ONCE:
                store.root.put_many(new)
                new, num_bytes = {}, 0
    store.root.put_many(new)
    return done


def _reason(error: Exception) -> str:
    """Return an error in one line of bounded length; the file may have any text in it."""
    kind = "" if isinstance(error, ValueError) else f"no annotation: {type(error).__name__}: "
    return f"{kind}{printable(str(error))}"[:_LONGEST_REASON]


def _annotation(data: bytes) -> Annotation:
    """Return the annotation in a line. Raises one of MALFORMED if there is none."""
    document = parse_json(decode(data), ValueError)
    if not isinstance(document, dict) or type(document.get("kind")) is not str:
        raise ValueError("no annotation: expected a JSON object with format, kind, author, created and sha256")
    key = annotation_key(document["kind"], data)
    if annotation_kind(key) != document["kind"]:
        raise ValueError(f"no kind of annotations: {short(document['kind'])}; expected lower-case letters and _")
    return load_annotation(data, key)


def _misfits(store: Store, annotation: Annotation, check: Check) -> list[str]:
    """Return what keeps parts of an annotation from counting in a store.

    Raises ConfigError if nothing of it would count, or if it is about features that the store cannot have.
    """
    if is_bulk(annotation):
        columns = annotation.content["labels"]
        for layer, feature in dict.fromkeys(zip(columns["layer"], columns["feature"], strict=True)):
            check(layer, feature)
        return []
    is_known = annotation.kind in (LABELS, GROUPS, *ENTRY_KINDS)
    subjects = subjects_of(annotation) if is_known else []
    reasons = [reason for subject in subjects if (reason := _misfit(store, subject, check))]
    if reasons and len(reasons) == len(subjects):
        raise ConfigError(reasons[0] if len(reasons) == 1 else f"{reasons[0]}, and likewise {len(reasons) - 1:,} more")
    return reasons


def _misfit(store: Store, subject: Subject, check: Check) -> str:
    """Return why a subject is none of a store; empty if it is one. Raises ConfigError for features out of range."""
    if subject.of == FEATURE:
        check(subject.layer, subject.feature)
    return prompt_misfit(store, subject)
