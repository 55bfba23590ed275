"""Copies the annotations of some prompts, with their history, and nothing that is said about other prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any
from urllib.parse import unquote_plus

from ..annotations import annotation_keys, read_annotations, void_subjects
from ..backend.base import Backend, key_batches
from ..format.annotation import GROUPS, LABELS, Annotation, parse_annotation
from ..format.annotation_entry import ENTRY_KINDS, RESULTS, VIEWS
from ..format.annotation_subject import FEATURE, parse_subject
from ..object_names import annotation_key

_IN_ADDRESS = re.compile("[?&=#,;]")
"""What stands between the values of an address."""


def copy_annotations_of(
    source: Backend, target: Backend, prompt_ids: Collection[str], left_out: Collection[str] = ()
) -> None:
    """Copy what is said about features and about these prompts. Raises StoreCorrupt.

    An annotation that speaks of these prompts alone keeps its name. Of others, a new one holds what counts of what is
    about them, so that nothing of a prompt that was left out goes along. Notes and views of the store as a whole stay
    behind, and so do views and results that name one of the prompts `left_out`.
    """
    for keys in key_batches(annotation_keys(source, LABELS)):
        for key, data in source.read_many(keys).items():
            parse_annotation(data, source.url, key)
            target.put_if_absent(key, data)
    _copy_groups(source, target, prompt_ids)
    whole = [
        annotation.key
        for kind in ENTRY_KINDS
        for annotation in read_annotations(source, kind)
        if _is_about(annotation, prompt_ids) and not (kind in (VIEWS, RESULTS) and _names(annotation, left_out))
    ]
    for keys in key_batches(whole):
        for key, data in source.read_many(keys).items():
            target.put_if_absent(key, data)


def _copy_groups(source: Backend, target: Backend, prompt_ids: Collection[str]) -> None:
    found = read_annotations(source, GROUPS)
    void = void_subjects(found)
    for annotation in found:
        part = groups_part(annotation, prompt_ids.__contains__, void)
        if part is annotation and (whole := source.read(annotation.key)) is not None:
            target.put_if_absent(annotation.key, whole)
        elif part is not None:
            data = part.to_json()
            target.put_if_absent(annotation_key(GROUPS, data), data)


def groups_part(
    annotation: Annotation, is_kept: Callable[[str], bool], void: Collection[tuple[str, str]]
) -> Annotation | None:
    """Return what an annotation says about the prompts that are kept, given by id: the annotation itself if it speaks
    of no others, None if nothing remains.

    What is void is left out, except that the prompt is still named: what the annotation replaces stays replaced.
    """
    said = annotation.content["prompts"]
    about = [one for one in said if is_kept(one["id"])]
    if about == said:
        return annotation
    nothing: dict[str, Any] = {"groups": [], "pins": []}
    kept = [
        one if (annotation.name, one["id"]) not in void else {"id": one["id"], "asked": one["asked"], **nothing}
        for one in about
        if annotation.replaces or (annotation.name, one["id"]) not in void
    ]
    return replace(annotation, content={**annotation.content, "prompts": kept}) if kept else None


def _is_about(annotation: Annotation, prompt_ids: Collection[str]) -> bool:
    """Whether an entry is about a feature, or about one of these prompts."""
    subject = parse_subject(annotation.content["subject"])
    return subject is not None and (subject.of == FEATURE or subject.prompt in prompt_ids)


def _names(annotation: Annotation, prompt_ids: Collection[str]) -> bool:
    """Whether the address of a view, or a text in a result, is or has the id of one of these prompts."""
    texts: Iterable[str] = _texts(annotation.content["entry"])
    if annotation.kind == VIEWS:
        values = [unquote_plus(value) for text in texts for value in _IN_ADDRESS.split(text)]
        texts = (part for value in values for part in (value, *value.split(",")))
    return any(text in prompt_ids for text in texts)


def _texts(value: object) -> Iterator[str]:
    """Yield all texts in JSON, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from chain.from_iterable(map(_texts, value.values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_texts, value))
