"""Report of one graph: its prompt, targets, scores, most influential nodes and strongest edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..table import Table
from ..text import printable

_SHOWN_TOKENS = 100


def graph_summary(graph: Graph, top: int) -> dict[str, Any]:
    """Return plain data: the graph's `top` nodes of each kind by influence, and its `top` edges by absolute weight."""
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
        "top_features": _top(graph, NodeKind.FEATURE, top),
        "top_errors": _top(graph, NodeKind.ERROR, top),
        "top_tokens": _top(graph, NodeKind.TOKEN, top),
        "top_edges": [
            {
                "weight": float(graph.weight_E[edge]),
                "source": graph.node_label(int(graph.source_E[edge])),
                "target": graph.node_label(int(target_E[edge])),
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
            table = Table({name: [row[name] for row in rows] for name in rows[0]})
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


def _top(graph: Graph, kind: NodeKind, count: int) -> list[dict[str, Any]]:
    """Return the `count` most influential nodes of a kind. Ties go to the lower node number."""
    of_kind = graph.nodes.where(kind)
    chosen = of_kind[np.argsort(-graph.influence_N[of_kind], kind="stable")[:count]]
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
