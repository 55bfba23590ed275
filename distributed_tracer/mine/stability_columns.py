"""Columns of the result of `mine stability`: types, units and meanings."""

from __future__ import annotations

from ..graph.columns import KINDS
from .columns import COUNT, EDGE, NO_UNIT, Column

_PROMPT = Column("", "", "id of the prompt")
_NODE_THRESHOLD = Column("f8", NO_UNIT, "share of influence that the kept nodes cover")
_EDGE_THRESHOLD = Column("f8", NO_UNIT, "share of the edge scores that the kept edges cover")
_RANGE: dict[str, Column] = {
    "settings": Column("i8", COUNT, "settings (pairs of thresholds) that keep it"),
    "node_threshold_low": Column("f8", NO_UNIT, "smallest node threshold at which some setting keeps it"),
    "node_threshold_high": Column("f8", NO_UNIT, "largest node threshold at which some setting keeps it"),
    "edge_threshold_low": Column("f8", NO_UNIT, "smallest edge threshold at which some setting keeps it"),
    "edge_threshold_high": Column("f8", NO_UNIT, "largest edge threshold at which some setting keeps it"),
    "returns": Column("", "", "yes if a larger threshold drops what a smaller one keeps"),
    "is_in": Column("", "", "1 or 0 for each setting, in the order of the table of settings"),
}
TABLES: dict[str, dict[str, Column]] = {
    "settings": {
        "prompt": _PROMPT,
        "node_threshold": _NODE_THRESHOLD,
        "edge_threshold": _EDGE_THRESHOLD,
        "nodes": Column("i8", COUNT, "nodes of the pruned graph"),
        "features": Column("i8", COUNT, "of `nodes`, features"),
        "errors": Column("i8", COUNT, "of `nodes`, errors"),
        "tokens": Column("i8", COUNT, "of `nodes`, tokens, which always stay"),
        "targets": Column("i8", COUNT, "of `nodes`, targets, which always stay"),
        "edges": Column("i8", COUNT, "edges of the pruned graph"),
        "influence": Column("f8", NO_UNIT, "influence of its nodes / influence of all nodes of the stored graph"),
        "passed": Column("f8", NO_UNIT, "influence that its edges pass on / the same of all edges of the stored graph"),
        "replacement": Column("f8", NO_UNIT, "replacement score of the pruned graph by itself"),
        "completeness": Column("f8", NO_UNIT, "completeness of the pruned graph by itself"),
    },
    "steps": {
        "prompt": _PROMPT,
        "node_threshold": _NODE_THRESHOLD,
        "edge_threshold": _EDGE_THRESHOLD,
        "next_node_threshold": Column("f8", NO_UNIT, "node threshold of the other setting"),
        "next_edge_threshold": Column("f8", NO_UNIT, "edge threshold of the other setting"),
        "grows": Column("", "", "which threshold is the next larger one: node_threshold or edge_threshold"),
        "nodes_jaccard": Column("f8", NO_UNIT, "nodes that both settings keep / nodes that either keeps"),
        "edges_jaccard": Column("f8", NO_UNIT, "edges that both settings keep / edges that either keeps"),
    },
    "nodes": {
        "prompt": _PROMPT,
        "node": Column("", "", "name of the node"),
        "kind": Column("", "", f"kind of the node: {', '.join(KINDS)}"),
        "layer": Column("i2", NO_UNIT, "layer: -1 for tokens, the number of layers for targets"),
        "position": Column("i4", NO_UNIT, "position"),
        "feature": Column("i4", NO_UNIT, "feature index; token id for tokens; number of the target; -1 for errors"),
        "influence": Column("f8", NO_UNIT, "influence in the stored graph"),
        **_RANGE,
    },
    "edges": {
        "prompt": _PROMPT,
        "source": Column("", "", "name of the source"),
        "target": Column("", "", "name of the target"),
        "weight": Column("f8", EDGE, "weight"),
        "passed": Column("f8", NO_UNIT, "influence that it passes on"),
        **_RANGE,
    },
}
"""Columns of each table, in order."""
