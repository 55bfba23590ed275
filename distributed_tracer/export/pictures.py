"""Export of one graph as a picture: the drawing that `draw_graph` makes without options, with labels."""

from __future__ import annotations

import io
from pathlib import Path

from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..plot.graph import draw_graph
from ..plot.style import import_matplotlib, notes, write_figure
from .atomic import check_file, new_file


def check_drawing(path: Path) -> None:
    """Raise ConfigError for a file that cannot be written, and without matplotlib."""
    check_file(path)
    import_matplotlib()


def write_svg(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write the drawing as SVG, with text as outlines; return what it leaves out, as its lines below say."""
    return _write(graph, destination, context, "svg")


def write_png(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write the drawing as PNG of 150 dots per inch; return what it leaves out, as its lines below say."""
    return _write(graph, destination, context, "png")


def _write(graph: Graph, destination: Path, context: GraphContext, format: str) -> list[str]:
    figure, drawn = draw_graph(graph, labels=context.labels, groups=context.communities), io.BytesIO()
    write_figure(figure, drawn, format)
    with new_file(destination) as file:
        file.write(drawn.getbuffer())
    return notes(figure)
