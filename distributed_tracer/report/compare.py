"""Report of two graphs compared: answers, scores, sizes, and what they share and do not share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph.graph import Graph
from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from ..query.compare import GraphComparison
from ..table import Table
from ..text import printable

_TITLES = {"both": "shared by both", "a": "only in a", "b": "only in b"}


def comparison_summary(found: GraphComparison, top: int, labels: Labels | None = None) -> dict[str, Any]:
    """Return the comparison as plain data, with the `top` features by influence and the `top` edges by the influence
    that they pass on, of those that both graphs have and of those that one has alone."""
    known = labels or Labels()
    return {
        "a": _of_graph(found.a),
        "b": _of_graph(found.b),
        "aligned_positions": [list(pair) for pair in found.positions],
        "num_features": _counts(found.features),
        "num_edges": _counts(found.edges),
        "feature_jaccard": found.feature_jaccard,
        "feature_overlap": found.feature_overlap,
        "edge_jaccard": found.edge_jaccard,
        "edge_overlap": found.edge_overlap,
        "features": {
            side: [
                {**row, "label": known.text(row["layer"], row["feature"])} for row in _first(found.features, side, top)
            ]
            for side in _TITLES
        },
        "edges": {side: _first(found.edges, side, top) for side in _TITLES},
    }


def comparison_text(summary: dict[str, Any]) -> str:
    """Return the summary as text. Control characters in prompts are escaped, so they cannot affect the terminal."""
    lines = []
    for side in ("a", "b"):
        graph = summary[side]
        answers = ", ".join(f"{target['label']!r} {_known(target['weight'])}" for target in graph["targets"])
        scores, nodes = graph["scores"], graph["num_nodes"]
        text = "(given as tokens)" if graph["text"] is None else graph["text"]
        lines += [
            f"{side}        {graph['prompt']}: {text}",
            f"answers  {answers or 'none'}",
            f"scores   replacement {_known(scores['replacement'])}, completeness {_known(scores['completeness'])}",
            f"graph    {graph['num_edges']:,} edges; "
            + ", ".join(f"{count:,} {kind}s" for kind, count in nodes.items()),
        ]
    shared = [
        f"{what}s: {summary[f'num_{what}s']['both']:,} shared, {summary[f'num_{what}s']['a']:,} only in a, "
        f"{summary[f'num_{what}s']['b']:,} only in b; Jaccard {summary[f'{what}_jaccard']:.3f}, "
        f"overlap of influence {_known(summary[f'{what}_overlap'])}"
        for what in ("feature", "edge")
    ]
    aligned, lengths = len(summary["aligned_positions"]), (summary["a"]["num_tokens"], summary["b"]["num_tokens"])
    shared.append(f"positions: {aligned:,} of {lengths[0]:,} in a and of {lengths[1]:,} in b are aligned")
    blocks = ["\n".join(map(printable, lines)), "\n".join(shared)]
    for what in ("features", "edges"):
        for side, title in _TITLES.items():
            rows = summary[what][side]
            if not rows:
                continue
            hidden = {"in", *(() if any(row.get("label") for row in rows) else ("label",))}
            hidden |= set() if side != "both" else {"elsewhere"}
            other = {"a": "_b", "b": "_a"}.get(side)
            names = [name for name in rows[0] if name not in hidden and not (other and name.endswith(other))]
            table = Table({name: [row[name] for row in rows] for name in names})
            blocks.append(f"{what} {title}\n{table.format(len(table))}")
    return "\n\n".join(blocks)


def _known(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "unknown"


def _of_graph(graph: Graph) -> dict[str, Any]:
    return {
        "prompt": graph.prompt_id,
        "text": graph.text,
        "num_tokens": len(graph.tokens_P),
        "targets": [{"label": target.label, "weight": target.weight} for target in graph.targets],
        "scores": {"replacement": graph.scores.replacement, "completeness": graph.scores.completeness},
        "num_nodes": {kind.name.lower(): len(graph.nodes.where(kind)) for kind in NodeKind},
        "num_edges": graph.num_edges,
    }


def _counts(table: Table) -> dict[str, int]:
    return {side: int((table["in"] == side).sum()) for side in _TITLES}


def _first(table: Table, side: str, top: int) -> list[dict[str, Any]]:
    return list(table.take(np.flatnonzero(table["in"] == side)[:top]).rows())
