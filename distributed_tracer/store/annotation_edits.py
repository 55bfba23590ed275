"""Edits of annotations: each is one small object about one subject that names what it was made from.

So two people at once lose nothing: both of their edits count. Removing and undoing are edits, too; nothing is deleted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ..errors import ConfigError, StoreCorrupt
from ..graph.context import Group, NodeKey
from ..graph.labels import Label
from ..text import printable, short
from .annotation_log import AnnotationCache, open_log
from .annotation_record import GROUPS_KEYS, AnnotationRecord
from .backend.base import Backend
from .backend.retry import retry_until
from .format.annotation import (
    GROUPS,
    LABELS,
    Annotation,
    Place,
    PromptGroups,
    group_content,
    label_content,
    parse_annotation,
)
from .format.annotation_entry import (
    LONGEST_NAME,
    LONGEST_NOTE,
    MOST_ENTRY_BYTES,
    NOTES,
    RESULTS,
    VERDICTS,
    VIEWS,
    check_address,
)
from .format.annotation_subject import FEATURE, NODES, PROMPT, STORE, Subject
from .format.checksummed_json import LARGEST
from .object_names import annotation_key

Root = Backend | AnnotationCache
"""Where to write: a store, whose annotations of that kind are then read, or a cache of it, which has read them."""
ACCEPTED, REFUSED = "accepted", "refused"
LONGEST_LABEL = 4_000
"""Largest number of characters of a label."""
_NOT_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


def write_label_edit(
    root: Root,
    layer: int,
    feature: int,
    text: str | None,
    author: str = "",
    source: str | None = None,
    parents: Sequence[str] = (),
    retry_seconds: float = 0.0,
) -> str:
    """Write a label of one feature in place of `parents`, or remove these if `text` is None; return its `ref`.

    `source` says who says so (default: the author, or `unknown`). `parents` are the `ref` of what the writer saw and
    means to replace: of a label from a file only that label goes, not the others of its source. Raises ConfigError for
    a text that is empty or too long, and for parents that say nothing about this feature.
    """
    if text is not None:
        _check_text("a label", text, LONGEST_LABEL, _NOT_IN_LINES)
    said = (author or "unknown") if source is None else source
    _check_text("a source", said, LONGEST_NAME, _NOT_IN_NAMES)
    content = None if text is None else {"text": text, "source": said}
    return write_edit(root, LABELS, Subject.of_feature(layer, feature), content, author, parents, None, retry_seconds)


def write_groups_edit(
    root: Root,
    prompt: str,
    asked: str,
    groups: Iterable[Group],
    pins: Iterable[NodeKey],
    author: str = "",
    parents: Sequence[str] = (),
    retry_seconds: float = 0.0,
    places: Iterable[Place] = (),
) -> str:
    """Write all groups and pins of one prompt in place of `parents`; return the new `ref`. None of both removes them.

    `asked` is what the prompt asks, as in the catalogue; `places` is where a diagram has some of the nodes and
    groups. Of two edits at once both count, and the groups and pins of a prompt are those of both.
    """
    (said,) = group_content([PromptGroups(prompt, asked, tuple(groups), tuple(pins), tuple(places))])["prompts"]
    content = {name: said[name] for name in GROUPS_KEYS if name in said}
    is_said = content["groups"] or content["pins"]
    subject = Subject.of_prompt(prompt, asked)
    return write_edit(root, GROUPS, subject, content if is_said else None, author, parents, None, retry_seconds)


def write_note(
    root: Root,
    subject: Subject,
    text: str | None,
    author: str = "",
    parents: Sequence[str] = (),
    retry_seconds: float = 0.0,
) -> str:
    """Write a note about a store, a prompt, a node, an edge or a feature in place of `parents`, or remove these if
    `text` is None; return its `ref`. A note may have line breaks and tabs, and no other control characters."""
    if text is not None:
        text = text.replace("\r\n", "\n")
        _check_text("a note", text, LONGEST_NOTE, _NOT_IN_LINES)
    content = None if text is None else {"text": text}
    return write_edit(root, NOTES, subject, content, author, parents, None, retry_seconds)


def write_view(
    root: Root,
    name: str | None,
    address: str,
    author: str = "",
    prompt: tuple[str, str] | None = None,
    parents: Sequence[str] = (),
    retry_seconds: float = 0.0,
) -> str:
    """Write a saved view of a page in place of `parents`, or remove these if `name` is None; return its `ref`.

    `address` is relative, such as `graph?prompt=a&pins=...`: it names no scheme and no host. `prompt` is the id of the
    prompt that the view shows, and what it asks; without it, the view is one of the store.
    """
    content = None
    if name is not None:
        _check_text("the name of a view", name, LONGEST_NAME, _NOT_IN_NAMES)
        try:
            check_address(address)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        content = {"name": name, "address": address}
    subject = Subject.of_store() if prompt is None else Subject.of_prompt(*prompt)
    return write_edit(root, VIEWS, subject, content, author, parents, None, retry_seconds)


def write_result(
    root: Root,
    prompt: str,
    asked: str,
    name: str | None,
    result: Mapping[str, Any],
    author: str = "",
    parents: Sequence[str] = (),
    retry_seconds: float = 0.0,
) -> str:
    """Write a result beside a prompt's graph, such as that of an intervention, in place of `parents`, or remove these
    if `name` is None; return its `ref`. `result` is a JSON object of at most 4 MiB."""
    content = None
    if name is not None:
        _check_text("the name of a result", name, LONGEST_NAME, _NOT_IN_NAMES)
        content = {"name": name, "result": dict(result)}
    return write_edit(root, RESULTS, Subject.of_prompt(prompt, asked), content, author, parents, None, retry_seconds)


def write_verdict(
    root: Root,
    prompt: str,
    asked: str,
    nodes: Iterable[NodeKey],
    verdict: str | None,
    text: str = "",
    author: str = "",
    parents: Sequence[str] = (),
    retry_seconds: float = 0.0,
) -> str:
    """Write that a suggested supernode of these nodes is `accepted` or `refused`, perhaps with a reason, in place of
    `parents`, or remove these if `verdict` is None; return its `ref`."""
    content = None
    if verdict is not None:
        if verdict not in (ACCEPTED, REFUSED):
            raise ConfigError(f"a verdict is {ACCEPTED!r} or {REFUSED!r}, not {short(verdict)}")
        _check_text("a reason", text, LONGEST_NOTE, _NOT_IN_LINES, may_be_empty=True)
        content = {"verdict": verdict, "text": text}
    subject = Subject.of_nodes(prompt, asked, nodes)
    return write_edit(root, VERDICTS, subject, content, author, parents, None, retry_seconds)


def write_edit(
    root: Root,
    kind: str,
    subject: Subject,
    content: Mapping[str, Any] | None,
    author: str,
    parents: Collection[str],
    restores: str | None,
    retry_seconds: float,
) -> str:
    """Write what is said about a subject in place of `parents`, or remove these if `content` is None; return the new
    `ref`. `restores` is the `ref` of the record whose state the edit brings back, if it undoes something."""
    _check_text("an author", author, LONGEST_NAME, _NOT_IN_NAMES, may_be_empty=True)
    _check_subject(kind, subject)
    cache = open_log(root, [kind])
    history = {record.ref: record for record in cache.history(kind, subject)} if parents else {}
    if strangers := [parent for parent in parents if parent not in history]:
        raise ConfigError(f"nothing of the name {short(strangers[0])} was said about {subject}: read it again")
    if content is None and not parents:
        raise ConfigError(f"nothing to remove: no earlier annotation of {subject} is named")
    replaced = [history[parent] for parent in dict.fromkeys(parents)]
    body = _body(cache, kind, subject, content, replaced)
    if restores is not None:
        body["restores"] = restores
    edit = Annotation(
        kind,
        author,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
        min(cache.next_number(kind), LARGEST - 1),
        tuple(record.ref for record in replaced if record.is_edit),
        body,
    )
    written, data = _encoded(edit)
    retry_until(partial(_create, cache.root, written.key, data), retry_seconds)
    cache.add(written)
    return written.name


def _create(root: Backend, key: str, data: bytes) -> None:
    root.put_if_absent(key, data)


def _body(
    cache: AnnotationCache,
    kind: str,
    subject: Subject,
    content: Mapping[str, Any] | None,
    replaced: Sequence[AnnotationRecord],
) -> dict[str, Any]:
    """Return the keys of an edit that depend on its kind."""
    if kind == LABELS:
        labels = [] if content is None else [Label(content["text"], content["source"])]
        # readers that know no edits ask whether a replaced annotation and this one share a source
        shared = [source for record in replaced for source in _sources(cache, record)]
        rows = [(subject.layer, subject.feature, label) for label in labels]
        withdrawn = [record.ref.split("/") for record in replaced if not record.is_edit]
        edit = {**subject.to_json(), "withdraws": [[name, int(row)] for name, row in withdrawn]}
        return {**label_content(rows, [*(label.source for label in labels), *shared]), "edit": edit}
    if kind == GROUPS:
        said = {"groups": [], "pins": []} if content is None else content
        return {"prompts": [{"id": subject.prompt, "asked": subject.asked, **said}]}
    return {"subject": subject.to_json(), "entry": content}


def _sources(cache: AnnotationCache, record: AnnotationRecord) -> Collection[str]:
    """Return the sources that a record of labels speaks about; a removal may speak about several."""
    if record.content is not None and not record.is_edit:
        return [record.content["source"]]
    return sorted(cache.annotation(LABELS, record.name).subjects)


def _encoded(edit: Annotation) -> tuple[Annotation, bytes]:
    """Return an edit as it will be read, and its bytes.

    Raises ConfigError if they are too many, or if the content is malformed.
    """
    try:
        data = edit.to_json()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON, which has no NaN and no infinities: {printable(str(error))}") from error
    if len(data) > MOST_ENTRY_BYTES:
        raise ConfigError(f"an annotation of {len(data):,} bytes; at most {MOST_ENTRY_BYTES:,} are kept of one edit")
    key = annotation_key(edit.kind, data)
    try:
        return parse_annotation(data, "this edit", key), data
    except StoreCorrupt as error:
        raise ConfigError(printable(str(error))) from error


def _check_subject(kind: str, subject: Subject) -> None:
    of = {LABELS: (FEATURE,), GROUPS: (PROMPT,), VIEWS: (STORE, PROMPT), RESULTS: (PROMPT,), VERDICTS: (NODES,)}.get(
        kind
    )
    if of is not None and subject.of not in of:
        raise ConfigError(f"{kind} are about {' or '.join(of)}, not about {subject}")


def _check_text(what: str, text: str, most: int, refused: re.Pattern[str], may_be_empty: bool = False) -> None:
    if not isinstance(text, str) or (not text.strip() and not may_be_empty):
        raise ConfigError(f"{what} has no text")
    if len(text) > most:
        raise ConfigError(f"{what} of {len(text):,} characters; at most {most:,} are kept")
    if found := refused.search(text):
        raise ConfigError(f"{what} has the control character {found[0]!r} at character {found.start() + 1:,}")
