"""Endpoints of the labels of one feature: all that count, their history, and edits of single ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError
from ...graph.labels import Labels
from ...labels.in_store import bounds_check
from ...store.annotation_edits import write_label_edit
from ...store.annotation_undo import restore
from ...store.format.annotation import LABELS
from ...store.format.annotation_subject import Subject
from ..endpoint import Endpoint, Json, Param
from ..served_store import ServedStore
from .edit_body import AUTHOR, PARENTS, author_of, fields_of, parents_of, text_of

_KEYS = ("layer", "feature", "text", "author", "source", "parents", "restores")
_MOST_HISTORY = 200


def label_records(served: ServedStore, layer: int, feature: int) -> list[dict[str, Any]]:
    """Return the labels of a feature that count, the oldest first: ref, text, source, author and created."""
    return [
        {"ref": record.ref, **(record.content or {}), "author": record.author, "created": record.created}
        for record in served.annotations.heads(LABELS, Subject.of_feature(layer, feature))
    ]


def label_values(labels: Labels, layer: int, feature: int) -> list[dict[str, str]]:
    """Return the labels of a feature as text and source; none for a layer or an index below 0."""
    return [label._asdict() for label in labels.get(layer, feature)]


def read_labels_of(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the labels of a feature, and all that was ever said, the newest first."""
    served.refresh()
    layer, feature = query["layer"], query["feature"]
    history = served.annotations.history(LABELS, Subject.of_feature(layer, feature))[::-1]
    return Json(
        {
            "labels": label_records(served, layer, feature),
            "num_records": len(history),
            "history": [
                {
                    "ref": record.ref,
                    "text": record.content["text"] if record.content else None,
                    "source": record.content["source"] if record.content else None,
                    "author": record.author,
                    "created": record.created,
                    "current": record.current,
                }
                for record in history[:_MOST_HISTORY]
            ],
        }
    )


def write_label(served: ServedStore, query: Mapping[str, Any], body: Any) -> Json:
    """Write a label, in place of `parents` if there are any, remove these, or bring an earlier one back."""
    layer, feature = _site(body)
    bounds_check(served.store)(layer, feature)
    text, source, restores = (text_of(body, name) for name in ("text", "source", "restores"))
    author, parents = author_of(served, body), parents_of(body)
    if restores is not None:
        if text is not None or source is not None:
            raise ConfigError("restores goes without text and source: it says what an earlier label said")
        subject = Subject.of_feature(layer, feature)
        ref = restore(served.annotations, LABELS, subject, restores, author, parents)
    else:
        ref = write_label_edit(served.annotations, layer, feature, text, author, source, parents)
    served.reopen()
    return Json({"ref": ref, "labels": label_records(served, layer, feature)})


def _site(body: Any) -> tuple[int, int]:
    """Return layer and index. Raises ConfigError for a body that is no object of the known keys."""
    layer, feature = (fields_of(body, _KEYS).get(name) for name in ("layer", "feature"))
    if not (type(layer) is int and type(feature) is int and min(layer, feature) >= 0):
        raise ConfigError(f"layer and feature are whole numbers from 0, not {layer!r} and {feature!r}")
    return layer, feature


_BODY = {
    "type": "object",
    "required": ["layer", "feature"],
    "additionalProperties": False,
    "properties": {
        "layer": {"type": "integer", "minimum": 0},
        "feature": {"type": "integer", "minimum": 0},
        "text": {"type": ["string", "null"], "description": "The label; null removes the parents."},
        "author": AUTHOR,
        "source": {"type": "string", "description": "Who says so; default: the author."},
        "parents": PARENTS,
        "restores": {"type": "string", "description": "Ref of an earlier label to bring back, instead of text."},
    },
}
FEATURE = (
    Param("layer", "Layer of the feature.", "integer", required=True, least=0),
    Param("feature", "Index of the feature in its layer.", "integer", required=True, least=0),
)
ENDPOINTS = (
    Endpoint("/labels", "The labels of a feature and their history.", read_labels_of, FEATURE, tags=("labels",)),
    Endpoint(
        "/labels",
        "Write, replace, remove or bring back a label of a feature.",
        write_label,
        method="POST",
        body=_BODY,
        writes=True,
        tags=("labels",),
    ),
)
