"""Subject: what an annotation is about: the store, a prompt, nodes or an edge of its graph, or a feature."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...graph.columns import KINDS
from ...graph.context import NodeKey
from ...text import short
from .checksummed_json import LARGEST

STORE, PROMPT, NODE, EDGE, NODES, FEATURE = "store", "prompt", "node", "edge", "nodes", "feature"
MOST_NODES = 10_000
"""Largest number of nodes that one subject names."""
_NUM_NODES = {PROMPT: (0, 0), NODE: (1, 1), EDGE: (2, 2), NODES: (1, MOST_NODES)}
"""Least and largest number of nodes, for the subjects in the graph of a prompt."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an annotation is about. Equal subjects are the same thing, also after the prompt was traced again."""

    of: str
    """`store`, `prompt`, `node`, `edge`, `nodes` (some nodes of one graph) or `feature`."""
    prompt: str = ""
    """Id of the prompt; empty for the store and for features."""
    asked: str = ""
    """What the prompt asks, as in the catalogue: `PromptSummary.asked`."""
    nodes: tuple[NodeKey, ...] = ()
    """The node; of an edge its source and its target; of `nodes` all of them, sorted."""
    layer: int = -1
    """Layer of a feature; -1 for other subjects. `feature` likewise."""
    feature: int = -1

    @classmethod
    def of_store(cls) -> Subject:
        return cls(STORE)

    @classmethod
    def of_prompt(cls, prompt: str, asked: str) -> Subject:
        return cls(PROMPT, prompt, asked)

    @classmethod
    def of_node(cls, prompt: str, asked: str, node: NodeKey) -> Subject:
        return cls(NODE, prompt, asked, (node,))

    @classmethod
    def of_edge(cls, prompt: str, asked: str, source: NodeKey, target: NodeKey) -> Subject:
        return cls(EDGE, prompt, asked, (source, target))

    @classmethod
    def of_nodes(cls, prompt: str, asked: str, nodes: Iterable[NodeKey]) -> Subject:
        return cls(NODES, prompt, asked, tuple(sorted(set(nodes))))

    @classmethod
    def of_feature(cls, layer: int, feature: int) -> Subject:
        return cls(FEATURE, layer=int(layer), feature=int(feature))

    def to_json(self) -> dict[str, Any]:
        """Return the subject as annotations hold it."""
        found: dict[str, Any] = {"of": self.of}
        if self.of in _NUM_NODES:
            found |= {"prompt": self.prompt, "asked": self.asked}
        if self.nodes:
            found["nodes"] = [list(node) for node in self.nodes]
        if self.of == FEATURE:
            found |= {"layer": self.layer, "feature": self.feature}
        return found

    def __str__(self) -> str:
        """Return the subject in one line, without control characters."""
        if self.of == FEATURE:
            return f"feature {self.layer}:{self.feature}"
        if self.of not in _NUM_NODES:
            return "the store" if self.of == STORE else short(self.of)
        named = [f"{node.kind} {node.layer}:{node.feature} at {node.position}" for node in self.nodes[:2]]
        more = f" and {len(self.nodes) - 2:,} more" if len(self.nodes) > 2 else ""
        arrow = " -> " if self.of == EDGE else ", "
        return f"{short(self.prompt)}{': ' if named else ''}{arrow.join(named)}{more}"


def parse_subject(document: Mapping[str, Any]) -> Subject | None:
    """Return the subject that an annotation names; None for one that this program does not know.

    Raises one of MALFORMED for a subject that is none.
    """
    of = document["of"]
    if type(of) is not str:
        raise ValueError(f"a subject of {of!r}")
    if of == STORE:
        return Subject.of_store()
    if of == FEATURE:
        layer, feature = document["layer"], document["feature"]
        if not (is_count(layer) and is_count(feature)):
            raise ValueError(f"feature {layer!r}:{feature!r}")
        return Subject.of_feature(layer, feature)
    if of not in _NUM_NODES:
        return None
    prompt, asked, nodes = document["prompt"], document["asked"], document.get("nodes", [])
    if type(prompt) is not str or type(asked) is not str:
        raise ValueError("an id or a hash of a prompt that is not text")
    check_nodes(nodes)
    least, most = _NUM_NODES[of]
    if not least <= len(nodes) <= most:
        raise ValueError(f"a subject of the kind {of!r} with {len(nodes):,} nodes; expected {least:,} to {most:,}")
    keys = tuple(NodeKey(*node) for node in nodes)
    return Subject.of_nodes(prompt, asked, keys) if of == NODES else Subject(of, prompt, asked, keys)


def subject_name(document: Mapping[str, Any]) -> str:
    """Return text that is equal for equal subjects, also for those that this program does not know."""
    subject = parse_subject(document)
    return json.dumps(document if subject is None else subject.to_json(), sort_keys=True)


def check_nodes(nodes: Sequence[Sequence[Any]]) -> None:
    """Raise one of MALFORMED unless each is a node: its kind, layer, position and feature."""
    if type(nodes) is not list:
        raise ValueError("nodes that are no array")
    for kind, *numbers in nodes:
        if kind not in KINDS or len(numbers) != 3 or not all(is_count(number, -1) for number in numbers):
            raise ValueError(f"a node {[kind, *numbers]}")


def is_count(value: object, least: int = 0) -> bool:
    """Whether a value is a whole number from `least` to below 2^48."""
    return type(value) is int and least <= value < LARGEST
