"""Picture of one attribution graph: positions to the right, layers upward, edges between the most influential nodes.

Axes: N node, E edge, P position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..graph.graph import Graph
from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = {NodeKind.FEATURE: "o", NodeKind.ERROR: "D", NodeKind.TOKEN: "s", NodeKind.TARGET: "s"}
_COLOURS = {
    NodeKind.FEATURE: style.FEATURE,
    NodeKind.ERROR: style.ERROR,
    NodeKind.TOKEN: style.TOKEN,
    NodeKind.TARGET: style.TARGET,
}


def draw_graph(
    graph: Graph, *, labels: Labels | None = None, max_nodes: int = 60, max_edges: int = 160, num_labels: int = 20
) -> Figure:
    """Draw the most influential nodes and the strongest edges between them.

    The area of a node shows its influence, the width of an edge the influence that it passes on; blue edges raise their
    target, orange ones lower it. The `num_labels` most influential features are labelled `layer:index`, and below it
    with what `labels` say about them, wrapped and shortened. A line below the picture says what is left out; long
    prompts are drawn without the positions that have none of these nodes. Raises ConfigError without matplotlib.
    """
    shown_N = _most_influential(graph, max_nodes)
    layout = _layout(graph, shown_N)
    width = layout.borders_P[-1] - layout.borders_P[0]
    row_height = min(0.85, _TALLEST / graph.num_layers)
    figure, axes = style.new_figure(max(7.0, 1.2 + 0.75 * width), 2.6 + row_height * graph.num_layers)
    num_edges = _draw_edges(axes, graph, shown_N, layout, max_edges)
    _draw_nodes(axes, graph, shown_N, layout)
    named = _draw_labels(axes, graph, shown_N, layout, num_labels, labels or Labels())
    here_P = np.flatnonzero(np.diff(layout.borders_P))
    centres = (layout.borders_P[1:] + layout.borders_P[:-1])[here_P] / 2
    axes.set_xticks(centres, [style.label(graph.token_strings[p]) for p in here_P], rotation=35, ha="right")
    layers = [f"layer {layer}" for layer in range(graph.num_layers)]
    axes.set_yticks(range(-1, graph.num_layers + 1), ["tokens", *layers, "targets"])
    axes.set_xlim(layout.borders_P[0], layout.borders_P[-1])
    axes.set_ylim(-1.4, graph.num_layers + 0.7)
    for border in np.unique(layout.borders_P)[1:-1]:
        axes.axvline(border, color="#eeeeee", linewidth=0.7, zorder=0)
    _title(axes, graph)
    of_targets = [target.label for target in graph.targets]
    texts = (graph.text or graph.prompt_id, *(graph.token_strings[p] for p in here_P), *of_targets, *named)
    style.add_notes(
        figure, _left_out(graph, shown_N, num_edges, len(here_P)), (style.shown(text, 90) for text in texts)
    )
    return figure


def _left_out(graph: Graph, shown_N: npt.NDArray[np.intp], num_edges: int, num_positions: int) -> list[str]:
    """Return a line that says what of the graph is not in the picture, if anything is left out."""
    num_inner, num_shown = (
        int(np.isin(kinds, _INNER).sum()) for kinds in (graph.nodes.kind_N, graph.nodes.kind_N[shown_N])
    )
    counts = [
        (num_shown, num_inner, "features and errors, the most influential"),
        (num_edges, graph.num_edges, "edges, those that pass on most"),
        (num_positions, len(graph.tokens_P), "positions"),
    ]
    drawn = [f"{some:,} of {all_:,} {what}" for some, all_, what in counts if some < all_]
    return [f"drawn are {'; '.join(drawn)}"] if drawn else []


@dataclass(frozen=True, eq=False)
class _Layout:
    """Coordinates of every node (NaN if it is not shown), and the borders of the positions' columns."""

    x_N: npt.NDArray[np.float64]
    y_N: npt.NDArray[np.float64]
    borders_P: npt.NDArray[np.float64]


def _most_influential(graph: Graph, max_nodes: int) -> npt.NDArray[np.intp]:
    """Return the nodes to show: all targets, the `max_nodes` most influential features and errors, and the tokens.

    For a long prompt, the tokens are those at the positions of the other nodes, and then the most influential ones.
    """
    inner = np.flatnonzero(np.isin(graph.nodes.kind_N, _INNER))
    best = inner[np.argsort(-graph.influence_N[inner], kind="stable")[:max_nodes]]
    tokens, targets = graph.nodes.where(NodeKind.TOKEN), graph.nodes.where(NodeKind.TARGET)
    if len(graph.tokens_P) > _MOST_POSITIONS:
        needed = np.isin(graph.nodes.position_N[tokens], graph.nodes.position_N[np.concatenate([best, targets])])
        order = np.lexsort((-graph.influence_N[tokens], ~needed))
        tokens = tokens[order[: max(_MOST_POSITIONS, int(needed.sum()))]]
    return np.sort(np.concatenate([best, tokens, targets]))


_INNER = (NodeKind.FEATURE, NodeKind.ERROR)
_MOST_POSITIONS = 64  # a prompt of thousands of tokens would be a picture of hundreds of thousands of pixels
_TALLEST = 27.0  # inches for all layers
_LABEL, _LABEL_LINE = 40, 16  # characters of what somebody says about a feature: of one text, and of a line
_STEP = 0.55  # distance between nodes of one layer and position: enough for a label
_ONE_ROW = 3  # more nodes than this at one layer and position are drawn in two rows


def _layout(graph: Graph, shown_N: npt.NDArray[np.intp]) -> _Layout:
    """Return coordinates: nodes of one layer and position side by side, each position's column as wide as it needs."""
    nodes, x_N, y_N = graph.nodes, np.full(len(graph.nodes), np.nan), np.full(len(graph.nodes), np.nan)
    sites: dict[tuple[int, int], list[int]] = {}
    for node in shown_N.tolist():
        sites.setdefault((int(nodes.position_N[node]), int(nodes.layer_N[node])), []).append(node)
    width_P = np.zeros(len(graph.tokens_P))
    width_P[nodes.position_N[shown_N]] = 1.0
    for (position, layer), members in sites.items():
        if layer < graph.num_layers:  # targets may extend into the empty space beside them
            width_P[position] = max(width_P[position], _STEP * (_columns(len(members)) + 0.6))
    borders_P = np.concatenate([[0.0], np.cumsum(width_P)])
    for (position, layer), members in sites.items():
        is_target = layer == graph.num_layers
        two_rows = len(members) > _ONE_ROW and not is_target
        count = len(members) if is_target else _columns(len(members))
        right = min(borders_P[position] + width_P[position] / 2 + (count - 1) * _STEP / 2, borders_P[-1] - 0.4)
        for place, node in enumerate(reversed(members)):
            x_N[node] = right - (place // 2 if two_rows else place) * _STEP
            y_N[node] = layer + (0.17 - 0.34 * (place % 2) if two_rows else 0.0)
    return _Layout(x_N, y_N, borders_P)


def _columns(num_members: int) -> int:
    return num_members if num_members <= _ONE_ROW else (num_members + 1) // 2


def _draw_edges(
    axes: Any,
    graph: Graph,
    shown_N: npt.NDArray[np.intp],
    layout: _Layout,
    max_edges: int,
) -> int:
    """Draw the edges that pass on the most influence, and return how many there are."""
    from matplotlib.collections import LineCollection

    target_E, source_E = graph.target_E(), graph.source_E
    both_E = np.flatnonzero(np.isin(target_E, shown_N) & np.isin(source_E, shown_N))
    if not len(both_E):
        return 0
    passing_N = _passing(graph)
    share = np.abs(graph.weight_E[both_E]) / _row_sums(graph)[target_E[both_E]]
    passed = share * passing_N[target_E[both_E]]
    best = np.argsort(-passed, kind="stable")[:max_edges][::-1]
    edges, strength = both_E[best], passed[best] / max(passed.max(initial=0.0), 1e-30)
    source, target = source_E[edges], target_E[edges]
    lines = np.stack([layout.x_N[[source, target]].T, layout.y_N[[source, target]].T], 2)
    colours = [style.POSITIVE if weight > 0 else style.NEGATIVE for weight in graph.weight_E[edges]]
    strength = np.sqrt(strength)
    axes.add_collection(
        LineCollection(
            list(lines), colors=colours, linewidths=0.3 + 2.2 * strength, alpha=0.12 + 0.65 * strength, zorder=1
        )
    )
    return len(edges)


def _passing(graph: Graph) -> npt.NDArray[np.float64]:
    """Return what flows through each node: its influence, or the weight of a target. Imported graphs may not have it:
    if none of it is known, all nodes count the same."""
    passing_N = graph.influence_N + graph.target_weights_N()
    inner_N = graph.nodes.kind_N != NodeKind.TARGET
    if np.isnan(passing_N[inner_N]).all():
        return np.ones(len(passing_N))
    return np.nan_to_num(passing_N)


def _row_sums(graph: Graph) -> npt.NDArray[np.float64]:
    """Return the sum of |edge| of each row; of an imported graph, whose sums may be unknown, that of its own edges."""
    own_N = np.bincount(graph.target_E(), weights=np.abs(graph.weight_E), minlength=len(graph.nodes))
    return np.where(np.isnan(graph.row_abs_sum_N), own_N, graph.row_abs_sum_N)


def _draw_nodes(
    axes: Any,
    graph: Graph,
    shown_N: npt.NDArray[np.intp],
    layout: _Layout,
) -> None:
    size_N = _passing(graph)
    largest = size_N[shown_N].max(initial=1e-30)
    for kind, marker in _MARKERS.items():
        of_kind = shown_N[graph.nodes.kind_N[shown_N] == kind]
        axes.scatter(
            layout.x_N[of_kind],
            layout.y_N[of_kind],
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
    layout: _Layout,
    num_labels: int,
    labels: Labels,
) -> list[str]:
    """Name the most influential features and all targets. Return the texts of `labels` that were written."""
    nodes, named = graph.nodes, []
    features = shown_N[nodes.kind_N[shown_N] == NodeKind.FEATURE]
    for node in features[np.argsort(-graph.influence_N[features], kind="stable")[:num_labels]]:
        site = (int(nodes.layer_N[node]), int(nodes.feature_N[node]))
        text = labels.text(*site, length=_LABEL)
        named += [text] if text else []
        _label(axes, layout, node, "\n".join([f"{site[0]}:{site[1]}", *style.wrapped(text, _LABEL_LINE, 2)]), size=6)
    for node in nodes.where(NodeKind.TARGET):
        target = graph.targets[nodes.feature_N[node]]
        _label(axes, layout, node, f"{style.label(target.label)}\n{target.weight:.2f}", size=7)
    return named


def _label(axes: Any, layout: _Layout, node: int, text: str, size: float) -> None:
    axes.annotate(
        text,
        (layout.x_N[node], layout.y_N[node]),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        fontsize=size,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "alpha": 0.65, "linewidth": 0},
    )


def _title(axes: Any, graph: Graph) -> None:
    scores = graph.scores
    text = style.words(graph.text or graph.prompt_id, 90)
    known = f"replacement {scores.replacement:.2f}, completeness {scores.completeness:.2f}, "
    axes.set_title(
        f"{text}\n{known if np.isfinite(scores.replacement) else ''}{len(graph.nodes):,} nodes, "
        f"{graph.num_edges:,} edges",
        loc="left",
        fontsize=9,
    )
