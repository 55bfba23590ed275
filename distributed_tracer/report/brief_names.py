"""Names and texts of a brief: short, escaped, and never longer than they may be.

Texts of prompts, tokens, labels and groups come from outside. In a brief they stand in double quotes, without control
characters, so that they can neither affect a terminal nor pass for a line of the brief itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from ..graph.graph import Graph
from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from ..text import printable

LABEL, TOKEN = 48, 24
"""Largest length of a label or a group's name, and of a token or a target, in bytes of JSON."""
_CUT = "…"


def clipped(text: str, limit: int, tail: bool = False) -> str:
    """Return the text, escaped, with at most `limit` bytes in JSON; what is cut off becomes an ellipsis.

    With `tail`, a third of the room is for the beginning and the rest for the end; else all is for the beginning.
    """
    if fits(text, limit):
        return "".join(map(_escaped, text))
    room = limit - len(_CUT.encode())
    last = _taken(reversed(text[-room:]), 2 * room // 3) if tail else []
    first = _taken(iter(text[:room]), room - sum(map(_cost, last)))
    return "".join(map(_escaped, first)) + _CUT + "".join(map(_escaped, reversed(last)))


def fits(text: str, limit: int) -> bool:
    """Whether a text takes at most `limit` bytes in JSON when it is escaped."""
    return len(text) <= limit and sum(map(_cost, text)) <= limit


def quoted(clean: str) -> str:
    """Return a text that `clipped` has returned in double quotes."""
    return '"' + clean.replace('"', '\\"') + '"'


def rounded(value: float) -> float | None:
    """Return a number with three digits; None if it is not finite."""
    return float(f"{value:.3g}") if math.isfinite(value) else None


class NodeNames:
    """Names of the nodes of one graph: `2:46@10` is feature 46 of layer 2 at position 10."""

    def __init__(self, graph: Graph, labels: Labels) -> None:
        self._graph = graph
        self._labels = labels

    def name(self, node: int) -> str:
        """Return the name of a node; tokens and targets are quoted."""
        graph, nodes = self._graph, self._graph.nodes
        kind, position = NodeKind(nodes.kind_N[node]), int(nodes.position_N[node])
        if kind is NodeKind.TARGET:
            return f"target {quoted(clipped(graph.targets[nodes.feature_N[node]].label, TOKEN))}"
        if kind is NodeKind.TOKEN:
            return f"token@{position} {quoted(self.token(node))}"
        of_feature = f"{nodes.layer_N[node]}:{nodes.feature_N[node]}@{position}"
        return of_feature if kind is NodeKind.FEATURE else f"error {nodes.layer_N[node]}@{position}"

    def full_name(self, node: int) -> str:
        """Return the name of a node with the label of a feature."""
        label = self.label(node)
        return f"{self.name(node)} {quoted(label)}" if label else self.name(node)

    def token(self, node: int) -> str:
        """Return the token at the position of a node."""
        return clipped(self._graph.token_strings[self._graph.nodes.position_N[node]], TOKEN)

    def label(self, node: int) -> str:
        """Return the labels of a feature; empty if it has none and for other nodes."""
        nodes = self._graph.nodes
        if nodes.kind_N[node] != NodeKind.FEATURE:
            return ""
        found = self._labels.get(nodes.layer_N[node], nodes.feature_N[node])
        return clipped(" | ".join(dict.fromkeys(label.text for label in found)), LABEL)


def _escaped(character: str) -> str:
    return "\\\\" if character == "\\" else printable(character)


def _cost(character: str) -> int:
    """Return the number of bytes that a character takes in UTF-8 within a string in JSON, which is no fewer than
    characters, and than it takes in quotes."""
    return len(json.dumps(_escaped(character), ensure_ascii=False).encode()) - 2


def _taken(characters: Iterable[str], room: int) -> list[str]:
    """Return the first characters that fit into the room."""
    taken = []
    for character in characters:
        room -= _cost(character)
        if room < 0:
            break
        taken.append(character)
    return taken
