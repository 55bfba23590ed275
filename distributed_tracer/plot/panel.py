"""Panel: one graph laid out with its axes, in inches, ready to be drawn on a figure.

Axes: N node, E edge, P position that is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.edge_strength import passing_influence
from ..graph.graph import Graph
from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from . import fonts, style
from .layout import Cell, Layout, lay_out, least_width
from .selection import INNER, Selection, select

_TALLEST = 100.0  # inches: what a PNG of 150 dots per inch can be printed and opened with
GAP = 0.03  # inches around a marker and beside a label
RIGHT = 0.04  # inches at the right of a drawing
_PASSES = 3  # layouts that are tried until the names of tokens have room
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
    area_N: Mapping[int, float]
    """Areas of the markers of the drawn nodes, in square points."""
    centre_N: npt.NDArray[np.float64]
    """Centres [N, 2] of the markers in inches; NaN for nodes that are not drawn."""
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
        return self.left + self.layout.width + RIGHT

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
    widest = ("targets", f"layer {graph.num_layers}", f"⋮ {graph.num_layers}–{graph.num_layers}")
    left = 0.12 + max(fonts.text_size(text, sizes.tick)[0] for text in widest)
    for _ in range(_PASSES):
        room = None if width is None else max(width - left - RIGHT, 0.5)
        panel = _laid_out(graph, layers, limits, room, labels, most_positions, sizes)
        if room is None or panel.left <= left:
            break
        left = panel.left + GAP  # the first names of tokens reach far to the left, and leave less room
    if panel.layout.height > _TALLEST:
        raise ConfigError(
            f"the picture would be {panel.layout.height:,.0f} inches tall, and at most {_TALLEST:.0f} can be printed: "
            f"draw fewer nodes than {limits.nodes:,}, or fewer layers, or make it wider"
        )
    return replace(panel, left=max(left, panel.left))


def _laid_out(
    graph: Graph,
    layers: range,
    limits: Limits,
    room: float | None,
    labels: Labels,
    most_positions: int,
    sizes: Sizes,
) -> Panel:
    """Select and lay out a graph in a drawing that is `room` inches wide. The panel's `left` is what the names of
    tokens need."""
    if room is not None:
        most_positions = min(most_positions, max(int(room / sizes.column), 1))
    num_names = limits.names
    while True:
        selection = select(graph, layers, limits.nodes, limits.edges, most_positions)
        names, texts = _names(graph, selection, labels, num_names)
        areas = _marker_areas(graph, selection, sizes)
        heights = _marker_heights(graph, areas)
        cells = _cells(graph, areas, heights, names, sizes)
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
    centre_N = np.stack([layout.x_N, layout.y_N], 1)
    for kind, height in heights.items():
        centre_N[graph.nodes.kind_N == kind, 1] += (height + GAP) / 2
    tokens = [graph.token_strings[p] for p in layout.positions_P]
    ticks = tuple(map(style.label, tokens))
    rotation, below, overhang = _rotation(ticks, layout, sizes.tick)
    said = (*tokens, *texts)
    return Panel(graph, selection, layout, sizes, areas, centre_N, names, said, ticks, rotation, overhang, below)


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
        weight = f"\n{target.weight:.2f}" if math.isfinite(target.weight) else ""
        found[node] = f"{style.label(target.label)}{weight}"
    return found, texts


def _marker_areas(graph: Graph, selection: Selection, sizes: Sizes) -> dict[int, float]:
    shown = selection.shown_N
    size = passing_influence(graph)[shown]
    areas = sizes.least_marker + sizes.more_marker * size / max(size.max(initial=0.0), 1e-30)
    return dict(zip(shown.tolist(), areas.tolist(), strict=True))


def _marker_heights(graph: Graph, areas: Mapping[int, float]) -> dict[NodeKind, float]:
    """Return the room for a marker of each kind in inches, which features and errors share, so that those of a row are
    level."""
    largest = dict.fromkeys(NodeKind, 0.0)
    for node, area in areas.items():
        kind = NodeKind(graph.nodes.kind_N[node])
        for other in INNER if kind in INNER else (kind,):
            largest[other] = max(largest[other], _diameter(area))
    return largest


def _diameter(area: float) -> float:
    """Return the size of a marker in inches. A diamond and the white edge are wider than what the area says."""
    return math.sqrt(area) / 72 * 1.15


def _cells(
    graph: Graph,
    areas: Mapping[int, float],
    heights: Mapping[NodeKind, float],
    names: Mapping[int, str],
    sizes: Sizes,
) -> dict[int, Cell]:
    cells = {}
    for node, area in areas.items():
        kind = NodeKind(graph.nodes.kind_N[node])
        width, height = _diameter(area) + GAP, heights[kind] + GAP
        if node in names:
            size = sizes.target if kind is NodeKind.TARGET else sizes.feature
            text_width, text_height = fonts.text_size(names[node], size)
            width, height = max(width, text_width + 2 * GAP), height + text_height + GAP
        cells[node] = Cell(width, height)
    return cells


def _rotation(ticks: tuple[str, ...], layout: Layout, size: float) -> tuple[float, float, float]:
    """Return the angle of the tokens' names, their height, and how far the first ones reach to the left."""
    spaces = np.diff(layout.borders_P)
    centres = layout.centres_P
    widths, heights = np.array([fonts.text_size(text, size) for text in ticks]).reshape(-1, 2).T
    height = float(heights.max(initial=0.0))
    if (widths + 0.06 <= spaces).all():
        return 0.0, height + 0.09, 0.0
    closest = float(np.diff(centres).min(initial=math.inf))
    angle = 45.0 if closest >= height / math.sin(math.pi / 4) else 90.0
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    overhang = float((widths * cosine + height * sine - centres).max(initial=0.0))
    return angle, float((widths * sine).max(initial=0.0)) + height * cosine + 0.09, overhang + 0.03
