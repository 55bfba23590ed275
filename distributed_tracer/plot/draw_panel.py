"""Drawing of a panel: axes, edges and nodes of one graph, at the places that its layout gives them.

Axes: N node, E edge, P position that is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph.nodes import NodeKind
from . import style
from .groups import Look
from .panel import GAP, NARROW, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = {NodeKind.FEATURE: "o", NodeKind.ERROR: "D", NodeKind.TOKEN: "s", NodeKind.TARGET: "s"}
COLOURS = {
    NodeKind.FEATURE: style.FEATURE,
    NodeKind.ERROR: style.ERROR,
    NodeKind.TOKEN: style.TOKEN,
    NodeKind.TARGET: style.TARGET,
}


def draw_panel(figure: Figure, panel: Panel, x: float, y: float, looks: Mapping[int, Look]) -> Any:
    """Draw the panel with its lower left corner at this place of the figure in inches, and return the axes.

    `looks` gives nodes other colours and markers than those of their kinds.
    """
    width, height = figure.get_size_inches()
    layout, sizes = panel.layout, panel.sizes
    axes = figure.add_axes(
        ((x + panel.left) / width, (y + panel.below) / height, layout.width / width, layout.height / height)
    )
    axes.set_xlim(0, layout.width)
    axes.set_ylim(0, layout.height)
    axes.tick_params(labelsize=sizes.tick, length=2.5, width=0.6, pad=2)
    turned: dict[str, Any] = {"ha": "right", "rotation_mode": "anchor"} if panel.rotation else {}
    axes.set_xticks(layout.centres_P, panel.ticks, rotation=panel.rotation, va="top", **turned)
    if panel.rotation:
        for tick in axes.get_xticklabels():
            tick.set_verticalalignment("center" if panel.rotation == 90 else "top")
    _draw_bands(axes, panel)
    _draw_columns(axes, panel)
    _draw_edges(axes, panel)
    _draw_nodes(axes, panel, looks)
    return axes


def _draw_bands(axes: Any, panel: Panel) -> None:
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_linewidth(0.7)
    names = []
    for band in panel.layout.bands:
        axes.plot(
            [0, 0],
            [band.bottom, band.top],
            color="#888888" if band.is_folded else "black",
            linewidth=0.7,
            linestyle=(0, (1, 2)) if band.is_folded else "-",
            clip_on=False,
            zorder=3,
        )
        if band.is_folded:
            axes.axhspan(band.bottom, band.top, color="#f3f3f3", linewidth=0, zorder=0)
            names.append(f"⋮ {span(band.first, band.last)}")
        else:
            ends = {-1: "tokens", panel.graph.num_layers: "targets"}
            names.append(ends.get(band.first, f"layer {band.first}"))
    axes.set_yticks([band.middle for band in panel.layout.bands], names)
    for band, tick in zip(panel.layout.bands, axes.get_yticklabels(), strict=True):
        if band.is_folded:
            tick.set(color="#666666", fontsize=max(panel.sizes.tick - 1, 6))


def span(first: int, last: int) -> str:
    """Return the numbers from `first` to `last` as text: `3` or `3–7`."""
    return f"{first}" if first == last else f"{first}–{last}"


def _draw_columns(axes: Any, panel: Panel) -> None:
    """Draw a line between positions, which is darker where positions are left out."""
    gaps = np.diff(panel.layout.positions_P) > 1
    for border, is_gap in zip(panel.layout.borders_P[1:-1], gaps, strict=True):
        options = {"color": "#999999", "linestyle": (0, (1, 2))} if is_gap else {"color": "#ececec"}
        axes.axvline(border, linewidth=0.6, zorder=0, **options)


def _draw_edges(axes: Any, panel: Panel) -> None:
    from matplotlib.collections import LineCollection

    graph, edges = panel.graph, panel.selection.edge_E
    strength = np.sqrt(panel.selection.passed_E)
    lines = np.stack([panel.centre_N[graph.source_E[edges]], panel.centre_N[graph.target_E()[edges]]], 1)
    colours = [style.POSITIVE if weight > 0 else style.NEGATIVE for weight in graph.weight_E[edges]]
    thickness = 0.75 if panel.sizes is NARROW else 1.0
    axes.add_collection(
        LineCollection(
            list(lines),
            colors=colours,
            linewidths=thickness * (0.3 + 2.2 * strength),
            alpha=0.12 + 0.65 * strength if len(edges) else None,
            zorder=1,
        )
    )


def _draw_nodes(axes: Any, panel: Panel, looks: Mapping[int, Look]) -> None:
    graph, sizes, areas, centre_N = panel.graph, panel.sizes, panel.area_N, panel.centre_N
    for kind, usual in MARKERS.items():
        own = [(node, looks.get(node, Look(COLOURS[kind]))) for node in panel.selection.of_kinds(graph, kind).tolist()]
        for marker in dict.fromkeys([usual, *(look.marker or usual for _, look in own)]):
            drawn = [(node, look.colour) for node, look in own if (look.marker or usual) == marker]
            nodes = [node for node, _ in drawn]
            axes.scatter(
                centre_N[nodes, 0],
                centre_N[nodes, 1],
                s=[areas[node] for node in nodes],
                marker=marker,
                color=[colour for _, colour in drawn] or None,
                edgecolors="white",
                linewidths=0.5,
                zorder=2,
            )
    for node, text in panel.names.items():
        is_target = graph.nodes.kind_N[node] == NodeKind.TARGET
        x, y = centre_N[node]
        axes.text(
            x,
            y + math.sqrt(areas[node]) / 144 + GAP / 2,
            text,
            ha="center",
            va="bottom",
            fontsize=sizes.target if is_target else sizes.feature,
            linespacing=1.05,
            zorder=4,
            bbox={"boxstyle": "square,pad=0.03", "facecolor": "white", "alpha": 0.7, "linewidth": 0},
        )
