"""Undo: brings back what was said about a subject before; this is a new edit, and the history stays whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ConfigError, StoreError
from ..text import short
from .annotation_edits import Root, write_edit
from .annotation_log import open_log
from .annotation_record import AnnotationRecord
from .format.annotation_subject import Subject


def undo(
    root: Root, kind: str, subject: Subject, author: str = "", ref: str | None = None, retry_seconds: float = 0.0
) -> list[str]:
    """Bring back what was said about a subject before an edit that counts now; return the `ref` of what was written.

    The edit is the one with the name `ref` or else the latest of this author. Nothing is deleted: what comes back is a
    new edit, or several if the undone edit had brought several together. Undone again, it goes one edit further back.
    Raises ConfigError if there is no such edit, or if nothing was said before; StoreError if what was said before is
    not in this store.
    """
    cache = open_log(root, [kind])
    history = {record.ref: record for record in cache.history(kind, subject)}
    edit = _edit_to_undo(history, subject, author, ref)
    origin = _origin(history, edit)
    if origin is None or not (origin.is_edit or origin is edit):
        raise ConfigError(f"{subject} is as it was before its first edit: there is nothing more to undo")
    before = []
    for parent in origin.parents:
        if parent in history:
            before.append(history[parent])
        elif not cache.has(kind, parent.partition("/")[0]):
            raise StoreError(f"{parent}, from which this edit of {subject} was made, is not in {cache.root.url}")
    states = [(parent.content, parent.ref) for parent in before] or [(None, "")]
    return [
        write_edit(cache, kind, subject, content, author, [edit.ref], restores, retry_seconds)
        for content, restores in states
    ]


def restore(
    root: Root,
    kind: str,
    subject: Subject,
    ref: str,
    author: str = "",
    parents: Sequence[str] = (),
    retry_seconds: float = 0.0,
) -> str:
    """Say again what the record `ref` of a subject's history said, in place of `parents`; return the new `ref`."""
    cache = open_log(root, [kind])
    history = {record.ref: record for record in cache.history(kind, subject)}
    if ref not in history:
        raise ConfigError(f"nothing of the name {short(ref)} was said about {subject}")
    return write_edit(cache, kind, subject, history[ref].content, author, parents, ref, retry_seconds)


def _edit_to_undo(
    history: Mapping[str, AnnotationRecord], subject: Subject, author: str, ref: str | None
) -> AnnotationRecord:
    current = [record for record in history.values() if record.current]
    if ref is not None:
        if chosen := [record for record in current if record.ref == ref]:
            return chosen[0]
        raise ConfigError(f"{short(ref)} is no edit of {subject} that counts now")
    if own := [record for record in current if record.is_edit and record.author == author]:
        return own[-1]
    others = ", ".join(dict.fromkeys(short(record.author) for record in current if record.is_edit)) or "nobody"
    raise ConfigError(f"no edit of {subject} by {short(author)} counts now; the latest are by {others}")


def _origin(history: Mapping[str, AnnotationRecord], edit: AnnotationRecord) -> AnnotationRecord | None:
    """Return the record that said first what an edit says; None if it brought back that nothing was said.

    Raises StoreError if a record on the way is not in this store.
    """
    seen: set[str] = set()
    while edit.restores is not None:
        if edit.restores == "":
            return None
        if edit.restores not in history or edit.ref in seen:
            raise StoreError(f"{short(edit.restores)}, which {edit.ref} restores, is not in this store")
        seen.add(edit.ref)
        edit = history[edit.restores]
    return edit
