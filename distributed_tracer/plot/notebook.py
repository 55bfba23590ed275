"""The drawing of a graph as HTML for notebooks."""

from __future__ import annotations

import base64
import io
from html import escape

from ..errors import ConfigError
from ..graph.graph import Graph
from ..text import printable, short
from . import style
from .graph import draw_graph

_LARGEST = 1_000_000
"""Largest drawing in a notebook, in bytes: a notebook keeps every output."""
_NODES, _EDGES, _NAMES = 40, 110, 15


def graph_drawing(graph: Graph) -> str:
    """Return the drawing of a graph as an image in HTML, and below it what it leaves out; empty without matplotlib.

    The image is SVG inside of an address: a browser runs no script in it, and notebooks that do not trust their outputs
    show it, while they remove SVG elements.
    """
    try:
        figure = draw_graph(graph, max_nodes=_NODES, max_edges=_EDGES, num_labels=_NAMES)
    except ConfigError:  # matplotlib is not installed, or the graph is too tall to be drawn
        return ""
    drawn = io.BytesIO()
    style.write_figure(figure, drawn, "svg")
    if drawn.tell() > _LARGEST:
        return "<p>the drawing is too large for a notebook: draw_graph draws it</p>"
    width = figure.get_size_inches()[0] * 96  # pixels of CSS
    name = escape(printable(f"drawing of the attribution graph {short(graph.prompt_id)}"), quote=True)
    address = f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode('ascii')}"
    return f'<img alt="{name}" width="{width:.0f}" style="max-width: 100%" src="{address}">'
