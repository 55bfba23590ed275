"""What the columns of a table are about, by their names: ends of edges, effects, intervals and p-values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..table import Table
from .values import Names, value_text, words

_INTERVALS = (
    "difference",
    "mean_difference",
    "estimate",
    "effect",
    "mean_share",
    "mean",
    "frequency",
    "share",
    "value",
)
"""Columns that `low` and `high` without another name may be the interval of."""
_TEXTS = ("prompt", "token", "name", "path", "text", "id")


@dataclass(frozen=True)
class End:
    """Columns that together name a feature or another node without position."""

    name: str
    layer: str
    feature: str
    kind: str
    """Column of the kind; empty if all are features."""

    def of(self, row: dict[str, Any], names: Names) -> tuple[str, str]:
        """Return the name of the node of a row, and what is known about it."""
        kind = str(row[self.kind]) if self.kind else "feature"
        return names.site(kind, int(row[self.layer]), int(row[self.feature]))

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
                name = words(f"{before.strip('_')} {after.strip('_')}".strip()) or "feature"
                found.append(End(name, layer, feature, kind if kind in texts else ""))
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
    text = first_of(texts, *_TEXTS) or next(iter(texts), "")
    found = []
    for number, row in enumerate(table.rows()):
        if ends:
            known = [end.of(row, names) for end in ends]
            found.append((" → ".join(name for name, _ in known), " → ".join(about for _, about in known if about)))
        else:
            found.append((value_text(row[text]) if text else f"row {number + 1}", ""))
    return found
