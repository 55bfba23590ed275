"""What of a graph a picture shows: the most influential nodes of some layers, and the edges that pass on most.

Axes: N node, E edge, P position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.edge_strength import passed_influence, passing_influence
from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..plain_values import integer

INNER = (NodeKind.FEATURE, NodeKind.ERROR)


@dataclass(frozen=True, eq=False)
class Selection:
    """Nodes and edges of one graph that a picture shows."""

    shown_N: npt.NDArray[np.intp]
    """Numbers of the nodes, ascending."""
    edge_E: npt.NDArray[np.intp]
    """Numbers of the edges, the weakest first."""
    passed_E: npt.NDArray[np.float64]
    """The influence that each of these edges passes on, as a share of the most that any edge of the graph passes on
    between these nodes."""
    layers: range

    def of_kinds(self, graph: Graph, *kinds: NodeKind) -> npt.NDArray[np.intp]:
        """Return the shown nodes of these kinds."""
        return self.shown_N[np.isin(graph.nodes.kind_N[self.shown_N], kinds)]


def select(graph: Graph, layers: range, max_nodes: int, max_edges: int, most_positions: int) -> Selection:
    """Choose all targets, the `max_nodes` most influential features and errors of `layers`, their tokens and edges.

    If the prompt has more than `most_positions`, those with targets come first, then those whose chosen nodes have most
    influence; nodes elsewhere are not shown.
    """
    nodes, influence_N = graph.nodes, passing_influence(graph)
    is_inner_N = np.isin(nodes.kind_N, INNER) & np.isin(nodes.layer_N, np.arange(layers.start, layers.stop))
    inner = np.flatnonzero(is_inner_N)
    best = inner[np.argsort(-influence_N[inner], kind="stable")[:max_nodes]]
    outer = np.flatnonzero(~np.isin(nodes.kind_N, INNER))
    shown = np.sort(np.concatenate([best, outer]))
    if len(graph.tokens_P) > most_positions:
        score_P = np.bincount(nodes.position_N[shown], influence_N[shown], len(graph.tokens_P))
        score_P[nodes.position_N[best]] += influence_N.sum() + 1.0
        score_P[nodes.position_N[nodes.where(NodeKind.TARGET)]] = np.inf
        kept = np.argsort(-score_P, kind="stable")[:most_positions]
        shown = shown[np.isin(nodes.position_N[shown], kept)]
    return Selection(shown, *_strongest(graph, shown, max_edges), layers)


def _strongest(
    graph: Graph, shown_N: npt.NDArray[np.intp], max_edges: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    both_E = np.flatnonzero(np.isin(graph.target_E(), shown_N) & np.isin(graph.source_E, shown_N))
    passed = passed_influence(graph)[both_E]
    best = np.argsort(-passed, kind="stable")[:max_edges][::-1]
    return both_E[best], passed[best] / max(passed.max(initial=0.0), 1e-30)


def chosen_layers(layers: range | slice | Iterable[int] | None, num_layers: int) -> range:
    """Return the layers to draw. Raises ConfigError for layers that the model does not have, and for a step."""
    if layers is None:
        return range(num_layers)
    if isinstance(layers, slice | range):
        first = 0 if layers.start is None else integer(layers.start, "the first layer", ConfigError)
        stop = num_layers if layers.stop is None else integer(layers.stop, "the end of the layers", ConfigError)
        if layers.step not in (None, 1):
            raise ConfigError(f"layers are drawn without a step, not {layers!r}")
    else:
        first, stop = _bounds([integer(layer, "a layer", ConfigError) for layer in layers])
    if not 0 <= first < stop <= num_layers:
        raise ConfigError(f"layers {first}:{stop} are not a part of the {num_layers} layers, which are 0:{num_layers}")
    return range(first, stop)


def _bounds(listed: list[int]) -> tuple[int, int]:
    if not listed or sorted(listed) != list(range(min(listed), min(listed) + len(listed))):
        raise ConfigError(f"layers to draw follow each other, as in range(10, 20); found {listed}")
    return min(listed), max(listed) + 1


def parse_layers(text: str) -> slice:
    """Return layers that are written as FIRST:END, without the layer END, or as one layer. Raises ConfigError."""
    found = _LAYERS.fullmatch(text)
    if found is None or text == ":":
        raise ConfigError(f"--layers is FIRST:END, as in 10:20 for the layers 10 to 19, or one layer, not {text!r}")
    if found["one"]:
        return slice(int(found["one"]), int(found["one"]) + 1)
    first, end = (int(bound) if bound else None for bound in found.group("first", "end"))
    return slice(first, end)


_LAYERS = re.compile(r"(?P<one>\d{1,9})|(?P<first>\d{0,9}):(?P<end>\d{0,9})", re.ASCII)
