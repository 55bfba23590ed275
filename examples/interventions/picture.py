"""Picture of the success rate by strength, with a panel for each classic intervention."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from trials import Rate

from distributed_tracer import SERIES, new_figure

COLUMNS = 4


def draw(measured: dict[str, dict[str, dict[float, Rate]]]) -> Figure:
    """Draw `measured`: rates by panel, by line and by strength. Bands are 95% intervals."""
    rows = -(-len(measured) // COLUMNS)
    figure, axes = new_figure(2.9 * COLUMNS, 2.5 * rows, nrows=rows, ncols=COLUMNS, sharex=True, sharey=True)
    for ax, (title, lines) in zip(np.ravel(axes), measured.items(), strict=False):
        for (name, by_strength), colour in zip(lines.items(), SERIES, strict=False):
            _line(ax, name, by_strength, colour)
        ax.axvline(1, color="#bbbbbb", lw=0.8, zorder=0)
        ax.set_title(title, fontsize=8.5, loc="left")
    for ax in np.ravel(axes)[len(measured) :]:
        ax.set_axis_off()
    np.ravel(axes)[0].legend(frameon=False, fontsize=7.5)
    figure.supxlabel("strength (1: off, or exactly swapped)", fontsize=9)
    figure.supylabel("share of trials that did what was expected", fontsize=9)
    return figure


def _line(ax: Any, name: str, by_strength: dict[float, Rate], colour: str) -> None:
    strengths = list(by_strength)
    low, high = zip(*(rate.interval for rate in by_strength.values()), strict=True)
    ax.fill_between(strengths, low, high, color=colour, alpha=0.15, lw=0)
    ax.plot(
        strengths, [rate.share for rate in by_strength.values()], marker="o", ms=3, lw=1.3, color=colour, label=name
    )
    ax.set(ylim=(-0.03, 1.03), xlim=(min(strengths) - 0.1, max(strengths) + 0.1))
