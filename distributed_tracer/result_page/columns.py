"""What the columns of a table are about, by their names: ends of edges, effects, intervals and p-values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..table import Table
from .values import Names, value_text, visible, words

_INTERVALS = (
    *("difference", "mean_difference", "estimate", "effect", "mean_share", "mean", "ruzicka"),
    *("frequency", "share", "value"),
)
"""Columns that `low` and `high` without another name may be the interval of."""
_TEXTS = (("a", "b"), ("prompt", "neighbour"), ("field", "value"), ("prompt", "token"))
_TEXT = ("path", "prompt", "token", "name", "text", "id")
"""Columns of text that say what a row is about: pairs of them, and single ones."""


@dataclass(frozen=True)
class End:
    """Columns that together name a feature or another node without position."""

    name: str
    layer: str
    feature: str
    kind: str
    """Column of the kind; empty if all are features."""
    text: str
    """Column of what the result itself calls the node; empty if there is none."""

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """The columns that are shown as one; some may be empty."""
        return self.kind, self.layer, self.feature, self.text

    def of(self, row: dict[str, Any], names: Names) -> tuple[str, str]:
        """Return the name of the node of a row, and what is known about it."""
        kind = str(row[self.kind]) if self.kind else "feature"
        name, known = names.site(kind, int(row[self.layer]), int(row[self.feature]))
        if not known and self.text and kind in ("token", "target") and (text := str(row[self.text])):
            known = visible(text)
        return name, known

    def key(self, row: dict[str, Any]) -> tuple[int, str, int]:
        """Return what two rows with the same node have in common."""
        return int(row[self.layer]), str(row[self.kind]) if self.kind else "feature", int(row[self.feature])


def ends_of(columns: Sequence[str], texts: Sequence[str] = ()) -> list[End]:
    """Return the nodes that the rows of a table name, in the order of the columns; `texts` are columns of text."""
    found = []
    for layer in columns:
        match = re.fullmatch(r"(.*?)layer(.*)", layer)
        if match is None or layer in texts:
            continue
        before, after = match[1], match[2]
        for index in ("feature", "index"):
            feature, kind = f"{before}{index}{after}", f"{before}kind{after}"
            if feature in columns and feature not in texts:
                has_kind, own = kind in texts, f"{before}{after}".strip("_")
                name = words(own) or ("node" if has_kind else "feature")
                known = (one for one in (f"{before}token{after}", own, name) if one in texts and has_kind)
                found.append(End(name, layer, feature, kind if has_kind else "", next(known, "")))
                break
    return found


class Interval(NamedTuple):
    """An estimate and the columns of the ends of its interval."""

    estimate: str
    low: str
    high: str


def intervals_of(columns: Sequence[str]) -> list[Interval]:
    """Return the estimates that have an interval."""
    found = []
    for low in columns:
        if low == "low":
            high, estimates = "high", [name for name in _INTERVALS if name in columns]
            estimate = estimates[0] if estimates else ""
        elif low.endswith("_low"):
            estimate, high = low.removesuffix("_low"), low.removesuffix("_low") + "_high"
            if estimate not in columns:
                estimate = next((name for name in columns if name.endswith(f"_{estimate}")), "")
        else:
            continue
        if estimate and high in columns:
            found.append(Interval(estimate, low, high))
    return found


def first_of(columns: Sequence[str], *names: str) -> str:
    """Return the first of some names that is a column; empty if none is."""
    return next((name for name in names if name in columns), "")


def row_names(table: Table, texts: Sequence[str], names: Names) -> list[tuple[str, str]]:
    """Return what each row of a table is called in a picture, and what is known about it."""
    ends = ends_of(table.columns, texts)
    pairs = [pair for pair in _TEXTS if {*pair} <= {*texts}]
    own = pairs[0] if pairs else (first_of(texts, *_TEXT) or next(iter(texts), ""),)
    found = []
    for number, row in enumerate(table.rows()):
        if ends:
            known = [_short_name(end, row, names) for end in ends]
            found.append((" → ".join(name for name, _ in known), " → ".join(about for _, about in known if about)))
        else:
            said = " – ".join(visible(value_text(row[name])) for name in own if name)
            found.append((said or f"row {number + 1}", ""))
    return found


def _short_name(end: End, row: dict[str, Any], names: Names) -> tuple[str, str]:
    """Return the text of a token or a target as its name, if it is known; else what `End.of` returns."""
    name, known = end.of(row, names)
    return (known, "") if known and end.kind and str(row[end.kind]) in ("token", "target") else (name, known)
