"""A small graph as a picture: the strongest edges of a table, from tokens on the left to targets on the right."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from . import svg

Key = tuple[int, str, int]
"""Layer, kind and feature of a node."""
_WIDTH, _ROW, _TOP = 1160, 26, 34
_CHARACTER = 6.6
"""Width of a character of a name in pixels, roughly."""
_CSS = {"feature": "feature", "error": "error", "token": "token", "target": "target"}


@dataclass(frozen=True)
class Edge:
    """An edge of the picture."""

    source: Key
    target: Key
    weight: float
    """Its sign is shown by the colour, its size by the width of the line."""
    about: str


def network(edges: Sequence[Edge], name_of: dict[Key, tuple[str, str]], caption: str) -> str:
    """Return a picture of some edges; `name_of` has the name of each node, and what is known about it."""
    columns = _columns(edges)
    step = (_WIDTH - 40) / max(len(columns), 1)
    tallest = max(map(len, columns.values()))
    height = _TOP + 18 + _ROW * (tallest + 0.5)
    place: dict[Key, tuple[float, float]] = {}
    shown = {key: svg.cut(_shown(key, *known), int((step - 34) / _CHARACTER)) for key, known in name_of.items()}
    marks = []
    for number, (layer, keys) in enumerate(columns.items()):
        x = 20 + step * number
        title = "tokens" if layer == -1 else "targets" if keys[0][1] == "target" else f"layer {layer}"
        marks.append(svg.text_at(x, 16, title, "start", "name"))
        first = _TOP + _ROW * (tallest - len(keys) + number % 2) / 2 + 12  # lines pass between the names of a column
        for row, key in enumerate(keys):
            place[key] = (x, first + _ROW * row)
    largest = max((abs(edge.weight) for edge in edges if math.isfinite(edge.weight)), default=1.0) or 1.0
    for edge in reversed(edges):  # the strongest is on top
        size = math.sqrt(abs(edge.weight) / largest) if math.isfinite(edge.weight) else 0.0
        (x1, y1), (x2, y2) = place[edge.source], place[edge.target]
        x1, x2 = x1 + 13 + _CHARACTER * len(shown[edge.source]), x2 - 6  # after the name of the source
        bend = (x2 - x1) / 2
        css = "positive" if edge.weight >= 0 else "negative"
        curve = f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        style = f'stroke-width="{0.8 + 5 * size:.2f}" stroke-opacity="{0.35 + 0.5 * size:.2f}"'
        marks.append(f'<path d="{curve}" class="edge {css}" {style}>{svg.hint(edge.about)}</path>')
    for key, (x, y) in place.items():
        name, about = name_of[key]
        marks.append(svg.dot(x, y, _CSS.get(key[1], "feature"), 5, f"{name} {about}".strip()))
        marks.append(svg.text_at(x + 9, y + 4, shown[key], "start", "halo"))
    return svg.picture(marks, caption, _WIDTH, height)


def _shown(key: Key, name: str, about: str) -> str:
    """Return the name of a node in the picture: the text of a token; a feature with what it means."""
    return about if key[1] in ("token", "target") and about else f"{name} {about}".strip()


def _columns(edges: Sequence[Edge]) -> dict[int, list[Key]]:
    """Return the nodes of each layer from top to bottom: near the middle of their sources, so that few lines cross."""
    keys = dict.fromkeys(key for edge in edges for key in (edge.source, edge.target))
    sources: dict[Key, list[Key]] = defaultdict(list)
    for edge in edges:
        sources[edge.target].append(edge.source)
    by_layer: dict[int, list[Key]] = defaultdict(list)
    for key in keys:
        by_layer[key[0]].append(key)
    height: dict[Key, float] = {}
    found = {}
    for layer in sorted(by_layer):
        own = by_layer[layer]
        wanted = {
            key: sum(height.get(one, 0.5) for one in sources[key]) / len(sources[key]) if sources[key] else None
            for key in own
        }
        ordered = sorted(own, key=lambda key: (0.5 if (at := wanted[key]) is None else at, own.index(key)))
        height |= {key: (row + 0.5) / len(ordered) for row, key in enumerate(ordered)}
        found[layer] = ordered
    return found
