"""AnnotationRecord: what one annotation says about one subject, with its author, its time and what it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .format.annotation import GROUPS, LABELS, Annotation, group_content
from .format.annotation_entry import ENTRY_KINDS
from .format.annotation_subject import Subject, parse_subject

ANNOTATION_KINDS = (LABELS, GROUPS, *ENTRY_KINDS)
"""The kinds of annotations that this program knows."""
GROUPS_KEYS = ("groups", "pins", "places")
"""What an annotation of groups says of a prompt."""


@dataclass(frozen=True)
class AnnotationRecord:
    """What one annotation says about one subject. Texts come from outside and may contain any character."""

    ref: str
    """Name by which an edit refers to it: that of its annotation, followed by `/` and the number of a label if the
    annotation holds many."""
    kind: str
    subject: Subject
    author: str
    created: str
    """ISO 8601, UTC."""
    number: int
    parents: tuple[str, ...]
    """The records that it was made from, and that it takes the place of: their `ref`."""
    content: Mapping[str, Any] | None
    """What it says; None for a removal. Of `labels` it has `text` and `source`, of `groups` `groups`, `pins` and
    perhaps `places`, of the other kinds the keys of FORMAT.md's entries."""
    current: bool = True
    """Whether nothing has taken its place."""
    restores: str | None = None
    """The record whose state it brings back, if it undoes something: its `ref`, empty for the time before anything was
    said; None if it undoes nothing."""

    @property
    def name(self) -> str:
        """Name of its annotation."""
        return self.ref.partition("/")[0]

    @property
    def is_edit(self) -> bool:
        """Whether its annotation says nothing else, as those that are written one edit at a time."""
        return "/" not in self.ref

    @property
    def order(self) -> tuple[int, str, str, int]:
        """What sorts records, the oldest first."""
        name, _, row = self.ref.partition("/")
        return self.number, self.created, name, int(row or 0)

    def to_json(self) -> dict[str, Any]:
        """Return the record in the types of JSON, for pages and other programs."""
        return {
            "ref": self.ref,
            "kind": self.kind,
            "subject": self.subject.to_json(),
            "author": self.author,
            "created": self.created,
            "parents": list(self.parents),
            "content": None if self.content is None else dict(self.content),
            "current": self.current,
            "restores": self.restores,
        }


def is_bulk(annotation: Annotation) -> bool:
    """Whether an annotation holds labels that were not written as one edit."""
    return annotation.kind == LABELS and "edit" not in annotation.content


def subjects_of(annotation: Annotation) -> Sequence[Subject]:
    """Return what an annotation of any kind but bulk labels is about; nothing for subjects that nobody here knows."""
    if annotation.kind == LABELS:
        edit = annotation.content["edit"]
        return [Subject.of_feature(edit["layer"], edit["feature"])]
    if annotation.kind == GROUPS:
        return [Subject.of_prompt(prompt["id"], prompt["asked"]) for prompt in annotation.content["prompts"]]
    subject = parse_subject(annotation.content["subject"])
    return [] if subject is None else [subject]


def records_of(annotation: Annotation, subject: Subject, gone: Gone) -> Iterator[AnnotationRecord]:
    """Yield what an annotation of any kind but bulk labels says about a subject."""
    parents = (*annotation.replaces, *(label_ref(name, row) for name, row in annotation.withdrawn))
    restores = annotation.content.get("restores")
    for content in _contents(annotation, subject):
        yield AnnotationRecord(
            annotation.name,
            annotation.kind,
            subject,
            annotation.author,
            annotation.created,
            annotation.number,
            parents,
            content,
            not gone.has(annotation, subject, content),
            restores,
        )


def bulk_record(annotation: Annotation, row: int, gone: Gone) -> AnnotationRecord:
    """Return one label of an annotation that holds many."""
    columns, name = annotation.content["labels"], annotation.name
    source = annotation.content["sources"][columns["source"][row]]
    return AnnotationRecord(
        label_ref(name, row),
        LABELS,
        Subject.of_feature(columns["layer"][row], columns["feature"][row]),
        annotation.author,
        annotation.created,
        annotation.number,
        (),
        {"text": columns["text"][row], "source": source},
        row not in gone.rows.get(name, ()) and (name, source) not in gone.subjects,
    )


@dataclass(frozen=True)
class Gone:
    """What no longer counts of the annotations of one kind, since others have taken its place."""

    subjects: set[tuple[str, str]] = field(default_factory=set)
    """Names of annotations, and subjects of these."""
    rows: dict[str, set[int]] = field(default_factory=dict)
    """Single labels, as the numbers of their rows, by the name of their annotation."""

    def add(self, annotation: Annotation) -> None:
        """Add what an annotation takes the place of."""
        self.subjects.update((other, subject) for other in annotation.replaces for subject in annotation.subjects)
        for other, row in annotation.withdrawn:
            self.rows.setdefault(other, set()).add(row)

    def has(self, annotation: Annotation, subject: Subject, content: Mapping[str, Any] | None) -> bool:
        """Whether what an annotation of any kind but bulk labels says about a subject no longer counts."""
        name = annotation.name
        if annotation.kind == GROUPS:
            return (name, subject.prompt) in self.subjects
        if annotation.kind != LABELS or content is None:  # a removal of labels goes with any of its sources
            return any((name, said) in self.subjects for said in annotation.subjects)
        return (name, content["source"]) in self.subjects or 0 in self.rows.get(name, ())


def label_ref(name: str, row: int) -> str:
    """Return how edits refer to one label of an annotation that holds many."""
    return f"{name}/{row}"


def _contents(annotation: Annotation, subject: Subject) -> Iterator[Mapping[str, Any] | None]:
    if annotation.kind == LABELS:
        label = next((label for _, _, label in annotation.labels()), None)
        yield None if label is None else {"text": label.text, "source": label.source}
    elif annotation.kind == GROUPS:
        for said in annotation.groups():
            if (said.prompt, said.asked) == (subject.prompt, subject.asked):
                (prompt,) = group_content([said])["prompts"]
                is_said = prompt["groups"] or prompt["pins"]
                yield {name: prompt[name] for name in GROUPS_KEYS if name in prompt} if is_said else None
    else:
        yield annotation.content["entry"]
