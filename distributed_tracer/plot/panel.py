"""Panel: the drawing of one graph with its axes, in inches, to be placed on a figure.

Axes: N node, E edge, P position that is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.graph import Graph
from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from . import fonts, style
from .layout import Cell, Layout, lay_out, least_width
from .selection import INNER, Selection, select

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = {NodeKind.FEATURE: "o", NodeKind.ERROR: "D", NodeKind.TOKEN: "s", NodeKind.TARGET: "s"}
COLOURS = {
    NodeKind.FEATURE: style.FEATURE,
    NodeKind.ERROR: style.ERROR,
    NodeKind.TOKEN: style.TOKEN,
    NodeKind.TARGET: style.TARGET,
}
_TALLEST = 100.0  # inches: what a PNG of 150 dots per inch can be printed and opened with
_GAP = 0.03  # inches around a marker and beside a label
_LINE = 1.22  # height of a line, in sizes of its font
_LABEL_LINES, _LABEL_LINE = 2, 16  # of what somebody says about a feature: lines, and characters of a line


class Sizes(NamedTuple):
    """Sizes of text in points, of markers in square points, and of the least column in inches. No text is smaller than
    6 points, the least that journals print."""

    feature: float
    target: float
    tick: float
    title: float
    note: float
    least_marker: float
    more_marker: float
    column: float


NARROW = Sizes(6.0, 6.5, 6.5, 7.5, 6.0, 8.0, 50.0, 0.13)
_WIDE = Sizes(6.5, 7.5, 8.0, 9.0, 7.0, 14.0, 150.0, 0.3)


def sizes_of(width: float | None) -> Sizes:
    """Return the sizes for a picture of this width in inches; None stands for as wide as it needs."""
    return NARROW if width is not None and width < 9.0 else _WIDE


class Limits(NamedTuple):
    """How much of a graph is drawn at most: features and errors, edges, features with names."""

    nodes: int
    edges: int
    names: int


@dataclass(frozen=True, eq=False)
class Panel:
    """One graph, ready to be drawn: what is shown, where, and how much room the axes take around it in inches."""

    graph: Graph
    selection: Selection
    layout: Layout
    sizes: Sizes
    names: Mapping[int, str]
    """What stands above a node; texts of some lines."""
    texts: tuple[str, ...]
    """All texts from outside in the drawing, before characters without a font are replaced."""
    ticks: tuple[str, ...]
    rotation: float
    left: float
    below: float

    @property
    def width(self) -> float:
        """The width with the names of the layers, in inches."""
        return self.left + self.layout.width + 0.04

    @property
    def height(self) -> float:
        """The height with the tokens below, in inches."""
        return self.below + self.layout.height


def make_panel(
    graph: Graph, layers: range, limits: Limits, width: float | None, labels: Labels, most_positions: int
) -> Panel:
    """Select and lay out a graph. With `width`, the panel has this width in inches: names of features are left out
    until the nodes fit, then positions. Raises ConfigError for a picture too tall to be printed."""
    sizes = sizes_of(width)
    left = 0.12 + max(text_size(text, sizes.tick)[0] for text in ("targets", f"layer {graph.num_layers}", "⋮ 00–00"))
    room = None if width is None else max(width - left - 0.04, 0.5)
    if room is not None:
        most_positions = min(most_positions, max(int(room / sizes.column), 1))
    num_names = limits.names
    while True:
        selection = select(graph, layers, limits.nodes, limits.edges, most_positions)
        names, texts = _names(graph, selection, labels, num_names)
        cells = _cells(graph, selection, names, sizes)
        if room is None or least_width(cells, graph.nodes, graph.num_layers, sizes.column) <= room:
            break
        drawn = len(np.unique(graph.nodes.position_N[selection.shown_N]))
        if num_names:
            num_names = num_names * 2 // 3
        elif drawn > 1:
            most_positions = drawn - 1
        else:
            break
    layout = lay_out(cells, graph.nodes, layers, graph.num_layers, sizes.column, room)
    if layout.height > _TALLEST:
        raise ConfigError(
            f"the picture would be {layout.height:,.0f} inches tall, and at most {_TALLEST:.0f} can be printed: draw "
            f"fewer nodes than {limits.nodes:,}, or fewer layers, or make it wider"
        )
    tokens = [graph.token_strings[p] for p in layout.positions_P]
    ticks = tuple(map(style.label, tokens))
    rotation, below, overhang = _rotation(ticks, layout, sizes.tick)
    return Panel(graph, selection, layout, sizes, names, (*tokens, *texts), ticks, rotation, max(left, overhang), below)


def _names(graph: Graph, selection: Selection, labels: Labels, num_names: int) -> tuple[dict[int, str], list[str]]:
    """Return what stands above nodes, and the texts from outside in it."""
    nodes, found, texts = graph.nodes, dict[int, str](), list[str]()
    features = selection.of_kinds(graph, NodeKind.FEATURE)
    influence = np.nan_to_num(graph.influence_N[features])
    for node in features[np.argsort(-influence, kind="stable")[:num_names]].tolist():
        site = (int(nodes.layer_N[node]), int(nodes.feature_N[node]))
        text = " | ".join(dict.fromkeys(label.text for label in labels.get(*site)))
        texts.append(style.shown(text, _LABEL_LINES * _LABEL_LINE))
        found[node] = "\n".join([f"{site[0]}:{site[1]}", *style.wrapped(text, _LABEL_LINE, _LABEL_LINES)])
    for node in selection.of_kinds(graph, NodeKind.TARGET).tolist():
        target = graph.targets[nodes.feature_N[node]]
        texts.append(style.shown(target.label))
        found[node] = f"{style.label(target.label)}\n{target.weight:.2f}"
    return found, texts


def marker_areas(graph: Graph, shown_N: npt.NDArray[np.intp], sizes: Sizes) -> npt.NDArray[np.float64]:
    """Return the areas of the markers of the shown nodes in square points."""
    size = np.nan_to_num(graph.influence_N.astype(np.float64) + graph.target_weights_N())[shown_N]
    areas: npt.NDArray[np.float64] = sizes.least_marker + sizes.more_marker * size / max(size.max(initial=0.0), 1e-30)
    return areas


def _cells(graph: Graph, selection: Selection, names: Mapping[int, str], sizes: Sizes) -> dict[int, Cell]:
    shown = selection.shown_N
    diameters = np.sqrt(marker_areas(graph, shown, sizes)) / 72 * 1.15  # a diamond and the white edge are wider
    tallest = _tallest_markers(graph, shown, diameters)
    cells = {}
    for node, diameter in zip(shown.tolist(), diameters.tolist(), strict=True):
        kind = NodeKind(graph.nodes.kind_N[node])
        width, height = diameter + _GAP, tallest[kind] + _GAP
        if node in names:
            size = sizes.target if kind is NodeKind.TARGET else sizes.feature
            text_width, text_height = text_size(names[node], size)
            width, height = max(width, text_width + 2 * _GAP), height + text_height + _GAP
        cells[node] = Cell(width, height)
    return cells


def _tallest_markers(
    graph: Graph, shown: npt.NDArray[np.intp], diameters: npt.NDArray[np.float64]
) -> dict[NodeKind, float]:
    """Return the room for a marker in inches, which features and errors share, so that those of a row are level."""
    kinds = graph.nodes.kind_N[shown]
    inner = float(diameters[np.isin(kinds, INNER)].max(initial=0.0))
    return {kind: inner if kind in INNER else float(diameters[kinds == kind].max(initial=0.0)) for kind in NodeKind}


def _rotation(ticks: tuple[str, ...], layout: Layout, size: float) -> tuple[float, float, float]:
    """Return the angle of the tokens' names, their height, and how far the first ones reach to the left."""
    spaces = np.diff(layout.borders_P)
    centres = layout.centres_P
    widths, heights = np.array([text_size(text, size) for text in ticks]).reshape(-1, 2).T
    height = float(heights.max(initial=0.0))
    if (widths + 0.06 <= spaces).all():
        return 0.0, height + 0.09, 0.0
    closest = float(np.diff(centres).min(initial=math.inf))
    angle = 45.0 if closest >= height / math.sin(math.pi / 4) else 90.0
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    overhang = float((widths * cosine + height * sine - centres).max(initial=0.0))
    return angle, float((widths * sine).max(initial=0.0)) + height * cosine + 0.09, overhang + 0.03


def draw_panel(
    figure: Figure, panel: Panel, x: float, y: float, colour_N: Mapping[int, str], edge_colours: list[str] | None = None
) -> Any:
    """Draw the panel with its lower left corner at this place of the figure in inches, and return the axes.

    `colour_N` gives nodes other colours than those of their kinds, `edge_colours` the edges.
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
    centres_N = _centres(panel)
    _draw_edges(axes, panel, centres_N, edge_colours)
    _draw_nodes(axes, panel, centres_N, colour_N)
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


def _centres(panel: Panel) -> npt.NDArray[np.float64]:
    """Return the centres [N, 2] of all markers in inches; NaN for nodes that are not drawn."""
    graph, shown = panel.graph, panel.selection.shown_N
    diameters = np.sqrt(marker_areas(graph, shown, panel.sizes)) / 72 * 1.15
    tallest = _tallest_markers(graph, shown, diameters)
    centres = np.stack([panel.layout.x_N, panel.layout.y_N], 1)
    for kind, height in tallest.items():
        centres[graph.nodes.kind_N == kind, 1] += height / 2 + _GAP / 2
    return centres


def _draw_edges(axes: Any, panel: Panel, centres_N: npt.NDArray[np.float64], colours: list[str] | None) -> None:
    from matplotlib.collections import LineCollection

    graph, edges = panel.graph, panel.selection.edge_E
    strength = np.sqrt(panel.selection.passed_E)
    lines = np.stack([centres_N[graph.source_E[edges]], centres_N[graph.target_E()[edges]]], 1)
    if colours is None:
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


def _draw_nodes(axes: Any, panel: Panel, centres_N: npt.NDArray[np.float64], colour_N: Mapping[int, str]) -> None:
    graph, sizes, shown = panel.graph, panel.sizes, panel.selection.shown_N
    areas = dict(zip(shown.tolist(), marker_areas(graph, shown, sizes).tolist(), strict=True))
    for kind, marker in MARKERS.items():
        nodes = panel.selection.of_kinds(graph, kind).tolist()
        axes.scatter(
            centres_N[nodes, 0],
            centres_N[nodes, 1],
            s=[areas[node] for node in nodes],
            marker=marker,
            color=[colour_N.get(node, COLOURS[kind]) for node in nodes] or None,
            edgecolors="white",
            linewidths=0.5,
            zorder=2,
        )
    for node, text in panel.names.items():
        is_target = graph.nodes.kind_N[node] == NodeKind.TARGET
        x, y = centres_N[node]
        axes.text(
            x,
            y + math.sqrt(areas[node]) / 144 + _GAP / 2,
            text,
            ha="center",
            va="bottom",
            fontsize=sizes.target if is_target else sizes.feature,
            linespacing=1.05,
            zorder=4,
            bbox={"boxstyle": "square,pad=0.03", "facecolor": "white", "alpha": 0.7, "linewidth": 0},
        )


def text_size(text: str, size: float) -> tuple[float, float]:
    """Return width and height in inches of a text of some lines, drawn in `size` points."""
    lines = text.split("\n")
    families = tuple(fonts.families())
    return max(_line_width(line, size, families) for line in lines), len(lines) * size * _LINE / 72


@lru_cache(4096)
def _line_width(line: str, size: float, families: tuple[str, ...]) -> float:
    from matplotlib.font_manager import FontProperties

    if not line:
        return 0.0
    prop = FontProperties(family=list(families), size=size)
    width, _, _ = _renderer().get_text_width_height_descent(line, prop, False)
    return float(width) / 72


@cache
def _renderer() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, 72)  # type: ignore[no-untyped-call]
