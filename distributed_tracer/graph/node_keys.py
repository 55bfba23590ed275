"""Node keys: nodes of a graph by what identifies them, which stays the same when the prompt is traced again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from .. import plain_values
from ..errors import ConfigError
from ..text import counted, short
from .columns import KINDS
from .context import NodeKey
from .graph import Graph


def node_keys(graph: Graph) -> list[NodeKey]:
    """Return the key of every node, in node order."""
    nodes = graph.nodes
    columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [NodeKey(KINDS[kind], layer, position, feature) for kind, layer, position, feature in rows]


def node_numbers(graph: Graph, nodes: Iterable[int | NodeKey]) -> npt.NDArray[np.intp]:
    """Return the numbers of nodes that are given by number or by key, each once, ascending.

    Raises ConfigError for what is neither and for nodes that the graph does not have.
    """
    given, number_of = list(nodes), None
    found, missing = set(), []
    for node in given:
        if isinstance(node, tuple):
            if number_of is None:
                number_of = {key: number for number, key in enumerate(node_keys(graph))}
            number = number_of.get(NodeKey(*node) if len(node) == len(NodeKey._fields) else node)
        else:
            number = plain_values.integer(node, "a node", ConfigError)
        if number is None or not 0 <= number < len(graph.nodes):
            missing.append(node)
        else:
            found.add(number)
    if missing:
        raise ConfigError(
            f"the graph of {short(graph.prompt_id)} has {counted(len(graph.nodes), 'node')}, and not "
            f"{len(missing):,} of the {len(given):,} given: {plain_values.shown(missing[0])} is the first; keys of "
            "nodes that pruning or another trace left out have no number"
        )
    return np.array(sorted(found), dtype=np.intp)
