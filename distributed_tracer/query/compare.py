"""Two graphs compared: which nodes and edges both have, and with which influence and weights.

Axes: N node, E edge, P position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.edge_strength import has_influence, passed_influence
from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..table import Table
from ..text import counted, short

_IN = ("both", "a", "b")


@dataclass(frozen=True, eq=False)
class GraphComparison:
    """What two graphs, a and b, share, and in what they differ.

    **Positions** are aligned by the tokens: the common beginning, the common end, then the longest equal stretches; and
    between them the last position with the last, the one before with the one before, and so on. A **feature** is shared
    if both graphs have its layer and index at aligned positions, an error or a token likewise, a target if it is the
    same token (or has the same label, if it is no token). An **edge** is shared if both its nodes are, and both graphs
    have it.

    A Jaccard index is the number of shared items, divided by the number of items of either graph. An overlap is the sum
    of the smaller values divided by the sum of the larger ones: of influence for features, of the influence that edges
    pass on for edges, where an edge that raises its target in one graph and lowers it in the other shares nothing. It
    is NaN if a graph was imported and its influence is not known.
    """

    a: Graph
    b: Graph
    positions: tuple[tuple[int, int], ...]
    """Aligned positions of a and b, ascending."""
    features: Table
    """One row for each feature node of either graph, those with most influence first. Columns: in (`both`, `a`, `b`),
    layer, feature, position_a, position_b (-1 where it is not), influence_a, influence_b, activation_a, activation_b
    (0 where it is not), elsewhere (whether the other graph has the layer and index at some other position)."""
    edges: Table
    """One row for each edge of either graph, those that pass on most influence first. Columns: in, source, target
    (names of nodes, as in a unless only b has the edge), weight_a, weight_b, passed_a, passed_b (0 where it is not)."""
    feature_jaccard: float
    feature_overlap: float
    edge_jaccard: float
    edge_overlap: float
    shared_a: npt.NDArray[np.intp]
    """Numbers of the nodes of a that b has too; `shared_b` has those of b, in the same order."""
    shared_b: npt.NDArray[np.intp]

    def __repr__(self) -> str:
        shared = int((self.features["in"] == "both").sum())
        return (
            f"<GraphComparison {short(self.a.prompt_id)} and {short(self.b.prompt_id)}: "
            f"{counted(shared, 'shared feature')}, Jaccard {self.feature_jaccard:.2f} of features, "
            f"{self.edge_jaccard:.2f} of edges>"
        )


def compare_graphs(a: Graph, b: Graph) -> GraphComparison:
    """Compare two graphs of one model and one set of transcoders; `GraphComparison` says by which rules."""
    positions = aligned_positions(a.tokens_P, b.tokens_P)
    union_a, union_b, num_union = _union(a, b, {of_b: of_a for of_a, of_b in positions})
    node_a, node_b = (np.full(num_union, -1, dtype=np.intp) for _ in range(2))
    node_a[union_a], node_b[union_b] = np.arange(len(union_a)), np.arange(len(union_b))
    features, feature_overlap = _features(a, b, node_a, node_b)
    edges, edge_overlap = _edges(a, b, union_a, union_b, node_a, node_b)
    is_shared = (node_a >= 0) & (node_b >= 0)
    return GraphComparison(
        a,
        b,
        tuple(positions),
        features,
        edges,
        _jaccard(features),
        feature_overlap,
        _jaccard(edges),
        edge_overlap,
        node_a[is_shared],
        node_b[is_shared],
    )


_MOST_COMPARED = 10_000_000
"""Largest number of pairs of equal tokens that are compared, which takes seconds. Beyond it, positions between the
common beginning and the common end are aligned from the end alone."""


def aligned_positions(tokens_a: npt.NDArray[np.int32], tokens_b: npt.NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return pairs of positions that belong together: equal tokens, and between them the same place from the end.

    The common beginning of both prompts counts first, then their common end, then the longest equal stretches.
    """
    one, other = tokens_a.tolist(), tokens_b.tolist()
    shorter = min(len(one), len(other))
    head = next((n for n in range(shorter) if one[n] != other[n]), shorter)
    tail = next((n for n in range(shorter - head) if one[-1 - n] != other[-1 - n]), shorter - head)
    middle_a, middle_b = one[head : len(one) - tail], other[head : len(other) - tail]
    counts = Counter(middle_b)
    blocks = [(0, 0, head)]
    if sum(counts[token] for token in middle_a) <= _MOST_COMPARED:
        found = SequenceMatcher(None, middle_a, middle_b, autojunk=False).get_matching_blocks()
        blocks += [(head + start_a, head + start_b, size) for start_a, start_b, size in found if size]
    blocks.append((len(one) - tail, len(other) - tail, tail))
    pairs, end_a, end_b = list[tuple[int, int]](), 0, 0
    for start_a, start_b, size in blocks:
        unequal = min(start_a - end_a, start_b - end_b)
        pairs += zip(range(start_a - unequal, start_a), range(start_b - unequal, start_b), strict=True)
        pairs += zip(range(start_a, start_a + size), range(start_b, start_b + size), strict=True)
        end_a, end_b = start_a + size, start_b + size
    return pairs


def _union(
    a: Graph, b: Graph, position_in_a: Mapping[int, int]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], int]:
    """Return a number for each node of a and of b, the same for those that are shared, and how many numbers there
    are."""
    numbers: dict[tuple[Any, ...], int] = {}
    of_a, of_b = (
        np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
        for keys in (_node_keys(a, range(len(a.tokens_P))), _node_keys(b, position_in_a))
    )
    return of_a, of_b, len(numbers)


def _node_keys(graph: Graph, places: Mapping[int, int] | Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield what identifies each node of a graph. `places` are the positions in a of its own positions, as far as they
    are aligned."""
    nodes, seen = graph.nodes, Counter[tuple[Any, ...]]()
    columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)
    for kind, layer, position, feature in zip(*(column.tolist() for column in columns), strict=True):
        if kind == NodeKind.TARGET:
            target = graph.targets[feature]
            answer = (kind, target.token_id, target.label if target.token_id < 0 else "")
            seen[answer] += 1
            yield (*answer, seen[answer])  # two targets of one graph are never the same node
        else:
            place = places[position] if position in places else -1 - position
            yield (kind, layer, place, feature if kind == NodeKind.FEATURE else -1)


def _features(a: Graph, b: Graph, node_a: npt.NDArray[np.intp], node_b: npt.NDArray[np.intp]) -> tuple[Table, float]:
    """Return the table of features, and the overlap of their influence."""
    is_feature = _at(a.nodes.kind_N, node_a, 255) == NodeKind.FEATURE
    is_feature |= _at(b.nodes.kind_N, node_b, 255) == NodeKind.FEATURE
    here_a, here_b = node_a[is_feature], node_b[is_feature]
    influence_a, influence_b = (
        _at(graph.influence_N.astype(np.float64), here, 0.0) for graph, here in ((a, here_a), (b, here_b))
    )
    layer = np.where(here_a >= 0, _at(a.nodes.layer_N, here_a, -1), _at(b.nodes.layer_N, here_b, -1)).astype(np.int64)
    index = np.where(here_a >= 0, _at(a.nodes.feature_N, here_a, -1), _at(b.nodes.feature_N, here_b, -1))
    key = layer << 40 | index.astype(np.int64)
    is_both = (here_a >= 0) & (here_b >= 0)
    elsewhere = ~is_both & np.isin(key, key[here_a >= 0]) & np.isin(key, key[here_b >= 0])
    order = np.argsort(-np.nan_to_num(np.fmax(influence_a, influence_b)), kind="stable")
    columns = {
        "in": _sides(here_a, here_b),
        "layer": layer,
        "feature": index.astype(np.int64),
        "position_a": _at(a.nodes.position_N, here_a, -1).astype(np.int64),
        "position_b": _at(b.nodes.position_N, here_b, -1).astype(np.int64),
        "influence_a": influence_a,
        "influence_b": influence_b,
        "activation_a": _at(a.nodes.activation_N.astype(np.float64), here_a, 0.0),
        "activation_b": _at(b.nodes.activation_N.astype(np.float64), here_b, 0.0),
        "elsewhere": elsewhere,
    }
    overlap = _overlap(*map(np.nan_to_num, (influence_a, influence_b))) if _has_influence(a, b) else np.nan
    return Table({name: values[order] for name, values in columns.items()}), overlap


def _edges(
    a: Graph,
    b: Graph,
    union_a: npt.NDArray[np.intp],
    union_b: npt.NDArray[np.intp],
    node_a: npt.NDArray[np.intp],
    node_b: npt.NDArray[np.intp],
) -> tuple[Table, float]:
    """Return the table of edges, and the overlap of the influence that they pass on."""
    num_union = len(node_a)
    keys = [
        union[graph.target_E()].astype(np.int64) * num_union + union[graph.source_E]
        for graph, union in ((a, union_a), (b, union_b))
    ]
    all_keys = np.unique(np.concatenate(keys))
    places = [np.searchsorted(all_keys, of_graph) for of_graph in keys]
    weights, passed, has = (np.zeros((2, len(all_keys))) for _ in range(3))
    for side, (graph, place) in enumerate(zip((a, b), places, strict=True)):
        weights[side, place] = graph.weight_E
        passed[side, place] = passed_influence(graph)
        has[side, place] = 1.0
    order = np.argsort(-passed.max(0, initial=0.0), kind="stable")
    target, source = np.divmod(all_keys[order], max(num_union, 1))
    sides = _sides(np.where(has[0] > 0, 0, -1), np.where(has[1] > 0, 0, -1))[order]
    names_a, names_b = _names(a, node_a), _names(b, node_b)
    columns = {
        "in": sides,
        "source": np.where(sides == "b", names_b[source], names_a[source]),
        "target": np.where(sides == "b", names_b[target], names_a[target]),
        "weight_a": weights[0, order],
        "weight_b": weights[1, order],
        "passed_a": passed[0, order],
        "passed_b": passed[1, order],
    }
    signed = passed * np.sign(np.nan_to_num(weights))
    return Table(columns), _overlap(*signed) if _has_influence(a, b) else np.nan


def _has_influence(*graphs: Graph) -> bool:
    return all(has_influence(graph) or not len(graph.nodes) for graph in graphs)


def _names(graph: Graph, nodes: npt.NDArray[np.intp]) -> npt.NDArray[np.object_]:
    """Return the names of these nodes; empty where the number of the node is -1."""
    names = (graph.node_label(node) if node >= 0 else "" for node in nodes.tolist())
    return np.fromiter(names, dtype=object, count=len(nodes))


def _at(values: npt.NDArray[Any], nodes: npt.NDArray[np.intp], missing: float) -> npt.NDArray[Any]:
    """Return the values at these nodes, and `missing` where the number of the node is -1."""
    found = np.full(len(nodes), missing, dtype=values.dtype if values.dtype != np.float32 else np.float64)
    found[nodes >= 0] = values[nodes[nodes >= 0]]
    return found


def _sides(here_a: npt.NDArray[Any], here_b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    names = np.array(_IN, dtype=object)
    return names[np.where(here_b < 0, 1, np.where(here_a < 0, 2, 0))]


def _overlap(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Return the sum of the smaller values over the sum of the larger ones, positive and negative ones apart; 1 if
    there are none."""
    parts = [(np.maximum(sign * a, 0), np.maximum(sign * b, 0)) for sign in (1, -1)]
    larger = sum(float(np.maximum(x, y).sum()) for x, y in parts)
    return sum(float(np.minimum(x, y).sum()) for x, y in parts) / larger if larger else 1.0


def _jaccard(table: Table) -> float:
    return float((table["in"] == "both").mean()) if len(table) else 1.0
