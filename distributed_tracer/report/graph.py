"""Report of one graph: its prompt, targets, scores, most influential nodes and strongest edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.graph import Graph
from ..graph.labels import Label, Labels, labels_text
from ..graph.nodes import NodeKind
from ..table import Table
from ..text import printable

_SHOWN_TOKENS = 100


def graph_summary(graph: Graph, top: int, labels: Labels | None = None) -> dict[str, Any]:
    """Return plain data: the graph's `top` nodes of each kind by influence, and its `top` edges by absolute weight.

    If there are `labels` of any feature, each listed feature and the ends of each edge have theirs.
    """
    of_node = _NodeLabels(graph, labels or Labels())
    nodes, edges = graph.nodes, np.argsort(-np.abs(graph.weight_E), kind="stable")[:top]
    target_E = graph.target_E()
    return {
        "prompt": graph.prompt_id,
        "text": graph.text,
        "tokens": graph.tokens_P.tolist(),
        "token_strings": list(graph.token_strings),
        "metadata": dict(graph.metadata),
        "targets": [vars(target) for target in graph.targets],
        "scores": vars(graph.scores),
        "num_nodes": {kind.name.lower(): len(nodes.where(kind)) for kind in NodeKind},
        "num_edges": graph.num_edges,
        "top_features": [
            row | of_node.as_columns({"labels": node})
            for row, node in zip(_top(graph, NodeKind.FEATURE, top), _chosen(graph, NodeKind.FEATURE, top), strict=True)
        ],
        "top_errors": _top(graph, NodeKind.ERROR, top),
        "top_tokens": _top(graph, NodeKind.TOKEN, top),
        "top_edges": [
            {
                "weight": float(graph.weight_E[edge]),
                "source": graph.node_label(int(graph.source_E[edge])),
                "target": graph.node_label(int(target_E[edge])),
                **of_node.as_columns({"source_labels": graph.source_E[edge], "target_labels": target_E[edge]}),
            }
            for edge in edges
        ],
    }


def graph_text(summary: dict[str, Any]) -> str:
    """Return the summary as text. Control characters in a prompt are escaped, so they cannot affect the terminal."""
    scores, counts = summary["scores"], summary["num_nodes"]
    text = "(given as tokens)" if summary["text"] is None else summary["text"]
    lines = [
        f"prompt   {summary['prompt']}",
        f"text     {text}",
        f"tokens   {len(summary['tokens'])}: {' '.join(map(repr, summary['token_strings'][:_SHOWN_TOKENS]))}",
        *(
            f"target   {target['label']!r} at position {target['position']}: weight {target['weight']:.4f}, "
            f"value {target['value']:.4f}"
            for target in summary["targets"]
        ),
        f"scores   replacement {scores['replacement']:.3f}, completeness {scores['completeness']:.3f}, "
        f"constant share {scores['constant_share']:.3f}",
        f"graph    {summary['num_edges']:,} edges; " + ", ".join(f"{n:,} {kind}s" for kind, n in counts.items()),
    ]
    blocks = ["\n".join(map(printable, lines))]
    for key, title in _TITLES.items():
        if rows := summary[key]:
            columns = {name: [_cell(row[name]) for row in rows] for name in rows[0]}
            table = Table({name: cells for name, cells in columns.items() if any(cell != "" for cell in cells)})
            blocks.append(f"{title}\n{table.format(len(rows))}")
    return "\n\n".join(blocks)


_TITLES = {
    "top_features": "most influential features",
    "top_errors": "most influential errors (what the transcoders leave unexplained)",
    "top_tokens": "most influential tokens",
    "top_edges": "strongest edges",
}
_COLUMNS = {
    NodeKind.FEATURE: ("influence", "activation", "layer", "feature", "position"),
    NodeKind.ERROR: ("influence", "layer", "position"),
    NodeKind.TOKEN: ("influence", "position", "token", "string"),
}


class _NodeLabels:
    """The labels of the nodes of a graph that are features."""

    def __init__(self, graph: Graph, labels: Labels) -> None:
        self._graph = graph
        self._labels = labels

    def as_columns(self, nodes: Mapping[str, int]) -> dict[str, list[dict[str, str]]]:
        """Return the labels of nodes, by the names of their columns; nothing if no feature at all has labels."""
        if not len(self._labels):
            return {}
        return {name: [label._asdict() for label in self._of(int(node))] for name, node in nodes.items()}

    def _of(self, node: int) -> Sequence[Label]:
        nodes = self._graph.nodes
        is_feature = nodes.kind_N[node] == NodeKind.FEATURE
        return self._labels.get(nodes.layer_N[node], nodes.feature_N[node]) if is_feature else ()


def _cell(value: Any) -> Any:
    """Return labels as text, and all other values unchanged."""
    return labels_text(Label(**label) for label in value) if isinstance(value, list) else value


def _chosen(graph: Graph, kind: NodeKind, count: int) -> npt.NDArray[np.int64]:
    """Return the `count` most influential nodes of a kind. Ties go to the lower node number."""
    of_kind = graph.nodes.where(kind)
    chosen: npt.NDArray[np.int64] = of_kind[np.argsort(-graph.influence_N[of_kind], kind="stable")[:count]]
    return chosen


def _top(graph: Graph, kind: NodeKind, count: int) -> list[dict[str, Any]]:
    """Return the columns of these nodes."""
    chosen = _chosen(graph, kind, count)
    strings = np.array(graph.token_strings, dtype=object)
    columns: dict[str, npt.NDArray[Any]] = {
        "influence": graph.influence_N,
        "activation": graph.nodes.activation_N,
        "layer": graph.nodes.layer_N,
        "feature": graph.nodes.feature_N,
        "position": graph.nodes.position_N,
        "token": graph.nodes.feature_N,
        "string": strings[graph.nodes.position_N],
    }
    return list(Table({name: columns[name][chosen] for name in _COLUMNS[kind]}).rows())
