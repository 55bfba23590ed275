"""Pictures of values: bars by layer or position, a map of two of these, two columns against one another, histograms.

Axes: I row of a table.
"""

from __future__ import annotations

import numpy as np

from . import svg
from .columns import ends_of, first_of, intervals_of
from .drawn import MOST_DOTS, Drawn, Floats, range_of
from .strongest_rows import BINS
from .values import number_text, words

PAIRS = (
    (("text", "token_overlap", "baseline"), ("ruzicka", "similarity", "cosine")),
    (("half_1",), ("half_2",)),
    (("twera", "era", "expected"), ("direct", "mean_direct", "direct_mean", "observed")),
    (("product_of_shares",), ("mean_share",)),
)
"""Pairs of columns that are drawn against one another: for each axis the names that it may have."""
KEYS = ("layer", "position", "from_end", "threshold", "node_threshold", "edge_threshold")
"""Columns of numbers that may number the rows of a table."""
VALUES = ("share", "frequency", "passed")
_MAPS = (("layer", "from_end"), ("layer", "position"), ("node_threshold", "edge_threshold"))
_MOST_BARS, _MOST_SIDE = 200, 60
_LEFT, _TOP, _CELL, _WIDEST_CELL = 66, 14, 22, 44


def bars(drawn: Drawn) -> list[str]:
    """Return bars of the first column of shares, if a column such as the layer numbers the rows."""
    key, value = _key(drawn), _value(drawn)
    if not key or not value or len(drawn.table) > _MOST_BARS:
        return []
    key_I, value_I = drawn.values(key), np.nan_to_num(drawn.values(value))
    if len(np.unique(key_I)) < max(2, len(key_I)) or not np.isfinite(key_I).all():
        return []
    ends = [np.nan_to_num(drawn.values(name)) for one in intervals_of(drawn.numbers) if one.estimate == value
            for name in (one.low, one.high)]  # fmt: skip
    step = float(np.diff(np.sort(key_I)).min())
    x_range = (float(key_I.min()) - step / 2, float(key_I.max()) + step / 2)
    y_range = range_of(np.concatenate([value_I, *ends]), with_zero=True)
    plot = svg.Plot(x_range, y_range, drawn.axis(key), drawn.axis(value))
    for row, (x, y) in enumerate(zip(key_I.tolist(), value_I.tolist(), strict=True)):
        left, right, top = plot.x(x - 0.42 * step), plot.x(x + 0.42 * step), plot.y(max(y, 0))
        about = f"{words(key)} {number_text(x)}: {number_text(y)}"
        plot.marks.append(svg.bar(left, top, right - left, plot.y(min(y, 0)) - top, "bar", about))
        if ends:
            low, high = (float(end[row]) for end in ends[:2])
            plot.marks.append(svg.line(plot.x(x), plot.y(low), plot.x(x), plot.y(high), "bound"))
    return [plot.drawn(f"{words(value)} by {words(key)}{', with intervals' if ends else ''}")]


def heat_map(drawn: Drawn) -> list[str]:
    """Return a map of the mean of a column by layer and place, or by both thresholds of pruning."""
    pairs = [pair for pair in _MAPS if {*pair} <= {*drawn.numbers}]
    value = _value(drawn)
    if not pairs or not value or ends_of(drawn.table.columns, drawn.texts):
        return []
    (up, across), value_I = pairs[0], drawn.values(value)
    is_known_I = np.isfinite(value_I)
    (rows, row_I), (columns, column_I) = (
        np.unique(drawn.values(name)[is_known_I], return_inverse=True) for name in (up, across)
    )
    shape = len(rows), len(columns)
    if min(shape) < 2 or max(shape) > _MOST_SIDE:
        return []
    place_I = row_I * shape[1] + column_I
    counts = np.bincount(place_I, minlength=shape[0] * shape[1])
    sums = np.bincount(place_I, value_I[is_known_I], len(counts))
    largest = float(np.max(np.abs(sums[counts > 0] / counts[counts > 0]))) or 1.0
    cell = min(_WIDEST_CELL, (svg.WIDTH - _LEFT - 20) / shape[1])
    bottom = _TOP + _CELL * shape[0]
    marks = []
    for place in np.flatnonzero(counts).tolist():
        (row, column), mean = divmod(place, shape[1]), float(sums[place] / counts[place])
        about = f"{words(up)} {number_text(float(rows[row]))}, {words(across)} {number_text(float(columns[column]))}: "
        css = f'class="cell {"positive" if mean >= 0 else "negative"}" fill-opacity="{abs(mean) / largest:.3f}"'
        size = f'x="{_LEFT + cell * column:.1f}" y="{bottom - _CELL * (row + 1)}" width="{cell - 1:.1f}"'
        marks.append(f'<rect {size} height="{_CELL - 1}" {css}>{svg.hint(about + number_text(mean))}</rect>')
    for row in range(0, shape[0], 1 + shape[0] // 20):
        y = bottom - _CELL * row - 7
        marks.append(svg.text_at(_LEFT - 6, y, svg.tick_label(float(rows[row])), "end"))
    for column in range(0, shape[1], 1 + shape[1] // 12):
        x = _LEFT + cell * (column + 0.5)
        marks.append(svg.text_at(x, bottom + 15, svg.tick_label(float(columns[column]))))
    marks.append(svg.text_at(_LEFT + cell * shape[1] / 2, bottom + 34, drawn.axis(across), css="name"))
    is_mean = "mean of " if (counts > 1).any() else ""
    caption = f"{is_mean}{words(value)} by {words(up)} (upwards) and {words(across)}"
    return [svg.picture(marks, f"{caption}; the darkest cell is {number_text(largest)}", svg.WIDTH, bottom + 46)]


def against(drawn: Drawn) -> list[str]:
    """Return pictures of pairs of columns that say the same, or should not."""
    found = []
    for across, up in PAIRS:
        x_name, y_name = first_of(drawn.numbers, *across), first_of(drawn.numbers, *up)
        if not x_name or not y_name:
            continue
        x_I, y_I = drawn.values(x_name), drawn.values(y_name)
        known = np.flatnonzero(np.isfinite(x_I) & np.isfinite(y_I))[:MOST_DOTS]
        if len(known) < 3:
            continue
        plot = svg.Plot(range_of(x_I[known]), range_of(y_I[known]), drawn.axis(x_name), drawn.axis(y_name))
        low, high = max(plot.x_range[0], plot.y_range[0]), min(plot.x_range[1], plot.y_range[1])
        if low < high:
            plot.marks.append(svg.line(plot.x(low), plot.y(low), plot.x(high), plot.y(high), "level"))
        for row in known[::-1].tolist():
            x, y = float(x_I[row]), float(y_I[row])
            about = f"{drawn.row_names[row][0]}: {number_text(x)} and {number_text(y)}"
            plot.marks.append(svg.dot(plot.x(x), plot.y(y), "dot", 3.2, about))
        said = f"{words(y_name)} against {words(x_name)} of {len(known):,} rows"
        found.append(plot.drawn(f"{said}; on the dashed line both are equal"))
    return found


def histogram(values: Floats, drawn: Drawn, column: str) -> list[str]:
    """Return a histogram of all known values of a column."""
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    counts, borders = np.histogram(known, BINS)
    x_range = float(borders[0]), float(borders[-1])
    plot = svg.Plot(x_range, (0, float(counts.max()) * 1.08), drawn.axis(column), "rows")
    for left, right, count in zip(borders[:-1].tolist(), borders[1:].tolist(), counts.tolist(), strict=True):
        top, about = plot.y(count), f"{count:,} from {number_text(left)} to {number_text(right)}"
        plot.marks.append(svg.bar(plot.x(left), top, plot.x(right) - plot.x(left) - 1, plot.y(0) - top, "bar", about))
    return [plot.drawn(f"{words(column)} of {len(known):,} rows")]


def _key(drawn: Drawn) -> str:
    """Return the column that numbers the rows; empty if several do, or if rows are about features."""
    keys = [name for name in KEYS if name in drawn.numbers]
    return keys[0] if len(keys) == 1 and not ends_of(drawn.table.columns, drawn.texts) else ""


def _value(drawn: Drawn) -> str:
    """Return the column of the values that a picture of this table shows."""
    floats = [name for name in drawn.numbers if drawn.table[name].dtype.kind == "f"]
    estimates = [one.estimate for one in intervals_of(drawn.numbers)]
    return first_of(floats, *estimates, *VALUES) or next((name for name in floats if name not in KEYS), "")
