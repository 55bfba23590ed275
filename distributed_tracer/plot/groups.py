"""Colours and markers of groups of nodes, such as communities, in a picture of one graph.

Axes: N node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..graph.context import Group
from ..graph.edge_strength import passing_influence
from ..graph.graph import Graph
from ..graph.node_keys import node_keys
from ..graph.nodes import NodeKind
from . import style

COLOURS = ("#2f55ff", "#df6400", "#006b4f", "#b06fe0", "#6e1414", "#2a0f6b")
"""Colours that have a contrast of 3:1 with white, and that colour-blind readers can tell apart."""
NONE = "#8c8c8c"
"""The colour of features without a group."""
_MARKERS = ("o", "^", "v")
NUM_LOOKS = len(COLOURS) * len(_MARKERS)
_LONGEST = 44


class Look(NamedTuple):
    """How nodes are drawn."""

    colour: str
    marker: str | None = None
    """A marker of matplotlib; None stands for that of the node's kind."""


class Looks(NamedTuple):
    """How the nodes of a graph are drawn that is coloured by groups."""

    of_node: Mapping[int, Look]
    """The look of each feature that is drawn."""
    entries: Sequence[tuple[str, Look]]
    """Names and looks for the legend, the groups with most influence first."""
    notes: Sequence[str]
    texts: Sequence[str]
    """The names of the groups in the legend, before characters without a font are replaced."""


def looks_of(graph: Graph, groups: Sequence[Group], shown_N: npt.NDArray[np.intp]) -> Looks:
    """Return how the shown features of a graph look by group, the first of a feature's groups counting.

    The groups of shown features take the colours in the order of the influence of these features, then the same colours
    with another marker; after NUM_LOOKS groups colours and markers begin anew, which a note says.
    """
    number_of = {key: number for number, key in enumerate(node_keys(graph))}
    group_of: dict[int, int] = {}
    for number, group in enumerate(groups):
        for key in group.members:
            if key in number_of:
                group_of.setdefault(number_of[key], number)
    features = [node for node in shown_N.tolist() if graph.nodes.kind_N[node] == NodeKind.FEATURE]
    influence_N, sums = passing_influence(graph), dict[int, float]()
    for node in features:
        if node in group_of:
            sums[group_of[node]] = sums.get(group_of[node], 0.0) + float(influence_N[node])
    order = sorted(sums, key=lambda number: (-sums[number], number))
    looks = {number: _look(place) for place, number in enumerate(order)}
    entries = [(style.words(groups[number].name, _LONGEST), looks[number]) for number in order]
    if any(node not in group_of for node in features):
        entries.append(("features without a group", Look(NONE)))
    return Looks(
        {node: looks[group_of[node]] if node in group_of else Look(NONE) for node in features},
        entries,
        _notes(len(order)),
        [style.shown(groups[number].name, _LONGEST) for number in order],
    )


def _look(place: int) -> Look:
    marker, colour = divmod(place % NUM_LOOKS, len(COLOURS))
    return Look(COLOURS[colour], _MARKERS[marker])


def _notes(num_groups: int) -> list[str]:
    if num_groups > NUM_LOOKS:
        return [f"colours and markers repeat after the {NUM_LOOKS} most influential of {num_groups:,} groups"]
    return [] if num_groups else ["no feature that is drawn has a group"]
