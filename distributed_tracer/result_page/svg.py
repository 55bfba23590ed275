"""Drawing with SVG: axes, marks and text as elements whose colours the style of the page decides.

Every text is escaped here, so that callers hand over plain text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from ..text import printable

WIDTH, HEIGHT = 580, 320
_LEFT, _RIGHT, _TOP, _BELOW = 66, 18, 14, 46
_TICKS = 6
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def cut(text: str, length: int) -> str:
    """Return a text of at most `length` characters, without characters that control or reverse text."""
    shown = printable(text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def text_at(x: float, y: float, text: str, anchor: str = "middle", css: str = "") -> str:
    """Return text at a place: `anchor` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css}">{escape(printable(text))}</text>'


def hint(text: str) -> str:
    """Return the text that a mark shows when it is pointed at."""
    return f"<title>{escape(printable(text))}</title>"


def line(x1: float, y1: float, x2: float, y2: float, css: str, width: float | None = None) -> str:
    """Return a line."""
    thick = "" if width is None else f' stroke-width="{width:.2f}"'
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"{thick}/>'


def dot(x: float, y: float, css: str, radius: float = 3, about: str = "") -> str:
    """Return a dot, which says what it is about when it is pointed at."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="{css}">{hint(about)}</circle>'


def bar(x: float, y: float, width: float, height: float, css: str, about: str) -> str:
    """Return a rectangle with its upper left corner at a place."""
    size = f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} class="{css}">{hint(about)}</rect>'


def picture(marks: Sequence[str], caption: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """Return a picture with a caption, which is its name for those who cannot see it, too."""
    said = escape(printable(caption))
    box = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    css = ' class="wide"' if width > WIDTH else ""
    return (
        f'<figure{css}><svg {box} role="img" aria-label="{said}">{"".join(marks)}</svg><figcaption>{said}</figcaption>'
        "</figure>"
    )


def ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Return round numbers between two finite numbers, at most about `most`."""
    span = high - low
    if not span > 0:
        return [low]
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: float) -> str:
    """Return a number as the label of a tick."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    return f"{value:.4g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e")


@dataclass
class Plot:
    """A plot with two linear axes; marks are added in the coordinates of its data."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    width: float = WIDTH
    height: float = HEIGHT
    marks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Widen ranges that are empty."""
        self.x_range, self.y_range = _opened(self.x_range), _opened(self.y_range)

    def x(self, value: float) -> float:
        """Return the place of a value on the horizontal axis."""
        low, high = self.x_range
        return _LEFT + (value - low) / (high - low) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the place of a value on the vertical axis."""
        low, high = self.y_range
        return self.height - _BELOW - (value - low) / (high - low) * (self.height - _BELOW - _TOP)

    def vertical(self, value: float, css: str = "zero") -> None:
        """Add a vertical line across the plot."""
        self.marks.append(line(self.x(value), self.y(self.y_range[0]), self.x(value), self.y(self.y_range[1]), css))

    def horizontal(self, value: float, css: str) -> None:
        """Add a horizontal line across the plot."""
        y = self.y(value)
        self.marks.append(line(self.x(self.x_range[0]), y, self.x(self.x_range[1]), y, css))

    def drawn(self, caption: str) -> str:
        """Return the picture."""
        (left, right), (low, high) = self.x_range, self.y_range
        axes = [line(self.x(left), self.y(low), self.x(right), self.y(low), "axis")]
        axes.append(line(self.x(left), self.y(low), self.x(left), self.y(high), "axis"))
        for value in ticks(left, right):
            axes.append(line(self.x(value), self.y(low), self.x(value), self.y(low) + 4, "axis"))
            axes.append(text_at(self.x(value), self.y(low) + 17, tick_label(value)))
        for value in ticks(low, high, 5):
            axes.append(line(self.x(left), self.y(value), self.x(right), self.y(value), "grid"))
            axes.append(text_at(self.x(left) - 6, self.y(value) + 4, tick_label(value), "end"))
        axes.append(text_at((self.x(left) + self.x(right)) / 2, self.height - 8, cut(self.x_label, 90), css="name"))
        middle = (self.y(low) + self.y(high)) / 2
        name = escape(cut(self.y_label, 44))
        turned = f'transform="rotate(-90 14 {middle:.1f})"'
        axes.append(f'<text x="14" y="{middle:.1f}" text-anchor="middle" class="name" {turned}>{name}</text>')
        return picture([*axes, *self.marks], caption, self.width, self.height)


def _opened(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if high > low and math.isfinite(high - low):
        return low, high
    return (low - 0.5, low + 0.5) if math.isfinite(low) and math.isfinite(low + 0.5) else (0.0, 1.0)
