"""One graph pruned at many pairs of thresholds: what each pair keeps, and how alike neighbouring pairs are.

Axes: N node, E edge, I setting (a pair of thresholds), X node or edge that any setting keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.columns import KINDS
from ..graph.edge_strength import passed_influence
from ..graph.graph import Graph
from ..graph.influence import edge_shares, influence
from ..graph.nodes import NodeKind
from ..graph.prune import check_thresholds, kept_by_pruning

Mask = npt.NDArray[np.bool_]
Columns = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """All pairs of a node threshold and an edge threshold, the node thresholds outermost, both ascending."""

    node_thresholds: tuple[float, ...]
    edge_thresholds: tuple[float, ...]

    @classmethod
    def of(cls, node_thresholds: Sequence[float], edge_thresholds: Sequence[float]) -> Grid:
        """Return the grid, after it has been checked. Raises ConfigError."""
        for name, thresholds in (("node", node_thresholds), ("edge", edge_thresholds)):
            if not thresholds:
                raise ConfigError(f"there must be at least one {name} threshold")
            for threshold in thresholds:
                check_thresholds(*((threshold, 1.0) if name == "node" else (1.0, threshold)))
        return cls(*(tuple(sorted({float(share) for share in one})) for one in (node_thresholds, edge_thresholds)))

    def __len__(self) -> int:
        return len(self.node_thresholds) * len(self.edge_thresholds)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return ((node, edge) for node in self.node_thresholds for edge in self.edge_thresholds)

    def steps(self) -> Iterator[tuple[int, int, str]]:
        """Yield the numbers of two neighbouring settings, and the name of the threshold that grows."""
        width = len(self.edge_thresholds)
        for number in range(len(self)):
            if (number + 1) % width:
                yield number, number + 1, "edge_threshold"
            if number + width < len(self):
                yield number, number + width, "node_threshold"

    def columns(self) -> Columns:
        """Return both thresholds of each setting."""
        node, edge = np.array(list(self)).T
        return {"node_threshold": node, "edge_threshold": edge}


@dataclass(frozen=True, eq=False)
class GraphStability:
    """The tables of one graph."""

    settings: Columns
    steps: Columns
    nodes: Columns
    edges: Columns

    @classmethod
    def of(cls, graph: Graph, grid: Grid) -> GraphStability:
        in_IN = np.zeros((len(grid), len(graph.nodes)), dtype=bool)
        in_IE = np.zeros((len(grid), graph.num_edges), dtype=bool)
        for number, thresholds in enumerate(grid):
            in_IN[number], kept = kept_by_pruning(graph, *thresholds)
            in_IE[number, kept] = True
        names = np.fromiter((graph.node_label(node) for node in range(len(graph.nodes))), object, len(graph.nodes))
        target_E, passed_E = graph.target_E(), passed_influence(graph)
        node_N, edge_E = np.flatnonzero(in_IN.any(0)), np.flatnonzero(in_IE.any(0))
        nodes = {
            "node": names[node_N],
            "kind": np.array(KINDS, dtype=object)[graph.nodes.kind_N[node_N]],
            "layer": graph.nodes.layer_N[node_N],
            "position": graph.nodes.position_N[node_N],
            "feature": graph.nodes.feature_N[node_N],
            "influence": graph.influence_N[node_N].astype(np.float64),
            **_ranges(in_IN[:, node_N], grid),
        }
        edges = {
            "source": names[graph.source_E[edge_E]],
            "target": names[target_E[edge_E]],
            "weight": graph.weight_E[edge_E].astype(np.float64),
            "passed": passed_E[edge_E],
            **_ranges(in_IE[:, edge_E], grid),
        }
        prompt = graph.prompt_id
        return cls(
            _named(prompt, grid.columns() | _settings(graph, in_IN, in_IE, passed_E)),
            _named(prompt, _steps(in_IN, in_IE, grid)),
            _named(prompt, nodes),
            _named(prompt, edges),
        )


def _named(prompt: str, columns: Columns) -> Columns:
    return {"prompt": [prompt] * len(next(iter(columns.values()))), **columns}


def _settings(graph: Graph, in_IN: Mask, in_IE: Mask, passed_E: npt.NDArray[np.float64]) -> Columns:
    kind_N, influence_N = graph.nodes.kind_N, graph.influence_N.astype(np.float64)
    scores = [_scores(graph, in_E) for in_E in in_IE]
    return {
        "nodes": in_IN.sum(1),
        **{f"{kind.name.lower()}s": in_IN[:, kind_N == kind].sum(1) for kind in NodeKind},
        "edges": in_IE.sum(1),
        "influence": _divided([float(influence_N[in_N].sum()) for in_N in in_IN], float(influence_N.sum())),
        "passed": _divided([float(passed_E[in_E].sum()) for in_E in in_IE], float(passed_E.sum())),
        "replacement": np.array([replacement for replacement, _ in scores]),
        "completeness": np.array([completeness for _, completeness in scores]),
    }


def _scores(graph: Graph, in_E: Mask) -> tuple[float, float]:
    """Return the replacement score and the completeness of the graph that has these edges alone.

    The definitions are those of `Scores`, with rows normalised to the edges that are left, and the constant where it
    takes part.
    """
    kind_N, target_E = graph.nodes.kind_N, graph.target_E()[in_E]
    source_E, weight_E = graph.source_E[in_E], graph.weight_E[in_E]
    row_N = np.bincount(target_E, np.abs(weight_E).astype(np.float64), len(kind_N)).astype(np.float64)
    if graph.constant_node:
        row_N += np.nan_to_num(np.abs(graph.constant_N)) * (row_N > 0)
    share_E, start_N = edge_shares(target_E, weight_E, row_N), graph.target_weights_N()
    total_N = influence(target_E, source_E, share_E, start_N).total_N
    passing_N = total_N + start_N
    is_error_N = kind_N == NodeKind.ERROR
    from_error_N = np.bincount(target_E, share_E * is_error_N[source_E], len(kind_N))
    token, error = float(total_N[kind_N == NodeKind.TOKEN].sum()), float(total_N[is_error_N].sum())
    passing = float(passing_N.sum())
    not_from_errors = float((passing_N * (1 - from_error_N)).sum())
    return _share(token, token + error), _share(not_from_errors, passing)


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _divided(parts: Sequence[float], whole: float) -> npt.NDArray[np.float64]:
    return np.array([_share(part, whole) for part in parts])


def _steps(in_IN: Mask, in_IE: Mask, grid: Grid) -> Columns:
    steps = list(grid.steps())
    settings = list(grid)
    return {
        "node_threshold": np.array([settings[one][0] for one, _, _ in steps], dtype=np.float64),
        "edge_threshold": np.array([settings[one][1] for one, _, _ in steps], dtype=np.float64),
        "next_node_threshold": np.array([settings[other][0] for _, other, _ in steps], dtype=np.float64),
        "next_edge_threshold": np.array([settings[other][1] for _, other, _ in steps], dtype=np.float64),
        "grows": np.array([name for _, _, name in steps], dtype=object),
        "nodes_jaccard": np.array([_jaccard(in_IN[one], in_IN[other]) for one, other, _ in steps], dtype=np.float64),
        "edges_jaccard": np.array([_jaccard(in_IE[one], in_IE[other]) for one, other, _ in steps], dtype=np.float64),
    }


def _jaccard(one: Mask, other: Mask) -> float:
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 1.0


def _ranges(in_IX: Mask, grid: Grid) -> Columns:
    """Return the thresholds at which each item is in, given that each is in at one setting at least."""
    shape = (len(grid.node_thresholds), len(grid.edge_thresholds), in_IX.shape[1])
    in_grid: npt.NDArray[Any] = in_IX.reshape(shape)
    found: Columns = {"settings": in_IX.sum(0)}
    for axis, (name, thresholds) in enumerate((("node", grid.node_thresholds), ("edge", grid.edge_thresholds))):
        at_threshold: npt.NDArray[Any] = np.asarray(in_grid.any(1 - axis))
        values = np.array(thresholds)
        found[f"{name}_threshold_low"] = values[at_threshold.argmax(0)]
        found[f"{name}_threshold_high"] = values[len(thresholds) - 1 - at_threshold[::-1].argmax(0)]
    # an item that is in at some setting and out at one that is larger in either threshold has come and gone
    grows_only = (in_grid[1:] >= in_grid[:-1]).all((0, 1)) & (in_grid[:, 1:] >= in_grid[:, :-1]).all((0, 1))
    found["returns"] = np.where(grows_only, "no", "yes").astype(object)
    found["is_in"] = np.array(["".join("1" if is_in else "0" for is_in in column) for column in in_IX.T], dtype=object)
    return found
