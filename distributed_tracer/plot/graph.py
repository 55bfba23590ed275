"""One attribution graph as a picture: positions to the right, layers upward, edges between the nodes that matter.

N node, E edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..graph.graph import Graph
from ..graph.nodes import Kind
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = {Kind.FEATURE: "o", Kind.ERROR: "D", Kind.TOKEN: "s", Kind.TARGET: "s"}
_COLOURS = {
    Kind.FEATURE: style.FEATURE,
    Kind.ERROR: style.ERROR,
    Kind.TOKEN: style.TOKEN,
    Kind.TARGET: style.TARGET,
}


def draw_graph(graph: Graph, *, max_nodes: int = 60, max_edges: int = 160, num_labels: int = 16) -> Figure:
    """The most influential nodes and the strongest edges between them.

    The area of a node is its influence, the width of an edge what it passes on; blue edges raise, orange ones
    lower. The `num_labels` strongest features are named `layer:index`. Raises ConfigError without matplotlib.
    """
    shown_N = _most_influential(graph, max_nodes)
    x_N, y_N = _layout(graph, shown_N)
    num_positions = len(graph.tokens_P)
    figure, axes = style.new_figure(max(7.0, 1.5 + 0.8 * num_positions), 2.6 + 0.85 * graph.num_layers)
    _draw_edges(axes, graph, shown_N, x_N, y_N, max_edges)
    _draw_nodes(axes, graph, shown_N, x_N, y_N)
    _draw_labels(axes, graph, shown_N, x_N, y_N, num_labels)
    axes.set_xticks(range(num_positions), [style.shown(t) for t in graph.token_strings], rotation=35, ha="right")
    layers = [f"layer {layer}" for layer in range(graph.num_layers)]
    axes.set_yticks(range(-1, graph.num_layers + 1), ["tokens", *layers, "targets"])
    axes.set_xlim(-0.6, num_positions - 0.4)
    axes.set_ylim(-1.5, graph.num_layers + 0.7)
    for position in range(1, num_positions):
        axes.axvline(position - 0.5, color="#eeeeee", linewidth=0.7, zorder=0)
    _title(axes, graph)
    return figure


def _most_influential(graph: Graph, max_nodes: int) -> npt.NDArray[np.intp]:
    """All targets, all tokens and as many features and errors as fit, most influential first."""
    inner = np.flatnonzero(np.isin(graph.nodes.kind_N, (Kind.FEATURE, Kind.ERROR)))
    best = inner[np.argsort(-graph.influence_N[inner], kind="stable")[:max_nodes]]
    always = np.concatenate([graph.nodes.where(Kind.TOKEN), graph.nodes.where(Kind.TARGET)])
    return np.sort(np.concatenate([best, always]))


def _layout(graph: Graph, shown_N: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Coordinates of every node (NaN if not shown); nodes of one site side by side."""
    x_N, y_N = np.full(len(graph.nodes), np.nan), np.full(len(graph.nodes), np.nan)
    nodes = graph.nodes
    sites: dict[tuple[int, int], list[int]] = {}
    for node in shown_N.tolist():
        sites.setdefault((int(nodes.position_N[node]), int(nodes.layer_N[node])), []).append(node)
    for (position, layer), members in sites.items():
        # Two rows where many share a site; targets get the room to their left, which is otherwise empty.
        is_target = layer == graph.num_layers
        step = 0.62 if is_target else min(0.26, 0.84 / len(members) * (1 if len(members) < 5 else 2))
        for place, node in enumerate(members):
            column = place if is_target or len(members) < 5 else place // 2
            columns = len(members) if is_target or len(members) < 5 else (len(members) + 1) // 2
            shift = -column * step if is_target else (column - (columns - 1) / 2) * step
            x_N[node] = position + shift
            y_N[node] = layer + (0.0 if is_target or len(members) < 5 else 0.17 - 0.34 * (place % 2))
    return x_N, y_N


def _draw_edges(
    axes: Any,
    graph: Graph,
    shown_N: npt.NDArray[np.intp],
    x_N: npt.NDArray[np.float64],
    y_N: npt.NDArray[np.float64],
    max_edges: int,
) -> None:
    from matplotlib.collections import LineCollection

    target_E, source_E = graph.target_E(), graph.source_E
    both_E = np.flatnonzero(np.isin(target_E, shown_N) & np.isin(source_E, shown_N))
    passing_N = graph.influence_N + graph.target_weights_N()
    share = np.abs(graph.weight_E[both_E]) / graph.row_abs_sum_N[target_E[both_E]]
    passed = share * passing_N[target_E[both_E]]
    best = np.argsort(-passed, kind="stable")[:max_edges][::-1]
    edges, strength = both_E[best], passed[best] / max(passed.max(initial=0.0), 1e-30)
    source, target = source_E[edges], target_E[edges]
    lines = np.stack([np.stack([x_N[source], y_N[source]], 1), np.stack([x_N[target], y_N[target]], 1)], 1)
    colours = [style.POSITIVE if weight > 0 else style.NEGATIVE for weight in graph.weight_E[edges]]
    strength = np.sqrt(strength)
    axes.add_collection(
        LineCollection(
            list(lines), colors=colours, linewidths=0.3 + 2.2 * strength, alpha=0.12 + 0.65 * strength, zorder=1
        )
    )


def _draw_nodes(
    axes: Any,
    graph: Graph,
    shown_N: npt.NDArray[np.intp],
    x_N: npt.NDArray[np.float64],
    y_N: npt.NDArray[np.float64],
) -> None:
    size_N = graph.influence_N + graph.target_weights_N()
    largest = size_N[shown_N].max(initial=1e-30)
    for kind, marker in _MARKERS.items():
        of_kind = shown_N[graph.nodes.kind_N[shown_N] == kind]
        axes.scatter(
            x_N[of_kind],
            y_N[of_kind],
            s=14 + 190 * size_N[of_kind] / largest,
            marker=marker,
            color=_COLOURS[kind],
            edgecolors="white",
            linewidths=0.6,
            zorder=2,
            label=f"{kind.name.lower()}s",
        )
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=4, frameon=False, markerscale=0.8)


def _draw_labels(
    axes: Any,
    graph: Graph,
    shown_N: npt.NDArray[np.intp],
    x_N: npt.NDArray[np.float64],
    y_N: npt.NDArray[np.float64],
    num_labels: int,
) -> None:
    nodes = graph.nodes
    features = shown_N[nodes.kind_N[shown_N] == Kind.FEATURE]
    for node in features[np.argsort(-graph.influence_N[features], kind="stable")[:num_labels]]:
        name = f"{nodes.layer_N[node]}:{nodes.feature_N[node]}"
        offset = (0, 7)
        axes.annotate(
            name, (x_N[node], y_N[node]), xytext=offset, textcoords="offset points", ha="center", fontsize=6.5
        )
    for node in nodes.where(Kind.TARGET):
        target = graph.targets[nodes.feature_N[node]]
        label = f"{style.shown(target.label)}\n{target.weight:.2f}"
        axes.annotate(label, (x_N[node], y_N[node]), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=7)


def _title(axes: Any, graph: Graph) -> None:
    scores = graph.scores
    text = style.shown(graph.text or graph.prompt_id, 90).replace("␣", " ", 1)
    axes.set_title(
        f"{text}\nreplacement {scores.replacement:.2f}, completeness {scores.completeness:.2f}, "
        f"{len(graph.nodes):,} nodes, {graph.num_edges:,} edges",
        loc="left",
        fontsize=9,
    )
