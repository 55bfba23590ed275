"""Annotation: the JSON object that holds what somebody says about features, or about the graphs of prompts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...errors import StoreCorrupt
from ...graph.context import Group, NodeKey
from ...graph.labels import Label
from ..object_names import annotation_kind, annotation_name
from .annotation_entry import ENTRY_KINDS, MOST_ENTRY_BYTES, check_entry
from .annotation_subject import check_nodes, is_count, subject_name
from .checksummed_json import LARGEST, MALFORMED, check_depth, dump_checksummed, load_checksummed
from .schema import FORMAT_VERSION

_FORMAT = "distributed_tracer annotation"
LABELS, GROUPS = "labels", "groups"
_ENVELOPE = ("format", "format_version", "kind", "author", "created", "number", "replaces", "sha256")
FARTHEST = 999_999
"""Largest coordinate of a place, and its opposite the smallest."""
_LABEL_COLUMNS = ("layer", "feature", "text", "source")


class Place(NamedTuple):
    """Where a diagram has a pinned node, or the group that begins with this node: whole numbers, y downwards."""

    node: NodeKey
    x: int
    y: int


@dataclass(frozen=True)
class PromptGroups:
    """What somebody grouped and pinned in the graph of one prompt, which `asked` identifies as in the catalogue."""

    prompt: str
    asked: str
    groups: tuple[Group, ...] = ()
    pins: tuple[NodeKey, ...] = ()
    places: tuple[Place, ...] = ()
    """Where somebody moved some of them in a diagram, each node once."""


@dataclass(frozen=True)
class Annotation:
    """One annotation of any kind, as it is stored."""

    kind: str
    author: str
    created: str
    number: int
    """One more than the highest number of this kind that existed when it was written."""
    replaces: tuple[str, ...]
    """Names of annotations of the same kind. What they say about a subject of this one does not count any more."""
    content: Mapping[str, Any]
    """The other keys of the object, which depend on the kind."""
    key: str = ""

    @property
    def name(self) -> str:
        """Name by which others refer to this annotation."""
        return annotation_name(self.key)

    @property
    def subjects(self) -> frozenset[str]:
        """What the annotation is about: sources of labels, ids of prompts, or one subject of an entry as JSON; nothing
        for unknown kinds."""
        if self.kind == LABELS:
            return frozenset(self.content["sources"])
        if self.kind == GROUPS:
            return frozenset(prompt["id"] for prompt in self.content["prompts"])
        if self.kind in ENTRY_KINDS:
            return frozenset({subject_name(self.content["subject"])})
        return frozenset()

    @property
    def withdrawn(self) -> Iterator[tuple[str, int]]:
        """Single labels of other annotations that do not count any more, as names of annotations and rows there."""
        edit = self.content.get("edit") if self.kind == LABELS else None
        return ((name, row) for name, row in edit["withdraws"]) if edit else iter(())

    def labels(self) -> Iterator[tuple[int, int, Label]]:
        """Yield layer, index and label of every row of an annotation of the kind `labels`."""
        sources, columns = self.content["sources"], self.content["labels"]
        for layer, feature, text, source in zip(*(columns[name] for name in _LABEL_COLUMNS), strict=True):
            yield layer, feature, Label(text, sources[source])

    def groups(self) -> Iterator[PromptGroups]:
        """Yield what an annotation of the kind `groups` says about each of its prompts."""
        for prompt in self.content["prompts"]:
            groups = tuple(Group(group["name"], _keys(group["nodes"])) for group in prompt["groups"])
            places = tuple(Place(NodeKey(*node), x, y) for node, x, y in prompt.get("places", ()))
            yield PromptGroups(prompt["id"], prompt["asked"], groups, _keys(prompt["pins"]), places)

    def to_json(self) -> bytes:
        """Return the bytes of the object."""
        envelope = {
            "format": _FORMAT,
            "format_version": FORMAT_VERSION,
            "kind": self.kind,
            "author": self.author,
            "created": self.created,
            "number": self.number,
            "replaces": list(self.replaces),
        }
        return dump_checksummed({**envelope, **self.content})


def parse_annotation(data: bytes, url: str, key: str) -> Annotation:
    """Return an annotation. Raises StoreCorrupt if it was altered, or is malformed. Of kinds that this program does not
    know, it checks what all kinds have."""
    try:
        return load_annotation(data, key)
    except MALFORMED as error:
        raise StoreCorrupt(f"{url}/{key} does not hold annotations: {type(error).__name__}: {error}") from error


def load_annotation(data: bytes, key: str) -> Annotation:
    """Return an annotation as `parse_annotation` does. Raises one of MALFORMED."""
    document = load_checksummed(data)
    if "sha256" not in document:
        raise ValueError("it has no checksum")
    if (document["format"], document["format_version"]) != (_FORMAT, FORMAT_VERSION):
        raise ValueError(f"format {document['format']!r}, version {document['format_version']!r}")
    kind, number, replaces = document["kind"], document["number"], tuple(document["replaces"])
    if kind != annotation_kind(key):
        raise ValueError(f"an annotation of kind {kind!r}")
    if not is_count(number):
        raise ValueError(f"number {number!r}")
    if any(type(text) is not str for text in (document["author"], document["created"], *replaces)):
        raise ValueError("an author, a time or a name that is not text")
    content = {name: value for name, value in document.items() if name not in _ENVELOPE}
    _check_content(kind, content, len(data))
    return Annotation(kind, document["author"], document["created"], number, replaces, content, key)


def _check_content(kind: str, content: Mapping[str, Any], num_bytes: int) -> None:
    if kind in _CHECKS:
        _CHECKS[kind](content)
    elif kind in ENTRY_KINDS:
        check_entry(kind, content)
        if num_bytes > MOST_ENTRY_BYTES:
            raise ValueError(f"{num_bytes:,} bytes; at most {MOST_ENTRY_BYTES:,} are kept of this kind")
    if (kind in _CHECKS or kind in ENTRY_KINDS) and type(content.get("restores", "")) is not str:
        raise ValueError("the name of what it restores is not text")
    flat = _LABEL_COLUMNS if kind == LABELS else ()  # hundreds of thousands of values, all of them checked
    check_depth([value if name != LABELS else _others(value, flat) for name, value in content.items()])


def _others(columns: Any, flat: Collection[str]) -> Any:
    """Return an object without the entries of these names."""
    return {name: value for name, value in columns.items() if name not in flat} if flat else columns


def label_content(rows: Sequence[tuple[int, int, Label]], sources: Collection[str]) -> dict[str, Any]:
    number = {source: place for place, source in enumerate(dict.fromkeys([*sources, *(row[2].source for row in rows)]))}
    cells = [(int(layer), int(feature), label.text, number[label.source]) for layer, feature, label in rows]
    columns = zip(*cells, strict=True) if cells else ([] for _ in _LABEL_COLUMNS)
    return {
        "sources": list(number),
        "labels": {name: list(column) for name, column in zip(_LABEL_COLUMNS, columns, strict=True)},
    }


def group_content(found: Sequence[PromptGroups]) -> dict[str, Any]:
    return {
        "prompts": [
            {
                "id": said.prompt,
                "asked": said.asked,
                "groups": [{"name": group.name, "nodes": _nodes(group.members)} for group in said.groups],
                "pins": _nodes(said.pins),
                **({"places": [[*_nodes([one.node]), one.x, one.y] for one in said.places]} if said.places else {}),
            }
            for said in found
        ]
    }


def _nodes(keys: Iterable[NodeKey]) -> list[list[Any]]:
    return [[key.kind, int(key.layer), int(key.position), int(key.feature)] for key in keys]


def _keys(nodes: Iterable[Sequence[Any]]) -> tuple[NodeKey, ...]:
    return tuple(NodeKey(*node) for node in nodes)


def _check_labels(content: Mapping[str, Any]) -> None:
    sources, columns = content["sources"], [content["labels"][name] for name in _LABEL_COLUMNS]
    if len({len(column) for column in columns}) != 1 or any(type(column) is not list for column in (sources, *columns)):
        raise ValueError("columns of different lengths, or none")
    layers, features, texts, numbers = columns
    if not all(_are_integers(column) for column in (layers, features, numbers)):
        raise ValueError("a layer, a feature or a source that is not a whole number from 0")
    if {str} < {str, *map(type, sources), *map(type, texts)}:
        raise ValueError("a text or a source that is not text")
    if max(numbers, default=-1) >= len(sources):
        raise ValueError("a label of a source that is not there")
    if "edit" in content:
        _check_edit(content["edit"], layers, features)


def _check_edit(edit: Mapping[str, Any], layers: list[int], features: list[int]) -> None:
    layer, feature, withdraws = edit["layer"], edit["feature"], edit["withdraws"]
    if not (is_count(layer) and is_count(feature)) or len(layers) > 1:
        raise ValueError(f"an edit of feature {layer!r}:{feature!r} with {len(layers):,} labels; expected at most one")
    if (layers, features) not in (([], []), ([layer], [feature])):
        raise ValueError(f"an edit of feature {layer}:{feature} with a label of another one")
    if any(type(name) is not str or not is_count(row) for name, row in withdraws):
        raise ValueError("a label that is withdrawn, without name or row")


def _check_groups(content: Mapping[str, Any]) -> None:
    for prompt in content["prompts"]:
        texts = [prompt["id"], prompt["asked"], *(group["name"] for group in prompt["groups"])]
        if any(type(text) is not str for text in texts):
            raise ValueError("an id, a hash or a name that is not text")
        for nodes in (prompt["pins"], *(group["nodes"] for group in prompt["groups"])):
            check_nodes(nodes)
        _check_places(prompt.get("places", []))


def _check_places(places: Any) -> None:
    if type(places) is not list:
        raise ValueError("places that are no array")
    check_nodes([node for node, _, _ in places])
    if any(type(at) is not int or abs(at) > FARTHEST for _, *place in places for at in place):
        raise ValueError("a place that is not given by two whole numbers")


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {LABELS: _check_labels, GROUPS: _check_groups}


def _are_integers(column: list[Any]) -> bool:
    """Whether all values are whole numbers from 0; faster than one by one."""
    return {int} >= {*map(type, column)} and (not column or (min(column) >= 0 and max(column) < LARGEST))
