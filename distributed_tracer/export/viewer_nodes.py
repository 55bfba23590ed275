"""Nodes of a graph as the graph viewers of the field name and describe them.

These are Anthropic's viewer, circuit-tracer's and Neuronpedia's. Axes: N node, P position, W number of edges walked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.edge_strength import has_influence_shares
from ..graph.graph import Graph
from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from ..graph.viewer_groups import cantor_pair

_FEATURE_TYPES = {
    NodeKind.FEATURE: "cross layer transcoder",
    NodeKind.ERROR: "mlp reconstruction error",
    NodeKind.TOKEN: "embedding",
    NodeKind.TARGET: "logit",
}
"""The viewers know no name for a feature of one layer's transcoder: all features are "cross layer" there."""
_MARKUP = re.compile(r"<(?=[A-Za-z][^>]*[\s/=]|style)", re.IGNORECASE)
"""What opens an HTML tag that can do something: one with attributes, or a style sheet."""


def without_markup(text: str) -> str:
    """Return a text that cannot act as HTML: where `<` would open a tag with attributes, it becomes `‹`.

    circuit-tracer's viewer shows labels and tokens as HTML when the mouse is over a node.
    """
    return _MARKUP.sub("‹", text)


def node_ids(graph: Graph) -> list[str]:
    """Return a different id for each node, in node order, in the form that circuit-tracer gives them.

    There, an error of layer L has the id of feature L of layer 0, and targets of one token and position have the same
    id. Here, errors and targets whose id is taken have a longer one.
    """
    nodes, seen, ids = graph.nodes, set[str](), list[str]()
    columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)
    for kind, layer, position, feature in zip(*(column.tolist() for column in columns), strict=True):
        if kind == NodeKind.TOKEN:
            wanted = f"E_{feature}_{position}"
        elif kind == NodeKind.ERROR:
            wanted = f"0_{layer}_{position}"
        elif kind == NodeKind.TARGET:
            wanted = f"{graph.num_layers + 1}_{target_number(graph, feature)}_{position}"
        else:
            wanted = f"{layer}_{feature}_{position}"
        if wanted in seen:
            wanted += f"_{NodeKind(kind).name.lower()}_{len(ids)}"
        seen.add(wanted)
        ids.append(wanted)
    return ids


def target_number(graph: Graph, target: int) -> int:
    """Return what stands for a target as a feature's number: its token's id, or -1, -2, ... for targets of no token.

    Viewers merge targets that have the same number, position and layer.
    """
    token_id = graph.targets[target].token_id
    return token_id if token_id >= 0 else -1 - target


def cumulative_shares(graph: Graph, node_threshold: float | None) -> npt.NDArray[np.float64]:
    """Return the share of all influence that each node and all more influential ones carry together, NaN for targets.

    Viewers call this `influence`, and their slider shows the nodes of which it is at most the slider's value. It is a
    share of the influence of the whole graph, as far as that is known, also if the graph was pruned. Pruning keeps one
    node beyond `node_threshold`; features and errors are given at most `node_threshold`, so that the slider's end shows
    all of them. Nodes whose influence is unknown have NaN.
    """
    influence_N = graph.influence_N.astype(np.float64)
    influence_N[graph.nodes.where(NodeKind.TARGET)] = np.nan
    known = np.flatnonzero(np.isfinite(influence_N))
    order = known[np.argsort(-influence_N[known], kind="stable")]
    share_N = np.full(len(influence_N), np.nan)
    total = max(_total_influence(graph), influence_N[known].sum())
    if total > 0:
        share_N[order] = np.minimum(np.cumsum(influence_N[order]) / total, 1.0)
    if node_threshold is not None:
        pruned = (graph.nodes.kind_N == NodeKind.FEATURE) | (graph.nodes.kind_N == NodeKind.ERROR)
        share_N[pruned] = np.minimum(share_N[pruned], node_threshold)
    return share_N


def _total_influence(graph: Graph) -> float:
    """Return the influence of all nodes of the graph before it was pruned, or 0 if it is not known.

    A share of influence that ends after W edges has passed through W nodes. What ends in the constant has passed
    through one node less, since the constant is not a node. Influence that was imported as shares is of 1 in all.
    """
    if has_influence_shares(graph):
        return 1.0
    ends_W = np.array(graph.scores.path_length_H)
    nodes_passed = (ends_W * np.arange(1, len(ends_W) + 1)).sum() - graph.scores.constant_share
    total = float(nodes_passed * sum(target.weight for target in graph.targets))
    return total if math.isfinite(total) else 0.0


def target_label(label: str, weight: float) -> str:
    """Return the label of a target in the one form that viewers can read: `Output "token" (p=0.123)`.

    They cut it at double quotes and at `(p=`, so the token may contain neither: quotes become ”, and `(p=` is `(p =`.
    """
    token = label.replace('"', "”").replace("(p=", "(p =")
    return f'Output "{token}" (p={weight:.3f})'


def node_entries(
    graph: Graph, ids: list[str], labels: Labels, node_threshold: float | None, escape: bool
) -> Iterator[dict[str, Any]]:
    """Yield the description of each node, in node order. With `escape`, labels cannot act as HTML."""
    last = len(graph.tokens_P) - 1
    clean = without_markup if escape else str
    columns = (graph.nodes.kind_N, graph.nodes.layer_N, graph.nodes.position_N, graph.nodes.feature_N)
    numbers = (graph.nodes.activation_N, cumulative_shares(graph, node_threshold))
    rows = zip(ids, *(column.tolist() for column in (*columns, *numbers)), strict=True)
    for node_id, kind, layer, position, feature, activation, share in rows:
        entry = {
            "node_id": node_id,
            "feature": -1,
            "layer": str(layer),
            "ctx_idx": position,
            "feature_type": _FEATURE_TYPES[NodeKind(kind)],
            "token_prob": 0.0,
            "is_target_logit": False,
            "run_idx": 0,
            "reverse_ctx_idx": last - position,
            "jsNodeId": node_id,  # Anthropic's viewer names nodes by this, also in pins and groups
            "clerp": "",
            "influence": share if math.isfinite(share) else None,
            "activation": activation if math.isfinite(activation) else None,
        }
        if kind == NodeKind.FEATURE:
            entry |= {"feature": cantor_pair(layer, feature), "clerp": clean(label_text(labels, layer, feature))}
        elif kind == NodeKind.TOKEN:
            entry |= {"feature": position, "layer": "E"}
        elif kind == NodeKind.TARGET:
            target = graph.targets[feature]
            entry |= {
                "feature": target_number(graph, feature),
                "layer": str(graph.num_layers + 1),
                "token_prob": target.weight,
                "is_target_logit": feature == 0,
                "clerp": clean(target_label(target.label, target.weight)),
            }
        yield entry


def label_text(labels: Labels, layer: int, feature: int) -> str:
    """Return the labels of a feature as they are, each text once, separated by " | "; empty if it has none."""
    return " | ".join(dict.fromkeys(label.text for label in labels.get(layer, feature)))
