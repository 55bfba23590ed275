"""Pictures of tests and estimates: volcano plot, histogram of p-values, and estimates with their intervals.

Axes: I row of a table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import svg
from .columns import first_of, intervals_of
from .drawn import MOST_DOTS, Drawn, range_of
from .strongest_rows import BINS
from .values import number_text, words

EFFECTS = ("g", "effect", "log_ratio", "log_odds", "difference", "mean_difference")
P_VALUES = ("p", "p_value", "p_fewer", "p_more", "p_sign")
_ROWS = 25
_PILED = 0.02
"""Share of the rows with the smallest p-value above which the caption says why they are on one line."""
_ROOM, _ROW, _TOP, _BELOW = 280, 20, 18, 46
"""Largest room for the names of rows, height of a row, and room above and below the rows, in pixels."""
_CHARACTER = 6.8


def volcano(drawn: Drawn) -> list[str]:
    """Return a picture of effects against p-values, if the table has both."""
    effect, p = first_of(drawn.numbers, *EFFECTS), first_of(drawn.numbers, *P_VALUES[:2])
    if not effect or not p:
        return []
    effect_I, p_I = drawn.values(effect), drawn.values(p)
    height_I = -np.log10(np.maximum(p_I, 1e-300))
    is_known_I = np.isfinite(effect_I) & np.isfinite(height_I)
    if not is_known_I.any():
        return []
    q, is_found_I = drawn.facts.get("q"), is_known_I
    if "q" in drawn.numbers and isinstance(q, float):
        is_found_I = drawn.values("q") <= q
    size_I = np.abs(np.where(is_known_I, effect_I, 0.0))
    reach = float(size_I[is_found_I & is_known_I].max(initial=0.0) or size_I.max() or 1.0) * 1.05
    top = float(height_I[is_known_I].max()) * 1.08
    plot = svg.Plot((-reach, reach), (0, top), drawn.axis(effect), f"−log10 {p}")
    plot.vertical(0)
    for row in np.flatnonzero(is_known_I)[:MOST_DOTS][::-1].tolist():
        x, y = float(effect_I[row]), float(height_I[row])
        place = min(max(x, -reach), reach)
        css = "quiet" if not is_found_I[row] else "positive" if x >= 0 else "negative"
        about = f"{' '.join(drawn.row_names[row]).strip()}: {words(effect)} {number_text(x)}, "
        about += f"p {number_text(float(p_I[row]))}"
        plot.marks.append(svg.dot(plot.x(place), plot.y(y), f"dot {css}", 3.2, about))
    said = f"{words(effect)} of each row against its p-value: far up and far out is strong"
    said += f"; coloured: q ≤ {number_text(q)}" if is_found_I is not is_known_I else ""
    said += "; rows beyond an end of the axis stand at it" if (size_I > reach).any() else ""
    p_known = p_I[is_known_I]
    is_piled = (p_known <= p_known.min()).mean() > _PILED
    said += "; the rows in one line have the smallest p-value that the test can give" if is_piled else ""
    return [plot.drawn(said + drawn.sides())]


def histograms_of_p(drawn: Drawn) -> list[str]:
    """Return a histogram of each column of p-values that was counted over the whole table."""
    found = []
    for column, counts in drawn.rows.counts.items():
        total = int(counts.sum())
        if not total:
            continue
        plot = svg.Plot((0, 1), (0, float(counts.max()) * 1.08), words(column), "rows")
        width = plot.x(1 / BINS) - plot.x(0) - 1
        for number, count in enumerate(counts.tolist()):
            top = plot.y(count)
            about = f"{count:,} of {total:,} are from {number / BINS:g} to {(number + 1) / BINS:g}"
            plot.marks.append(svg.bar(plot.x(number / BINS), top, width, plot.y(0) - top, "bar", about))
        plot.horizontal(total / BINS, "level")
        said = f"All {total:,} values of {words(column)}: without any effect the bars reach the dashed line"
        found.append(plot.drawn(f"{said}; tests that are cautious pile up at 1"))
    return found


def intervals(drawn: Drawn) -> list[str]:
    """Return the first estimates with their intervals, if the table has such columns."""
    for estimate, low, high in intervals_of(drawn.numbers):
        values = np.stack([drawn.values(name) for name in (estimate, low, high)], axis=1)
        rows = np.flatnonzero(np.isfinite(values).all(axis=1))[:_ROWS]
        if len(rows) > 1 and (values[rows, 1] < values[rows, 2]).any():
            return [_with_intervals(drawn, estimate, rows, values[rows])]
    return []


def _with_intervals(drawn: Drawn, estimate: str, rows: npt.NDArray[np.intp], values: npt.NDArray[np.float64]) -> str:
    """Return a picture of estimates and their intervals [rows, 3], with the name of each row on its left."""
    names = [" ".join(drawn.row_names[row]).strip() for row in rows.tolist()]
    room = min(_ROOM, 10 + int(_CHARACTER * max(map(len, names))))
    height = _TOP + _ROW * len(rows) + _BELOW
    plot = svg.Plot(range_of(values, with_zero=True), (0, 1), drawn.axis(estimate), "", svg.WIDTH - room, height)
    bottom, (low, high) = height - _BELOW, plot.x_range
    marks = [svg.line(plot.x(low), bottom, plot.x(high), bottom, "axis")]
    for value in svg.ticks(low, high):
        marks.append(svg.line(plot.x(value), 8, plot.x(value), bottom, "zero" if value == 0 else "grid"))
        marks.append(svg.text_at(plot.x(value), bottom + 17, svg.tick_label(value)))
    marks.append(svg.text_at((plot.x(low) + plot.x(high)) / 2, height - 8, svg.cut(plot.x_label, 60), css="name"))
    texts = []
    for number, (name, row) in enumerate(zip(names, values.tolist(), strict=True)):
        y = _TOP + _ROW * number
        about = f"{name}: {number_text(row[0])} ({number_text(row[1])} to {number_text(row[2])})"
        css = "positive" if row[0] >= 0 else "negative"
        marks.append(svg.line(plot.x(row[1]), y, plot.x(row[2]), y, f"whisker {css}"))
        marks.append(svg.dot(plot.x(row[0]), y, css, 4, about))
        texts.append(svg.text_at(room + plot.x(low) - 12, y + 4, svg.cut(name, int(room / _CHARACTER)), "end"))
    moved = f'<g transform="translate({room} 0)">{"".join(marks)}</g>'
    caption = f"{words(estimate)} with its interval, of the first {len(rows)} rows{drawn.sides()}"
    return svg.picture([moved, *texts], caption, svg.WIDTH, height)
