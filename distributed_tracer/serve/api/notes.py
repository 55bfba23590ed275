"""Endpoints of notes about prompts, nodes and features, and of saved views: what counts, its history, and edits.

Nothing is deleted: removing and undoing are edits too, each with its author and its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError, PromptNotFound
from ...store.annotation_edits import write_note, write_view
from ...store.annotation_record import AnnotationRecord
from ...store.annotation_undo import restore
from ...store.format.annotation_entry import NOTES, VIEWS
from ...store.format.annotation_subject import NODE, Subject
from ...text import short
from ..endpoint import Endpoint, Json, Param
from ..node_names import key_text, parse_key
from ..served_store import ServedStore
from .edit_body import AUTHOR, PARENTS, author_of, fields_of, parents_of, text_of
from .graphs import asked

_MOST_HISTORY = 200
_SUBJECT = ("prompt", "node", "layer", "feature")


def read_notes(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the notes about a prompt, a node of its graph, a feature or the store, and their history."""
    served.refresh()
    return Json(_said(served, NOTES, _subject(served, query)))


def prompt_notes(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the notes that count about a prompt and about the nodes of its graph, the oldest first."""
    served.refresh()
    prompt = query["prompt"]
    found = served.annotations.about_prompt(NOTES, prompt, asked(served, _known(served, prompt)))
    return Json({"notes": [_record(record) for record in found]})


def write_notes(served: ServedStore, query: Mapping[str, Any], body: Any) -> Json:
    """Write a note, in place of `parents` if there are any; remove these, or bring an earlier note back."""
    given = fields_of(body, (*_SUBJECT, "text", "author", "parents", "restores"))
    subject, author, parents = _subject(served, given), author_of(served, given), parents_of(given)
    if (restores := text_of(given, "restores")) is not None:
        ref = restore(served.annotations, NOTES, subject, restores, author, parents)
    else:
        ref = write_note(served.annotations, subject, text_of(given, "text"), author, parents)
    return Json({"ref": ref, **_said(served, NOTES, subject)})


def read_views(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the saved views of a prompt, or those of the store, and their history."""
    served.refresh()
    return Json(_said(served, VIEWS, _subject(served, query)))


def write_views(served: ServedStore, query: Mapping[str, Any], body: Any) -> Json:
    """Save a view of a page, in place of `parents` if there are any; remove these, or bring an earlier view back."""
    given = fields_of(body, ("prompt", "name", "address", "author", "parents", "restores"))
    subject, author, parents = _subject(served, given), author_of(served, given), parents_of(given)
    if (restores := text_of(given, "restores")) is not None:
        ref = restore(served.annotations, VIEWS, subject, restores, author, parents)
    else:
        about = None if not subject.prompt else (subject.prompt, subject.asked)
        name, address = text_of(given, "name"), text_of(given, "address") or ""
        ref = write_view(served.annotations, name, address, author, about, parents)
    return Json({"ref": ref, **_said(served, VIEWS, subject)})


def _said(served: ServedStore, kind: str, subject: Subject) -> dict[str, Any]:
    """Return what counts about a subject, the oldest first, and all that was ever said, the newest first."""
    history = served.annotations.history(kind, subject)
    current = [record for record in history if record.current and record.content is not None]
    return {
        kind: [_record(record) for record in current],
        "num_records": len(history),
        "history": [_record(record) for record in history[::-1][:_MOST_HISTORY]],
    }


def _record(record: AnnotationRecord) -> dict[str, Any]:
    subject = record.subject
    key = key_text(subject.nodes[0]) if subject.of == NODE else None
    return {**record.to_json(), "node": key}


def _subject(served: ServedStore, given: Mapping[str, Any]) -> Subject:
    """Return what is meant by a prompt, a node and a feature, some of which are given."""
    prompt, node, layer, feature = (given.get(name) for name in _SUBJECT)
    if layer is not None or feature is not None:
        if prompt is not None or node is not None:
            raise ConfigError("give a prompt, a prompt and a node, or a layer and a feature")
        if not (type(layer) is int and type(feature) is int and 0 <= layer < served.store.num_layers and feature >= 0):
            raise ConfigError(f"there is no feature {short(str(feature))} in a layer {short(str(layer))} of this store")
        return Subject.of_feature(layer, feature)
    if prompt is None:
        if node is not None:
            raise ConfigError("a node is one of a prompt's graph: give the prompt as well")
        return Subject.of_store()
    if not isinstance(prompt, str):
        raise ConfigError("prompt is the id of a prompt")
    hash_of = asked(served, _known(served, prompt))
    if node is None:
        return Subject.of_prompt(prompt, hash_of)
    if not isinstance(node, str):
        raise ConfigError("node is a key such as feature:2:10:46")
    return Subject.of_node(prompt, hash_of, parse_key(node))


def _known(served: ServedStore, prompt: str) -> str:
    """Return the id of a prompt. Raises PromptNotFound."""
    if prompt not in served.store:
        raise PromptNotFound(f"the store has no prompt {short(prompt)}")
    return prompt


_PROMPT = Param("prompt", "Id of a prompt.")
_ABOUT = (
    _PROMPT,
    Param("node", "Key of a node of its graph, as in feature:2:10:46."),
    Param("layer", "Layer of a feature, instead of a prompt.", "integer", least=0),
    Param("feature", "Index of the feature in its layer.", "integer", least=0),
)
_EDIT = {
    "author": AUTHOR,
    "parents": PARENTS,
    "restores": {"type": "string", "description": "Ref of something earlier to bring back, instead of the rest."},
}


def _body(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {**properties, **_EDIT}}


_NOTE_BODY = _body(
    {
        "prompt": {"type": "string"},
        "node": {"type": "string"},
        "layer": {"type": "integer", "minimum": 0},
        "feature": {"type": "integer", "minimum": 0},
        "text": {"type": ["string", "null"], "description": "The note; null removes the parents."},
    }
)
_VIEW_BODY = _body(
    {
        "prompt": {"type": "string", "description": "Id of the prompt that is shown; none for other pages."},
        "name": {"type": ["string", "null"], "description": "Name of the view; null removes the parents."},
        "address": {"type": "string", "description": "Relative address, as in graph?prompt=dallas."},
    }
)
ENDPOINTS = (
    Endpoint("/notes", "Notes about a prompt, a node, a feature or the store.", read_notes, _ABOUT, tags=("notes",)),
    Endpoint(
        "/prompt_notes",
        "Notes about a prompt and about the nodes of its graph.",
        prompt_notes,
        (Param("prompt", "Id of the prompt.", required=True),),
        tags=("notes",),
    ),
    Endpoint(
        "/notes",
        "Write, replace, remove or bring back a note.",
        write_notes,
        method="POST",
        body=_NOTE_BODY,
        writes=True,
        tags=("notes",),
    ),
    Endpoint("/views", "Saved views of a prompt, or of the store.", read_views, (_PROMPT,), tags=("notes",)),
    Endpoint(
        "/views",
        "Save, replace, remove or bring back a view.",
        write_views,
        method="POST",
        body=_VIEW_BODY,
        writes=True,
        tags=("notes",),
    ),
)
