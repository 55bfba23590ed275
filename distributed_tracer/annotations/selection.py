"""Selection: which annotations of a store are meant, and their records as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..graph.labels import Site
from ..labels.in_store import bounds_check
from ..names import unknown
from ..store.annotation_log import AnnotationCache
from ..store.annotation_record import ANNOTATION_KINDS, AnnotationRecord
from ..store.format.annotation import GROUPS, LABELS
from ..store.format.annotation_entry import NOTES, RESULTS, VIEWS
from ..store.format.annotation_subject import FEATURE, STORE, Subject
from ..store.reader import Store
from ..table import Table
from ..text import counted, listed, short

_SHOWN = 60
_FEATURE_NODE = "feature"


@dataclass(frozen=True)
class Selection:
    """Conditions on annotations, all of which must hold. Raises ConfigError for an unknown kind."""

    kind: str | None = None
    prompt: str | None = None
    """Id of a prompt: what is said about it, and about the nodes and edges of its graph."""
    feature: Site | None = None
    """A feature: what is said about it, and about nodes and edges that have it."""
    author: str | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in ANNOTATION_KINDS:
            raise ConfigError(unknown("kind of annotations", self.kind, ANNOTATION_KINDS, quoted=True))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that can meet the conditions."""
        return ANNOTATION_KINDS if self.kind is None else (self.kind,)

    @property
    def is_of_kind(self) -> bool:
        """Whether every annotation of the kind meets the conditions."""
        return self == Selection(self.kind)

    def is_about(self, subject: Subject) -> bool:
        """Whether a subject meets the conditions."""
        if self.prompt is not None and subject.prompt != self.prompt:
            return False
        return self.feature is None or self.feature in features_of(subject)

    def has(self, record: AnnotationRecord) -> bool:
        """Whether a record meets the conditions."""
        return record.kind in self.kinds and self.author in (None, record.author) and self.is_about(record.subject)


def features_of(subject: Subject) -> set[Site]:
    """Return the features that a subject is, or that its nodes are."""
    if subject.of == FEATURE:
        return {(subject.layer, subject.feature)}
    return {(node.layer, node.feature) for node in subject.nodes if node.kind == _FEATURE_NODE}


def selected(cache: AnnotationCache, selection: Selection, history: bool = False) -> Iterator[AnnotationRecord]:
    """Yield the records that meet the conditions, by kind, the oldest first: what counts or, with `history`, all."""
    for kind in selection.kinds:
        is_feature = kind == LABELS and selection.feature is not None
        subject = Subject.of_feature(*selection.feature) if is_feature and selection.feature else None
        for record in cache.history(kind, subject) if history else cache.heads(kind, subject):
            if selection.has(record):
                yield record


def prompt_misfit(store: Store, subject: Subject) -> str:
    """Return why what is said about a subject does not count in a store: it has no such prompt, or one that asks
    something else. Empty if it counts."""
    if subject.of in (FEATURE, STORE):
        return ""
    number = store.catalogue.number_of.get(subject.prompt)
    if number is None:
        return f"no prompt {short(subject.prompt)} in {store.url}"
    if store.catalogue.content_hashes[number] != subject.asked:
        return f"prompt {short(subject.prompt)} asks for other tokens or targets in {store.url}"
    return ""


def check_conditions(store: Store, selection: Selection) -> None:
    """Raise PromptNotFound or ConfigError for a prompt or a feature that a store cannot have.

    Called if nothing met the conditions: a store may have annotations of prompts that it does not have.
    """
    if selection.prompt is not None:
        store.entry(selection.prompt)
    if selection.feature is not None:
        bounds_check(store)(*selection.feature)


def records_table(records: Sequence[AnnotationRecord], history: bool = False) -> Table:
    """Return records as a table of text, with `history` also whether they count, and their names."""
    columns = {
        "kind": [record.kind for record in records],
        "subject": [str(record.subject) for record in records],
        "author": [record.author for record in records],
        "created": [record.created[:19] for record in records],
        "text": [content_text(record) for record in records],
    }
    if history:
        columns |= {"counts": ["yes" if record.current else "no" for record in records]}
        columns |= {"name": [record.ref for record in records]}
    return Table(columns)


def content_text(record: AnnotationRecord) -> str:
    """Return what a record says in one line, without control characters."""
    said = record.content
    if said is None:
        return "(removed)"
    if record.kind == GROUPS:
        names = listed([group["name"] for group in said["groups"]])
        groups = [f"{counted(len(said['groups']), 'group')}: {names}"] if said["groups"] else []
        return "; ".join([*groups, *([counted(len(said["pins"]), "pin")] if said["pins"] else [])])
    return _entry_text(record.kind, said)


def _entry_text(kind: str, said: Mapping[str, Any]) -> str:
    if kind == LABELS:
        return f"{short(said['text'], _SHOWN)} ({short(said['source'])[1:-1]})"
    if kind == NOTES:
        return short(said["text"], _SHOWN)
    if kind == VIEWS:
        return f"{short(said['name'])}: {said['address']}"
    if kind == RESULTS:
        return short(said["name"])
    return f"{said['verdict']}: {short(said['text'])}" if said["text"] else str(said["verdict"])


EVERYTHING = Selection()
