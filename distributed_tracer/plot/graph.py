"""Picture of one attribution graph: positions to the right, layers upward, edges between the most influential nodes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..graph.context import Group
from ..graph.edge_strength import has_influence
from ..graph.graph import Graph
from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from ..names import unknown
from ..plain_values import finite, integer
from . import style
from .draw_panel import COLOURS, MARKERS, draw_panel, span
from .fonts import text_size
from .groups import Look, Looks, looks_of
from .panel import NARROW, Limits, Panel, Sizes, make_panel, sizes_of
from .selection import INNER, chosen_layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = {"column": 3.3, "page": 7.0, "screen": None}
"""Width of a picture in inches by size: one column of a paper, both columns, or as wide as the graph needs."""
_NARROWEST, _WIDEST = 2.5, 60.0
_LEAST_WIDTH = 5.0  # inches, of a picture as wide as it needs
MOST_POSITIONS = 64  # a prompt of thousands of tokens would be a picture of hundreds of thousands of pixels
_LIMITS = ((5.0, Limits(24, 60, 10)), (9.0, Limits(40, 110, 20)), (math.inf, Limits(60, 160, 20)))
"""What is drawn unless the caller says so, for pictures that are narrower than the first number, in inches."""
_MARGIN = 0.08
_SCREEN_DPI, _PRINT_DPI = 150, 300  # of PNG


@style.in_own_style
def draw_graph(
    graph: Graph,
    *,
    labels: Labels | None = None,
    groups: Sequence[Group] | None = None,
    layers: range | slice | Iterable[int] | None = None,
    max_nodes: int | None = None,
    max_edges: int | None = None,
    num_labels: int | None = None,
    size: str | None = None,
    width: float | None = None,
) -> Figure:
    """Draw the most influential nodes and the strongest edges between them.

    The area of a node shows its influence, the width of an edge the influence that it passes on; blue edges raise their
    target, orange ones lower it. The `num_labels` most influential features are labelled `layer:index`, and below it
    with what `labels` say about them, wrapped and shortened. Layers without drawn nodes are folded. Lines below the
    picture say what is left out; long prompts are drawn without the positions that have none of these nodes.

    With `groups`, such as those of `community_groups`, features have the colours of their groups, which the legend
    names; the six most influential groups have circles, the next six the same colours with other markers, and so on.
    Features without a group are grey.

    `layers` are drawn alone, all of them by default: `range(10, 20)`. `size` is `column` (3.3 inches wide, for one
    column of a paper), `page` (7 inches), or `screen` (as wide as the graph needs, the default); `width` is a width in
    inches instead. A narrow picture has fewer nodes, edges and labels unless `max_nodes`, `max_edges` and `num_labels`
    say how many; labels that do not fit beside each other are left out. Text has at least 6 points. Raises ConfigError
    for values that are not understood, for a picture that would be too tall, and without matplotlib.
    """
    wanted = picture_width(size, width)
    limits = _limits(wanted, max_nodes, max_edges, num_labels)
    chosen = chosen_layers(layers, graph.num_layers)
    inner = None if wanted is None else wanted - 2 * _MARGIN
    most = max(MOST_POSITIONS, limits.nodes + len(graph.targets))
    panel = make_panel(graph, chosen, limits, inner, labels or Labels(), most)
    if wanted is None and panel.width < _LEAST_WIDTH:
        panel = make_panel(graph, chosen, limits, _LEAST_WIDTH, labels or Labels(), most)
    looks = Looks({}, (), (), ()) if groups is None else looks_of(graph, groups, panel.selection.shown_N)
    lines = style.note_lines(
        [*left_out(panel), *_without_names(panel, num_labels), *looks.notes],
        [style.shown(graph.text or graph.prompt_id, 90), *panel.texts, *looks.texts],
    )
    entries = legend_entries([panel], looks.entries)
    return compose([panel], [title(graph)], entries, lines, sizes_of(wanted), [looks.of_node])


def picture_width(size: str | None, width: float | None) -> float | None:
    """Return the width of a picture in inches; None stands for as wide as it needs. Raises ConfigError."""
    if size is not None and width is not None:
        raise ConfigError(f"a picture has a size or a width: give {size!r} or {width!r}, not both")
    if size is not None and size not in WIDTHS:
        raise ConfigError(unknown("size of a picture", size, WIDTHS))
    if width is None:
        return WIDTHS[size or "screen"]
    inches = finite(width, "the width of a picture", ConfigError)
    if not _NARROWEST <= inches <= _WIDEST:
        raise ConfigError(f"a picture is {_NARROWEST} to {_WIDEST:.0f} inches wide, not {inches:g}")
    return inches


def _limits(width: float | None, *given: int | None) -> Limits:
    usual = next(limits for below, limits in _LIMITS if (width or _WIDEST) < below)
    found = []
    for name, value, default in zip(("max_nodes", "max_edges", "num_labels"), given, usual, strict=True):
        found.append(default if value is None else integer(value, name, ConfigError))
        if found[-1] < 0:
            raise ConfigError(f"{name} must not be negative, not {found[-1]}")
    return Limits(*found)


def left_out(panel: Panel) -> list[str]:
    """Return lines that say what of the graph is not in the picture; none if everything is."""
    graph, selection = panel.graph, panel.selection
    num_inner, num_shown = int(np.isin(graph.nodes.kind_N, INNER).sum()), len(selection.of_kinds(graph, *INNER))
    nodes, edges = "the most influential", "those that pass on most"
    if not has_influence(graph):
        nodes, edges = "whose influence is not known", "the largest shares of their rows"
    counts = [
        (num_shown, num_inner, f"features and errors, {nodes}"),
        (len(selection.edge_E), graph.num_edges, f"edges, {edges}"),
        (len(panel.layout.positions_P), len(graph.tokens_P), "positions"),
        (len(selection.layers), graph.num_layers, f"layers, from {selection.layers.start}"),
    ]
    drawn = [f"{some:,} of {all_:,} {what}" for some, all_, what in counts if some < all_]
    folded = [span(band.first, band.last) for band in panel.layout.bands if band.is_folded]
    lines = [f"drawn are {'; '.join(drawn)}"] if drawn else []
    return [*lines, f"folded are layers without drawn nodes: {', '.join(folded)}"] if folded else lines


def _without_names(panel: Panel, asked: int | None) -> list[str]:
    features = panel.selection.of_kinds(panel.graph, NodeKind.FEATURE)
    named = sum(int(panel.graph.nodes.kind_N[node]) == NodeKind.FEATURE for node in panel.names)
    wanted = min(asked or 0, len(features))
    return [f"only {named} of the {wanted} most influential features have room for a label"] if named < wanted else []


def legend_entries(panels: Sequence[Panel], features: Sequence[tuple[str, Look]] = ()) -> list[tuple[str, Any]]:
    """Return names and samples of what the panels show. `features` are names and looks of kinds of features."""
    from matplotlib.lines import Line2D

    def marker(kind: NodeKind, look: Look) -> Any:
        return Line2D([], [], marker=look.marker or MARKERS[kind], color=look.colour, linestyle="", markersize=4)

    entries = []
    for kind in NodeKind:
        if any(len(panel.selection.of_kinds(panel.graph, kind)) for panel in panels):
            usual = [(f"{kind.name.lower()}s", Look(COLOURS[kind]))]
            named = features if features and kind is NodeKind.FEATURE else usual
            entries += [(name, marker(kind, look)) for name, look in named]
    weights = np.concatenate([panel.graph.weight_E[panel.selection.edge_E] for panel in panels])
    for name, colour, has in (
        ("raises", style.POSITIVE, (weights > 0).any()),
        ("lowers", style.NEGATIVE, (weights <= 0).any()),
    ):
        entries += [(name, Line2D([], [], color=colour, linewidth=1.5))] if has else []
    return entries


def compose(
    panels: Sequence[Panel],
    titles: Sequence[str],
    entries: Sequence[tuple[str, Any]],
    notes: list[str],
    sizes: Sizes,
    looks: Sequence[Mapping[int, Look]],
) -> Figure:
    """Return a figure with panels side by side, their titles above, and a legend and notes below. Nothing overlaps.

    `looks` has, for each panel, colours and markers of nodes that are not those of their kinds.
    """
    gap = 0.25
    width = sum(panel.width for panel in panels) + gap * (len(panels) - 1) + 2 * _MARGIN
    wrapped = [_wrap(title, panel.width, sizes.title) for title, panel in zip(titles, panels, strict=True)]
    title_height = max(text_size("\n".join(lines), sizes.title)[1] for lines in wrapped) + 0.1
    note_text = "\n".join(line for note in notes for line in _wrap(note, width - 2 * _MARGIN, sizes.note))
    note_height = text_size(note_text, sizes.note)[1] + 0.04 if note_text else 0.0
    columns, legend_height = _legend_size(entries, width - 2 * _MARGIN, sizes.note)
    body = max(panel.height for panel in panels)
    below = max(panel.below for panel in panels)
    height = _MARGIN + title_height + body + legend_height + note_height + _MARGIN
    figure = style.new_picture(width, height, dpi=_PRINT_DPI if sizes is NARROW else _SCREEN_DPI)
    x = _MARGIN
    for number, (panel, lines) in enumerate(zip(panels, wrapped, strict=True)):
        y = _MARGIN + note_height + legend_height + below - panel.below
        draw_panel(figure, panel, x, y, looks[number])
        top = (_MARGIN + note_height + legend_height + body + title_height) / height
        figure.text(x / width, top, "\n".join(lines), ha="left", va="top", fontsize=sizes.title, linespacing=1.15)
        x += panel.width + gap
    if entries:
        names, handles = zip(*entries, strict=True)
        figure.legend(
            handles,
            names,
            loc="lower left",
            bbox_to_anchor=(_MARGIN / width, (_MARGIN + note_height) / height),
            ncols=columns,
            frameon=False,
            fontsize=sizes.note,
            borderpad=0,
            borderaxespad=0,
            handlelength=_HANDLE,
            handletextpad=_HANDLE_GAP,
            columnspacing=_HANDLE_GAP * 3,
            labelspacing=0.35,
        )
    figure.text(
        _MARGIN / width,
        _MARGIN / height,
        note_text,
        ha="left",
        va="bottom",
        fontsize=sizes.note,
        color="#444444",
        linespacing=1.15,
    )
    figure.notes = notes
    return figure


_HANDLE, _HANDLE_GAP = 1.3, 0.4  # in sizes of the font: length of a sample in the legend, and the gap beside it


def _legend_size(entries: Sequence[tuple[str, Any]], width: float, size: float) -> tuple[int, float]:
    """Return the number of columns of the legend that fit, and its height in inches."""
    if not entries:
        return 1, 0.0
    widest = max(text_size(name, size)[0] for name, _ in entries) + (_HANDLE + 4 * _HANDLE_GAP) * size / 72
    columns = min(max(int(width / widest), 1), len(entries))
    return columns, math.ceil(len(entries) / columns) * size * 1.4 / 72 + 0.06


def _wrap(text: str, width: float, size: float) -> list[str]:
    """Return the lines of a text such that none is wider than `width` inches."""
    lines: list[str] = []
    for line in text.split("\n"):
        count = max(len(line), 1)
        while True:
            wrapped = textwrap.wrap(line, count) or [""]
            if count <= 8 or max(text_size(part, size)[0] for part in wrapped) <= width:
                break
            count = int(count * 0.93)
        lines += wrapped
    return lines


def title(graph: Graph) -> str:
    """Return the title of a graph's picture: its text, scores and sizes."""
    scores = [
        f"{name} {value:.2f}"
        for name, value in (("replacement", graph.scores.replacement), ("completeness", graph.scores.completeness))
        if math.isfinite(value)
    ]
    sizes = f"{len(graph.nodes):,} nodes, {graph.num_edges:,} edges"
    return f"{style.words(graph.text or graph.prompt_id, 90)}\n{', '.join([*scores, sizes])}"
