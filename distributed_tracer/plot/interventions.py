"""Picture of interventions: the circuit's supernodes by layer, and the next tokens before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..graph.labels import Label, labels_text
from ..report.interventions import SHOWN_SUPERNODES, shown_supernodes
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BOX, _GAP, _ROW = 2.35, 0.35, 1.25  # width of a supernode, gap beside it, and distance between rows, in inches
_COLUMNS = 6  # supernodes in a row
_WEAK = 0.25  # a supernode at or below this share of its reference activation is drawn as off
_WIDTHS = (2.8, 0.4, 4.0)  # of lines: width at full activation, the share of it at none, and the limit, in half points

Places = dict[str, tuple[float, float]]


@style.in_own_style
def draw_interventions(summary: dict[str, Any], max_supernodes: int = SHOWN_SUPERNODES) -> Figure:
    """Draw a summary of `InterventionGraph.apply`: supernodes from low to high layers, with lines to their children.

    A box gives the activation that is left of its supernode as a share of its reference activation, and in small print
    the labels of its features, if the summary has them. Supernodes that were set have a label; those that were swapped
    in stand beside the ones they replace; those that are nearly off are grey. Bars show the probabilities of next
    tokens. If there are more than `max_supernodes`, those that were set and the first others are drawn, and a line
    below says so. Raises ConfigError without matplotlib.
    """
    supernodes = [summary["supernodes"][place] for place in shown_supernodes(summary, max_supernodes)]
    rows = _rows(supernodes)
    places = _places(rows)
    columns = max(map(len, rows), default=1)
    width, height = columns * (_BOX + _GAP) + _GAP, max(len(rows), 2) * _ROW
    figure, (axes, bars) = style.new_figure(
        width + 3.4, height + 1.0, ncols=2, gridspec_kw={"width_ratios": (width, 3.2)}
    )
    axes.set_xlim(0, width)
    axes.set_ylim(-_ROW / 2, height - _ROW / 2)
    axes.axis("off")
    figure.suptitle(style.words(summary["prompt"], 110), x=0.01, ha="left", fontsize=9)
    replaced = {supernode["replaces"]: supernode for supernode in supernodes if supernode["replaces"]}
    for supernode in filter(_is_own, supernodes):
        _draw_lines(axes, supernode, replaced.get(supernode["name"]), places)
    for supernode in supernodes:
        _draw_box(axes, supernode, *places[supernode["name"]])
    _draw_tokens(bars, summary["next_tokens"])
    num_all = len(summary["supernodes"])
    left_out = f"drawn are {len(supernodes):,} of {num_all:,} supernodes" if len(supernodes) < num_all else ""
    said = map(_said, supernodes)
    names = [
        *(supernode["name"] for supernode in supernodes),
        *said,
        *(token["token"] for token in summary["next_tokens"]),
    ]
    style.add_notes(figure, [left_out], (style.shown(text, 110) for text in (summary["prompt"], *names)))
    return figure


def _is_own(supernode: dict[str, Any]) -> bool:
    """Whether the supernode belongs to the graph, that is, was not swapped in."""
    return not supernode["replaces"]


def _rows(supernodes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return supernodes in rows by mean layer, lowest first; a level with many supernodes takes several rows.

    A supernode that was swapped in follows the one it replaces. Supernodes without features are on top.
    """
    own = list(filter(_is_own, supernodes))
    levels = {supernode["name"]: _level(supernode) for supernode in own}
    rows = []
    for level in sorted(set(levels.values())):
        row = []
        for supernode in sorted((s for s in own if levels[s["name"]] == level), key=_position):
            row += [supernode, *(s for s in supernodes if s["replaces"] == supernode["name"])]
        rows += [row[first : first + _COLUMNS] for first in range(0, len(row), _COLUMNS)]
    return rows


def _level(supernode: dict[str, Any]) -> float:
    layers = [feature[0] for feature in supernode["features"]]
    return round(sum(layers) / len(layers)) if layers else float("inf")


def _position(supernode: dict[str, Any]) -> float:
    """Return the mean position of a supernode's features; a slice counts as its beginning."""
    begins = [int(str(feature[1]).partition(":")[0] or 0) for feature in supernode["features"]]
    return sum(begins) / len(begins) if begins else 0.0


def _places(rows: list[list[dict[str, Any]]]) -> Places:
    """Return the centres of boxes in inches; each row is centred."""
    columns = max(map(len, rows), default=1)
    return {
        supernode["name"]: (_GAP + (columns - len(row)) / 2 * (_BOX + _GAP) + place * (_BOX + _GAP) + _BOX / 2, y)
        for y, row in ((number * _ROW, row) for number, row in enumerate(rows))
        for place, supernode in enumerate(row)
    }


def _draw_lines(axes: Any, supernode: dict[str, Any], replacement: dict[str, Any] | None, places: Places) -> None:
    """Draw lines to a supernode's children. A swapped-in supernode takes over the lines of the one it replaces."""
    source = supernode if replacement is None else replacement
    x, y = places[source["name"]]
    narrow, growth, widest = _WIDTHS
    left = max(source["after"] or 0.0, 0.0)
    for child in filter(places.__contains__, supernode["children"]):
        child_x, child_y = places[child]
        is_beside = child_y == y
        bend = 0.25 if child_x < x else -0.25  # bends the line around the boxes between
        axes.annotate(
            "",
            (child_x, child_y + (0.3 if is_beside else -0.3)),
            (x, y + 0.3),
            arrowprops={
                "arrowstyle": "-|>",
                "connectionstyle": f"arc3,rad={bend if is_beside else 0}",
                "color": style.NEGATIVE if replacement else style.FEATURE,
                "alpha": 0.2 if left < _WEAK else 0.6,
                "linewidth": min(narrow * (growth + left * (1 - growth)), widest) / 2,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=1,
        )


def _draw_box(axes: Any, supernode: dict[str, Any], x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    after, setting = supernode["after"], supernode["set"]
    is_weak = after is not None and after <= _WEAK
    edge = style.NEGATIVE if supernode["replaces"] else "#bbbbbb" if is_weak else style.FEATURE
    corner = (x - _BOX / 2, y - 0.3)
    shape = FancyBboxPatch(
        corner, _BOX, 0.6, "round,pad=0,rounding_size=0.1", facecolor="#f2f2f2" if is_weak else "white", edgecolor=edge
    )
    axes.add_patch(shape)
    colour = "#888888" if is_weak else "black"
    axes.text(x, y + 0.09, style.words(supernode["name"], 38), ha="center", va="center", fontsize=7, color=colour)
    if after is not None:
        axes.text(x, y - 0.14, f"{after:.0%}", ha="center", va="center", fontsize=8, color=colour, weight="bold")
    if said := _said(supernode):
        axes.text(x, y - 0.25, style.words(said, 50), ha="center", va="center", fontsize=4.5, color="#666666")
    if setting is not None:
        label = {"boxstyle": "round,pad=0.2", "facecolor": style.NEGATIVE, "edgecolor": "none"}
        axes.text(x - _BOX / 2, y + 0.3, setting, ha="left", va="center", fontsize=7, color="white", bbox=label)


def _said(supernode: dict[str, Any]) -> str:
    """Return the labels of a supernode's features, if `with_labels` has added some."""
    return labels_text(Label(label["text"], label["source"]) for label in supernode.get("labels", ()))


def _draw_tokens(bars: Any, tokens: list[dict[str, Any]]) -> None:
    """Draw probabilities after the intervention, and before it beneath them, with the now likeliest token on top."""
    places = [-float(place) for place in range(len(tokens))]
    bars.barh([p + 0.2 for p in places], [token["after"] for token in tokens], 0.38, color=style.FEATURE, label="after")
    bars.barh([p - 0.2 for p in places], [token["before"] for token in tokens], 0.38, color="#c8c8c8", label="before")
    bars.set_yticks(places, [style.label(token["token"]) for token in tokens])
    bars.set_xlim(0, 1)
    bars.set_xlabel("probability of the next token")
    bars.legend(loc="lower right", frameon=False)
