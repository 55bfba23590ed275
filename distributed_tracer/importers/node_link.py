"""Import of the node-link JSON that `export --format json` writes, and of the two tables that Parquet has of it.

JSON has no numbers that are not finite: null stands for them, and is read as NaN. JSON has no sums of rows and no
constants; Parquet has both. Axes: N node, E edge, L layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import GraphFileError
from ..graph.columns import KINDS
from ..graph.graph import Scores, Target
from ..graph.nodes import NodeTable
from .imported_graph import MAX_LAYERS, ImportedGraph, assemble
from .json_fields import list_of, number, object_of, text, whole

_NODE_FIELDS = ("layer", "position", "feature")
_BOUNDS = {"layer": 2**15, "position": 2**31, "feature": 2**31}


def read_node_link(document: Mapping[str, Any]) -> ImportedGraph:
    """Return the graph in a node-link document. Raises GraphFileError."""
    nodes, edges = list_of(document, "nodes"), list_of(document, "edges")
    kinds, columns = [], {name: list[int]() for name in _NODE_FIELDS}
    activations, influences = [], []
    for place, node in enumerate(nodes):
        where = f"node number {place}"
        if not isinstance(node, Mapping) or node.get("id") != place:
            raise GraphFileError(f"{where} is no object with this id")
        kinds.append(_kind(node.get("kind"), where))
        for name in _NODE_FIELDS:
            columns[name].append(_bounded(node.get(name), name, where))
        activations.append(number(node.get("activation"), f"activation of {where}"))
        influences.append(number(node.get("influence"), f"influence of {where}"))
    ends, weights = [], []
    for place, edge in enumerate(edges):
        where = f"edge number {place}"
        if not isinstance(edge, Mapping):
            raise GraphFileError(f"{where} is no object")
        ends.append([_bounded(edge.get(end), "position", where) for end in ("source", "target")])
        weights.append(number(edge.get("weight"), f"weight of {where}"))
    ends_E2 = np.array(ends, dtype=np.int64).reshape(-1, 2)
    return graph_of_tables(
        object_of(document, "graph"),
        NodeTable(
            np.array(kinds, dtype=np.uint8),
            np.array(columns["layer"], dtype=np.int16),
            np.array(columns["position"], dtype=np.int32),
            np.array(columns["feature"], dtype=np.int32),
            _float32(activations, "activations"),
        ),
        {"influence_N": _float32(influences, "influences")},
        {"source_E": ends_E2[:, 0], "target_E": ends_E2[:, 1], "weight_E": _float32(weights, "weights")},
        {},
    )


def graph_of_tables(
    described: Mapping[str, Any], nodes: NodeTable, influence: Any, edges: Any, rows: Mapping[str, Any]
) -> ImportedGraph:
    """Return the graph of these nodes and edges that `Graph.attributes` describe. Raises GraphFileError."""
    num_layers = whole(described.get("num_layers"), "num_layers")
    if not 0 <= num_layers <= MAX_LAYERS:
        raise GraphFileError(f"its model would have {num_layers:,} layers; at most {MAX_LAYERS:,} are possible")
    prompt_text = described.get("text")
    tokens = [_bounded(token, "feature", "a token") for token in list_of(described, "tokens")]
    strings = [text(one, "a token string") for one in list_of(described, "token_strings")]
    if len(strings) != len(tokens):
        raise GraphFileError(f"it has {len(tokens)} tokens and {len(strings)} token_strings")
    scores = _scores(object_of(described, "scores"), num_layers)
    graph = assemble(
        text=None if prompt_text is None else text(prompt_text, "its text"),
        tokens=tokens,
        token_strings=strings,
        num_layers=num_layers,
        targets=[target_of(one) for one in list_of(described, "targets")],
        nodes=nodes,
        **influence,
        **edges,
        rows=rows,
        scores=scores,
        constant_node=scores.constant_share > 0,
        metadata=dict(object_of(described, "metadata")),
    )
    return ImportedGraph(replace(graph, prompt_id=_id(described.get("prompt"))), "file", False)


def _id(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _kind(value: Any, where: str) -> int:
    if value not in KINDS:
        raise GraphFileError(f"{where} is of no known kind; kinds are {', '.join(KINDS)}")
    return KINDS.index(value)


def _bounded(value: Any, name: str, where: str) -> int:
    found = whole(value, f"{name} of {where}")
    if not -1 <= found < _BOUNDS[name]:
        raise GraphFileError(f"{name} of {where} is {found}, expected -1 to {_BOUNDS[name] - 1:,}")
    return found


def _float32(values: Sequence[float], what: str) -> Any:
    with np.errstate(over="ignore"):
        found = np.array(values, dtype=np.float64).astype(np.float32)
    if np.isinf(found).any():
        raise GraphFileError(f"its {what} do not fit float32")
    return found


def target_of(value: Any) -> Target:
    """Return the target that a JSON object describes. Raises GraphFileError."""
    if not isinstance(value, Mapping):
        raise GraphFileError("a target is no object")
    return Target(
        text(value.get("label"), "label of a target"),
        _bounded(value.get("token_id"), "feature", "a target"),
        number(value.get("weight"), "weight of a target"),
        _bounded(value.get("position"), "position", "a target"),
        number(value.get("value"), "value of a target"),
    )


def _scores(found: Mapping[str, Any], num_layers: int) -> Scores:
    error_share_L, path_length_H = (_numbers(found, name) for name in ("error_share_L", "path_length_H"))
    if len(error_share_L) != num_layers:
        raise GraphFileError(f"its error_share_L has {len(error_share_L)} numbers for {num_layers} layers")
    replacement, completeness, constant_share, closing_error = (number(found.get(name), name) for name in _SINGLE)
    return Scores(replacement, completeness, constant_share, error_share_L, path_length_H, closing_error)


_SINGLE = ("replacement", "completeness", "constant_share", "closing_error")


def _numbers(found: Mapping[str, Any], name: str) -> tuple[float, ...]:
    return tuple(number(one, f"a number of {name}") for one in list_of(found, name))
