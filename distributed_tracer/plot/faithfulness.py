"""Picture of the faithfulness of a store's graphs: curves over shares of influence, with quartiles over prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..report.faithfulness import WAYS, restored
from ..table import Table
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMES = {
    "keep": "keep the graph's most influential features",
    "drop": "turn these off",
    "lot": "keep as many active features, chosen at random",
}


@style.in_own_style
def draw_faithfulness(table: Table) -> Figure:
    """Draw the restored share of the targets' logit and the KL divergence from the model, in two panels.

    Raises ConfigError without evaluation results and without matplotlib.
    """
    if not len(table):
        raise ConfigError("no graph has been measured yet: run `faithfulness` first")
    figure, axes = style.new_figure(10.0, 4.2, ncols=2)
    shares = np.unique(table["share"].astype(np.float64))
    for way, colour in zip(WAYS, style.SERIES, strict=False):
        at = [table.where(table["share"] == share) for share in shares]
        _curve(axes[0], shares, [restored(table, here, way) for here in at], colour, _NAMES[way])
        _curve(axes[1], shares, [here[f"{way}_kl"].astype(np.float64) for here in at], colour, _NAMES[way])
    axes[0].axhline(1.0, color=style.ERROR, lw=0.8, ls=":")
    axes[0].set(xlabel="share of the graph's feature influence", ylabel="of the targets' logit, restored")
    axes[0].set_ylim(-0.25, 1.25)
    axes[1].set(xlabel="share of the graph's feature influence", ylabel="KL from the model, nats")
    axes[1].set_ylim(bottom=0)
    axes[0].legend(frameon=False, fontsize=7.5)
    count = len(set(table["prompt"].tolist()))
    figure.suptitle(f"faithfulness of {count:,} graphs: medians and quartiles", x=0.01, ha="left", fontsize=11)
    return figure


def _curve(axes: Any, shares: Any, values: list[Any], colour: str, name: str) -> None:
    low, middle, high = np.array([_quartiles(of_share) for of_share in values]).T
    axes.fill_between(shares, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(shares, middle, marker="o", ms=3.5, color=colour, label=name)


def _quartiles(values: Any) -> Any:
    known = values[np.isfinite(values)]
    return np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else np.full(3, np.nan)
