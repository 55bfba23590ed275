"""Columns of the tables of nodes, edges and active features: their names and dtypes.

Those of nodes and edges are the same for one graph and for a whole store. A store also has the columns of token
strings, which it reads only if they are asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..table_stream import Batch, CategoricalColumn
from .nodes import NodeKind, NodeTable

KINDS = tuple(kind.name.lower() for kind in NodeKind)
NODE_COLUMNS = {
    "prompt": "",
    "node": "i4",
    "kind": "",
    "layer": "i2",
    "position": "i4",
    "feature": "i4",
    "activation": "f4",
    "in_degree": "i4",
    "row_abs_sum": "f4",
    "row_abs_sum_all": "f4",
    "row_abs_dropped": "f4",
    "constant": "f4",
    "influence": "f4",
}
"""dtype of each column, by name; empty for text. `node` is the node's number within its graph."""
SIDES = ("source", "target")
OF_NODES = {
    (side if name == "node" else f"{side}_{name}"): (side, name)
    for side in SIDES
    for name in ("node", "kind", "layer", "position", "feature", "token")
}
"""For each column of the edge table that describes a node: which end of the edge, and which column of the node
table."""
EDGE_COLUMNS = {
    "prompt": "",
    **{name: NODE_COLUMNS[of] for name, (_, of) in OF_NODES.items() if of in NODE_COLUMNS},
    "weight": "f4",
}
"""dtype of each column, by name; empty for text."""
ACTIVE_COLUMNS = {
    "prompt": "",
    "layer": "i2",
    "position": "i4",
    "feature": "i4",
    "activation": "f4",
    "is_node": "?",
}
"""dtype of each column, by name; empty for text. `is_node` says whether the feature is a node of the graph."""
STRING_OF_TOKEN = {"token": ""}
"""Column of nodes and of active features that is read on request: the string of the token at their position."""
STRINGS_OF_TOKENS = {f"{side}_token": "" for side in SIDES}
"""Columns of edges that are read on request: the strings of the tokens at the positions of both nodes."""


def node_columns(prompt_id: str, nodes: NodeTable, others: Mapping[str, npt.NDArray[Any]]) -> Batch:
    """Return all columns of the node table of one graph. `others` are the columns that `nodes` does not hold."""
    size = len(nodes)
    columns: Batch = {
        "prompt": CategoricalColumn(np.zeros(size, dtype=np.int32), [prompt_id]),
        "node": np.arange(size, dtype=np.int32),
        "kind": CategoricalColumn(nodes.kind_N.astype(np.int32), KINDS),
        "layer": nodes.layer_N,
        "position": nodes.position_N,
        "feature": nodes.feature_N,
        "activation": nodes.activation_N,
        **others,
    }
    return {name: columns[name] for name in NODE_COLUMNS}


def edge_columns(
    names: Iterable[str], nodes: Batch, ends: Mapping[str, npt.NDArray[Any]], weight_E: npt.NDArray[np.float32]
) -> Batch:
    """Return the wanted columns of edges, whose `ends` (source and target) are rows of the columns of nodes."""

    def column(name: str) -> npt.NDArray[Any] | CategoricalColumn:
        if name == "weight":
            return weight_E
        side, of = OF_NODES.get(name, ("target", "prompt"))
        values = nodes[of]
        return values.take(ends[side]) if isinstance(values, CategoricalColumn) else values[ends[side]]

    return {name: column(name) for name in names}
