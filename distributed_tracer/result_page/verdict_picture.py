"""A picture of verdicts: for each row, how many findings are confirmed, not confirmed, and without power."""

from __future__ import annotations

import numpy as np

from . import svg
from .drawn import Drawn
from .values import visible

VERDICTS = {"confirmed": "confirmed", "not_confirmed": "refuted", "no_power": "powerless"}
"""Columns of the numbers of findings, and how their bars are styled."""
_ROW, _BAR, _TOP, _BELOW = 26, 16, 12, 46
_ROOM, _CHARACTER = 290, 6.8
_MOST = 40


def verdict_counts(drawn: Drawn) -> list[str]:
    """Return bars of the numbers of verdicts, if the table has them."""
    if not VERDICTS.keys() <= {*drawn.numbers}:
        return []
    counts = np.stack([drawn.values(name) for name in VERDICTS], axis=1)
    rows = np.flatnonzero(np.nansum(counts, axis=1) > 0)[:_MOST].tolist()
    if not rows:
        return []
    names = [visible(str(drawn.table[drawn.texts[0]][row])) for row in rows]
    room = min(_ROOM, 10 + int(_CHARACTER * max(map(len, names))))
    height = _TOP + _ROW * len(rows) + _BELOW
    plot = svg.Plot((0, float(counts[rows].sum(axis=1).max())), (0, 1), "findings", "", svg.WIDTH - room, height)
    bottom = height - _BELOW
    marks = []
    for value in svg.ticks(*plot.x_range):
        marks.append(svg.line(plot.x(value), 4, plot.x(value), bottom, "grid"))
        marks.append(svg.text_at(plot.x(value), bottom + 17, svg.tick_label(value)))
    marks.append(svg.text_at((plot.x(0) + plot.x(plot.x_range[1])) / 2, height - 8, "findings", css="name"))
    texts = []
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        y, begin = _TOP + _ROW * number, 0.0
        for column, (verdict, css) in enumerate(VERDICTS.items()):
            count = float(counts[row, column])
            about = f"{name}: {count:.0f} {verdict.replace('_', ' ')}"
            width = plot.x(begin + count) - plot.x(begin)
            marks.append(svg.bar(plot.x(begin), y, width, _BAR, css, about) if count else "")
            begin += count
        texts.append(svg.text_at(room + plot.x(0) - 12, y + _BAR - 3, svg.cut(name, int(room / _CHARACTER)), "end"))
    moved = f'<g transform="translate({room} 0)">{"".join(marks)}</g>'
    caption = "Findings that are confirmed (blue), not confirmed (grey) and without power (outlined)"
    return [svg.picture([moved, *texts], caption, svg.WIDTH, height)]
