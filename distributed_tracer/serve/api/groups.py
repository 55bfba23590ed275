"""Endpoints of the groups and pins of one graph: what is saved of them, and saving.

What a page saves is a new annotation that takes the place of the annotations that the page knew, and of no others. Two
people who save at the same time therefore lose nothing: what both saved counts, and the reply to the second has both.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from ...errors import ConfigError
from ...graph.context import Group, NodeKey
from ...graph.node_keys import node_keys
from ...names import unknown
from ...plain_values import shown
from ...store.annotations import current_groups, together, write_groups
from ...store.format.annotation import FARTHEST, Place, PromptGroups
from ...text import counted, short
from ..endpoint import Endpoint, Json
from ..node_names import NODE_NAME, key_text, parse_key
from ..served_store import ServedStore
from .graphs import PROMPT, asked

MOST_GROUPS, MOST_MEMBERS, MOST_NAME, MOST_AUTHOR, MOST_REPLACED = 1_000, 50_000, 1_000, 200, 10_000
"""Limits of what is saved: numbers of groups, of nodes in groups and pins together, and of annotations that are
replaced; numbers of characters of a group's name and of an author's."""
_ANNOTATION = re.compile(r"[0-9a-f]{32}")
_FIELDS = ("groups", "pins", "places", "author", "replaces")
_KEYS_SCHEMA = {"type": "array", "items": {"type": "string", "pattern": NODE_NAME.pattern}}


def saved_groups(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the groups and pins of a prompt that count now, and the annotations that say so."""
    return Json(_saved(served, query["prompt"]))


def save_groups(served: ServedStore, query: Mapping[str, Any], body: Any) -> Json:
    """Write the groups and pins of a prompt, and return what counts then, with the name of what was `written`.

    A node must be in the graph or in what is saved already: nodes that pruning or another trace left out stay known.
    """
    prompt = query["prompt"]
    store = served.refresh()
    said, author, replaces = _checked(body, PromptGroups(prompt, asked(served, prompt)))
    before = [found for _, found in current_groups(store.root, store.catalogue) if found.prompt == prompt]
    known = {key for found in before for key in _keys_of(found)}
    wanted = [key for key in _keys_of(said) if key not in known]
    if wanted:
        of_graph = set(node_keys(served.graph(prompt)))
        missing = [key for key in wanted if key not in of_graph]
        if missing:
            raise ConfigError(
                f"the graph of {short(prompt)} does not have {counted(len(missing), 'node')} of those to save; the "
                f"first is {key_text(missing[0])}"
            )
    (key,) = write_groups(store.root, [said], author or served.settings.author, replaces)
    served.reopen()
    return Json({**_saved(served, prompt), "written": key.rpartition("/")[2].removesuffix(".json")})


def _saved(served: ServedStore, prompt: str) -> dict[str, Any]:
    store = served.refresh()
    asked(served, prompt)  # raises PromptNotFound
    said, sources = None, []
    for annotation, found in current_groups(store.root, store.catalogue):
        if found.prompt == prompt:
            said = together(said, found)
            sources.append({"name": annotation.name, "author": annotation.author, "created": annotation.created})
    groups, pins, places = (said.groups, said.pins, said.places) if said else ((), (), ())
    return {
        "groups": [{"name": group.name, "members": [*map(key_text, group.members)]} for group in groups],
        "pins": [*map(key_text, pins)],
        "places": {key_text(one.node): [one.x, one.y] for one in places},
        "from": sources,
    }


def _checked(body: Any, empty: PromptGroups) -> tuple[PromptGroups, str, list[str]]:
    """Return what a request wants to save, its author, and the names that it replaces. Raises ConfigError."""
    if not isinstance(body, dict):
        raise ConfigError(f"the body is an object with groups and pins, not {shown(body)}")
    for name in body:
        if name not in _FIELDS:
            raise ConfigError(unknown("field of the body", name, _FIELDS))
    groups = tuple(_group(one) for one in _list(body, "groups", MOST_GROUPS))
    pins = _keys(_list(body, "pins", MOST_MEMBERS))
    said = PromptGroups(empty.prompt, empty.asked, groups, pins)
    said = replace(said, places=_places(body.get("places", {}), {*_keys_of(said)}))
    if (size := len(_keys_of(said))) > MOST_MEMBERS:
        raise ConfigError(f"groups and pins have {size:,} nodes together; at most {MOST_MEMBERS:,} can be saved")
    replaces = _list(body, "replaces", MOST_REPLACED)
    for name in replaces:
        if not isinstance(name, str) or not _ANNOTATION.fullmatch(name):
            raise ConfigError(f"an annotation has a name of 32 hexadecimal digits, not {shown(name)}")
    return said, _text(body.get("author", ""), "the author", MOST_AUTHOR), list(dict.fromkeys(replaces))


def _places(value: Any, known: Collection[NodeKey]) -> tuple[Place, ...]:
    """Return the places of some of the nodes that are pinned or grouped. Raises ConfigError."""
    if not isinstance(value, dict):
        raise ConfigError(f"places is an object of pairs of numbers by node, not {shown(value)}")
    found = []
    for text, place in value.items():
        if (key := parse_key(text)) not in known:
            raise ConfigError(f"places has {key_text(key)}, which is neither pinned nor in a group")
        if not isinstance(place, list) or len(place) != 2 or not all(map(_is_coordinate, place)):
            raise ConfigError(f"a place is a pair of whole numbers up to {FARTHEST:,}, not {shown(place)}")
        found.append(Place(key, *place))
    return tuple(found)


def _is_coordinate(value: object) -> bool:
    return type(value) is int and abs(value) <= FARTHEST


def _group(value: Any) -> Group:
    if not isinstance(value, dict) or set(value) != {"name", "members"}:
        raise ConfigError(f"a group is an object with name and members, not {shown(value)}")
    return Group(_text(value["name"], "the name of a group", MOST_NAME), _keys(_list(value, "members", MOST_MEMBERS)))


def _keys(texts: Collection[object]) -> tuple[NodeKey, ...]:
    return tuple(dict.fromkeys(map(parse_key, texts)))


def _keys_of(said: PromptGroups) -> list[NodeKey]:
    return [*said.pins, *(key for group in said.groups for key in group.members)]


def _list(body: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list):
        raise ConfigError(f"{name} is a list, not {shown(value)}")
    if len(value) > most:
        raise ConfigError(f"{name} has {len(value):,} entries; at most {most:,} can be saved")
    return value


def _text(value: Any, what: str, most: int) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{what} is a text, not {shown(value)}")
    if len(value) > most:
        raise ConfigError(f"{what} has {len(value):,} characters; at most {most:,} can be saved")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"{what} has half of a surrogate pair, which is no character: {shown(value)}") from None
    return value


_BODY = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "groups": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "members"],
                "properties": {"name": {"type": "string", "maxLength": MOST_NAME}, "members": _KEYS_SCHEMA},
            },
        },
        "pins": _KEYS_SCHEMA,
        "places": {
            "type": "object",
            "description": "Where a diagram has pinned nodes, and groups by their first node: pairs of whole numbers.",
            "additionalProperties": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        },
        "author": {"type": "string", "maxLength": MOST_AUTHOR},
        "replaces": {"type": "array", "items": {"type": "string", "pattern": _ANNOTATION.pattern}},
    },
}
ENDPOINTS = (
    Endpoint(
        "/groups",
        "Groups and pins of one graph that count now, and the annotations that say so.",
        saved_groups,
        (PROMPT,),
        tags=("groups",),
    ),
    Endpoint(
        "/groups",
        "Save groups and pins of one graph, in place of the annotations that `replaces` names.",
        save_groups,
        (PROMPT,),
        method="POST",
        body=_BODY,
        writes=True,
        tags=("groups",),
    ),
)
