"""Export of one graph as JSON in the node-link form, which networkx (`node_link_graph`) and D3 read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..documents.json_text import to_json_types
from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..graph.labels import Labels
from .atomic import new_file
from .node_labels import as_objects


def write_node_link(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write a graph; return what is to be said about it: nothing.

    Nodes, edges and the graph have the values that `Graph.to_networkx` gives them, and a node's number is its `id`. If
    the context has labels, each node has a list `labels` of objects with `text` and `source`. A number that is not
    finite becomes null. All characters other than ASCII are escaped, half surrogates too.
    """
    with new_file(destination) as file:
        file.writelines(line.encode("ascii") for line in _lines(graph, context.labels))
    return []


def _lines(graph: Graph, labels: Labels) -> Iterator[str]:
    """Yield the document with a line for each node and edge."""
    yield f'{{"directed": true, "multigraph": false, "graph": {_json(graph.attributes())},\n"nodes": ['
    nodes = ({"id": node, **attributes} for node, attributes in enumerate(graph.node_attributes()))
    yield from _items(nodes if not len(labels) else (node | {"labels": as_objects(node, labels)} for node in nodes))
    yield '],\n"edges": ['
    yield from _items(dict(zip(("source", "target", "weight"), edge, strict=True)) for edge in graph.edges())
    yield "]}\n"


def _items(values: Iterable[Any]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield f"{',' if number else ''}\n{_json(value)}"


def _json(value: Any) -> str:
    return json.dumps(to_json_types(value), allow_nan=False)
