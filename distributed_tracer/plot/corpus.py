"""Picture of a whole store: scores, where influence ends, how far it travels, and how widely features are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..names import unknown
from ..query.feature_counts import feature_counts
from ..store.reader import Store
from ..table import Table
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style.in_own_style
def draw_corpus(store: Store, by: str | None = None) -> Figure:
    """Draw four panels over all prompts. `by` names a metadata column that gives the colours.

    Raises ConfigError without matplotlib, for a column that does not exist, and for an empty store.
    """
    if not len(store):
        raise ConfigError(f"there are no graphs in {store.url} yet")
    figure, axes = style.new_figure(11.0, 7.6, nrows=2, ncols=2)
    prompts = store.prompts
    groups = _groups(prompts, by)
    _scores(axes[0, 0], prompts, groups)
    scored = _scored(prompts, groups)
    _ends(axes[0, 1], prompts, scored)
    _lengths(axes[1, 0], prompts, scored)
    _sharing(axes[1, 1], feature_counts(store), len(prompts))
    figure.suptitle(f"{len(prompts):,} attribution graphs", x=0.01, ha="left", fontsize=11)
    num_unknown = len(prompts) - sum(map(len, scored.values()))
    notes = [f"the scores of {num_unknown:,} imported graphs are not known"] if num_unknown else []
    style.add_notes(figure, notes, (style.shown(name, 28) for name in groups))
    return figure


def _scored(prompts: Table, groups: dict[str, Any]) -> dict[str, Any]:
    """Return the groups without the prompts whose scores are not known, as those of imported graphs may be."""
    known = ~np.isnan(prompts["error_share"]) & np.array([len(lengths) > 0 for lengths in prompts["path_length_H"]])
    no_influence = np.isfinite(prompts["replacement"])  # of a graph whose influence ends nowhere, no length is known
    return {name: of_name for name, rows in groups.items() if len(of_name := rows[(known | no_influence)[rows]])}


def _groups(prompts: Table, by: str | None) -> dict[str, Any]:
    """Return rows by group name, largest groups first. Groups beyond the available colours are merged into one."""
    if by is None:
        return {"all prompts": np.arange(len(prompts))}
    if by not in prompts:
        raise ConfigError(unknown("column of prompts", by, prompts.columns))
    values = np.array([str(value) for value in prompts[by]])
    names, counts = np.unique(values, return_counts=True)
    names = names[np.argsort(-counts, kind="stable")]
    groups = {str(name): np.flatnonzero(values == name) for name in names[: len(style.SERIES) - 1]}
    if len(names) > len(groups):
        groups[f"{len(names) - len(groups):,} other values"] = np.flatnonzero(~np.isin(values, list(groups)))
    return groups


def _scores(axes: Any, prompts: Table, groups: dict[str, Any]) -> None:
    for (name, rows), colour in zip(groups.items(), style.SERIES, strict=False):
        axes.scatter(
            prompts["replacement"][rows],
            prompts["completeness"][rows],
            s=12,
            color=colour,
            alpha=0.6,
            linewidths=0,
            label=f"{style.words(name, 28)} ({len(rows)})",
        )
    axes.set(xlabel="replacement score", ylabel="completeness score", title="how much the transcoders explain")
    axes.legend(frameon=False, fontsize=7.5)


def _ends(axes: Any, prompts: Table, groups: dict[str, Any]) -> None:
    """Draw stacked shares of influence by where it ends."""
    num_layers = int(prompts["num_layers"].max())
    errors = np.zeros((len(prompts), num_layers))
    for row, shares in enumerate(prompts["error_share_L"]):
        errors[row, : len(shares)] = shares
    constant = prompts["constant_share"]
    parts = [("tokens", 1 - errors.sum(1) - constant, style.TOKEN), ("constant", constant, style.CONSTANT)]
    greys = np.linspace(0.45, 0.85, num_layers)
    # Thin bands get no names of their own: a deep model has tens of layers.
    parts += [
        (f"errors, layer {layer}" if num_layers <= 8 else "", errors[:, layer], str(greys[layer]))
        for layer in range(num_layers)
    ]
    bottom = np.zeros(len(groups))
    for label, share, colour in parts:
        heights = np.array([share[rows].mean() for rows in groups.values()])
        axes.barh(range(len(groups)), heights, left=bottom, color=colour, label=label or None, height=0.7)
        bottom += heights
    axes.set_yticks(range(len(groups)), [style.words(name, 22) for name in groups])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of influence", title="where influence ends (grey is dark matter)")
    axes.legend(frameon=False, fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))


def _lengths(axes: Any, prompts: Table, groups: dict[str, Any]) -> None:
    longest = max(map(len, prompts["path_length_H"]))
    shares = np.zeros((len(prompts), longest))
    for row, lengths in enumerate(prompts["path_length_H"]):
        shares[row, : len(lengths)] = lengths
    for (name, rows), colour in zip(groups.items(), style.SERIES, strict=False):
        axes.plot(np.arange(1, longest + 1), shares[rows].mean(0), marker="o", ms=3.5, color=colour, label=name)
    axes.set(xlabel="edges from target to token, error or constant", ylabel="share of influence")
    axes.set_title("how far influence travels")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(bottom=0)


def _sharing(axes: Any, counts: Table, num_prompts: int) -> None:
    in_prompts = np.sort(counts["prompts"])[::-1]
    axes.plot(np.arange(1, len(in_prompts) + 1), in_prompts / num_prompts, color=style.FEATURE)
    from matplotlib.ticker import PercentFormatter, StrMethodFormatter

    axes.set(xscale="log", yscale="log", xlabel="feature, most widely used first", ylabel="share of prompts")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_minor_formatter("")
    axes.set_title(f"how widely {len(in_prompts):,} features are used")
