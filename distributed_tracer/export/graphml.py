"""Export of one graph as GraphML, the XML that Gephi, Cytoscape, yEd, igraph and networkx read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..graph.labels import Labels, labels_text
from ..text import counted
from .atomic import new_file
from .node_labels import labels_of

_NODE_TYPES = {
    "kind": "string",
    "layer": "int",
    "position": "int",
    "feature": "int",
    "token": "string",
    "activation": "double",
    "influence": "double",
    "label": "string",
}
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain, not even escaped."""
_REPLACEMENT = "\ufffd"


def write_graphml(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write a graph and return what is to be said about it: how many characters were replaced.

    Nodes and the graph have the values of `Graph.node_attributes` and `Graph.attributes`; lists and objects are JSON.
    If the context has labels, nodes have theirs in one line under `labels`.
    Edges go from the source to the explained node. A weight has as many digits as its float32 needs as a float64.
    """
    writer = _Writer()
    with new_file(destination) as file:
        file.writelines(line.encode("utf-8") for line in writer.lines(graph, context.labels))
    if not writer.num_replaced:
        return []
    return [f"{counted(writer.num_replaced, 'character')} that XML forbids replaced by U+FFFD"]


class _Writer:
    """Makes the lines of a document and counts the characters that it replaces."""

    def __init__(self) -> None:
        self.num_replaced = 0

    def lines(self, graph: Graph, labels: Labels) -> Iterator[str]:
        """Yield the lines of the document."""
        # A text is missing from a graph that was given as tokens, and GraphML has no other way to say so.
        of_graph = {name: value for name, value in graph.attributes().items() if value is not None}
        yield "<?xml version='1.0' encoding='utf-8'?>\n"
        yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        node_types = _NODE_TYPES | ({"labels": "string"} if len(labels) else {})
        types = {name: "int" if isinstance(value, int) else "string" for name, value in of_graph.items()}
        for scope, keys in (("graph", types), ("node", node_types), ("edge", {"weight": "double"})):
            for name, type_ in keys.items():
                yield f'<key id="{scope}_{name}" for="{scope}" attr.name="{name}" attr.type="{type_}"/>\n'
        yield '<graph edgedefault="directed">\n'
        yield f"{self._data('graph', of_graph)}\n"
        for node, attributes in enumerate(graph.node_attributes()):
            if len(labels):
                attributes["labels"] = labels_text(labels_of(attributes, labels))
            yield f'<node id="{node}">{self._data("node", attributes)}</node>\n'
        for source, target, weight in graph.edges():
            yield f'<edge source="{source}" target="{target}">{self._data("edge", {"weight": weight})}</edge>\n'
        yield "</graph>\n</graphml>\n"

    def _data(self, scope: str, values: dict[str, Any]) -> str:
        return "".join(f'<data key="{scope}_{name}">{self._text(value)}</data>' for name, value in values.items())

    def _text(self, value: Any) -> str:
        if isinstance(value, float):
            return _number(value)
        text, num_replaced = _FORBIDDEN.subn(_REPLACEMENT, value if isinstance(value, str) else json.dumps(value))
        self.num_replaced += num_replaced
        return escape(text, {"\r": "&#13;"})  # a parser makes a plain carriage return a newline


def _number(value: float) -> str:
    """Return a number as XML Schema spells a double."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
