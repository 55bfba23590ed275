"""Pictures of a table, chosen by its columns: what people would rather look at than read.

Tables of kinds that this program does not know thus have pictures too, and a missing column costs one picture.
"""

from __future__ import annotations

from collections.abc import Callable

from .columns import End, ends_of, first_of
from .drawn import Drawn
from .effect_pictures import histograms_of_p, intervals, volcano
from .network import Edge, Key, network
from .value_pictures import against, bars, heat_map
from .values import number_text, words
from .verdict_picture import verdict_counts

WEIGHTS = (
    *("mean_share", "share", "sum_share", "direct", "twera", "era", "mean_row", "mean_weight", "weight"),
    *("frequency", "mean", "sum", "difference"),
)
"""Columns that say how strong an edge is, those first that are comparable between edges."""
_EDGES = 30


def pictures(drawn: Drawn) -> list[str]:
    """Return the pictures of a table; none for a table without rows."""
    if not len(drawn.table):
        return []
    of_keys = [*bars(drawn), *heat_map(drawn)]
    rules: tuple[Callable[[Drawn], list[str]], ...] = (edges, verdict_counts, volcano, histograms_of_p)
    found = [picture for rule in rules for picture in rule(drawn)]
    return [*found, *of_keys, *([] if of_keys else intervals(drawn)), *against(drawn)]


def edges(drawn: Drawn) -> list[str]:
    """Return a graph of the first edges of the table, if its rows are edges."""
    ends = {end.name: end for end in ends_of(drawn.table.columns, drawn.texts)}
    weight = first_of(drawn.numbers, *WEIGHTS)
    if not {"source", "target"} <= ends.keys() or not weight:
        return []
    sides: tuple[End, End] = (ends["source"], ends["target"])
    name_of: dict[Key, tuple[str, str]] = {}
    found: list[Edge] = []
    for row in drawn.table.rows():
        source, target = (end.key(row) for end in sides)
        if source[0] >= target[0] or len(found) == _EDGES:
            continue
        for end in sides:
            name_of[end.key(row)] = end.of(row, drawn.names)
        about = f"{name_of[source][0]} → {name_of[target][0]}: {number_text(row[weight])}"
        found.append(Edge(source, target, float(row[weight]), about))
    caption = f"The first {len(found)} edges of the table; width and colour of a line: size and sign of {words(weight)}"
    return [network(found, name_of, caption)] if found else []
