"""ImportedGraph: a graph from a file and what the file says beside it; `assemble` puts a graph together from its parts.

Axes: N node, E edge, P position, L layer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import plain_values
from ..errors import GraphFileError
from ..graph.context import GraphContext
from ..graph.graph import Graph, Scores, Target
from ..graph.nodes import ActiveTable, NodeKind, NodeTable

MAX_LAYERS = 2**15 - 1
_MAX_INDEX = 2**31 - 1
_ROWS = ("row_abs_sum_N", "row_abs_sum_all_N", "row_abs_dropped_N", "constant_N")
InfluenceOrigin = Literal["computed", "file", "shares", "unknown"]
"""Where the influence of an imported graph comes from: `computed` from a complete matrix of edges; `file`: the file has
it; `shares`: the file has cumulative shares, so the influences add up to at most 1; `unknown`: it is NaN."""


@dataclass(frozen=True)
class ImportedGraph:
    """One graph that was read from a file."""

    graph: Graph
    influence: InfluenceOrigin
    all_active: bool
    """Whether `graph.active` has every active feature, not only those that are nodes."""
    context: GraphContext = GraphContext()  # noqa: RUF009  (it is frozen)
    notes: tuple[str, ...] = ()
    """What is in the file and could not be kept."""

    def named(self, prompt_id: str, file: str, format: str) -> ImportedGraph:
        """Return the graph under a valid id, with metadata that say from which file it is.

        Raises GraphFileError for an id that a store cannot have.
        """
        known = {
            "imported_from": file,
            "imported_format": format,
            "imported_influence": self.influence,
            "imported_model": self.context.model or None,
            "imported_transcoders": self.context.transcoders or None,
            "imported_node_threshold": self.context.node_threshold,
            "imported_edge_threshold": self.context.edge_threshold,
        }
        metadata = {**self.graph.metadata, **{name: value for name, value in known.items() if value is not None}}
        if len(json.dumps(metadata)) > _MAX_METADATA:
            raise GraphFileError(f"its metadata take more than {_MAX_METADATA:,} bytes")
        valid = plain_values.prompt_id(prompt_id, GraphFileError)
        return replace(self, graph=replace(self.graph, prompt_id=valid, metadata=metadata))


_MAX_METADATA = plain_values.MAX_METADATA_BYTES


def unknown_scores(num_layers: int) -> Scores:
    """Return scores of which none is known."""
    nan = float("nan")
    return Scores(nan, nan, nan, (nan,) * num_layers, (), nan)


def assemble(
    *,
    text: str | None,
    tokens: Sequence[int],
    token_strings: Sequence[str],
    num_layers: int,
    targets: Sequence[Target],
    nodes: NodeTable,
    source_E: npt.NDArray[np.int64],
    target_E: npt.NDArray[np.int64],
    weight_E: npt.NDArray[np.float32],
    influence_N: npt.NDArray[np.float32] | None = None,
    rows: Mapping[str, npt.NDArray[np.float32]] | None = None,
    active: ActiveTable | None = None,
    scores: Scores | None = None,
    constant_node: bool = False,
    metadata: Mapping[str, Any] | None = None,
    name: Callable[[int], str] = "number {}".format,
) -> Graph:
    """Return a graph of nodes and edges that may be given in any order; `source_E` and `target_E` number the nodes.

    `rows` are the attributes of rows by their names in Graph; those that are missing are NaN, and so is missing
    influence. Without `active`, the features that are nodes stand for all active ones. `name` names a node, by its
    number, in messages. Raises GraphFileError for two nodes or edges that are the same, for nodes that this model and
    prompt cannot have, and for edges that do not lead from a lower to a higher layer.
    """
    _check_nodes(nodes, num_layers, len(tokens), len(targets), name)
    order = _canonical_order(nodes)
    _check_distinct(nodes, order, name)
    _check_edges(nodes, source_E, target_E, name)
    place_N = np.empty(len(order), dtype=np.int64)
    place_N[order] = np.arange(len(order))
    source_E, target_E = place_N[source_E], place_N[target_E]
    by_row = np.lexsort((source_E, target_E))
    source_E, target_E = source_E[by_row], target_E[by_row]
    same = np.flatnonzero((source_E[1:] == source_E[:-1]) & (target_E[1:] == target_E[:-1]))
    if len(same):
        raise GraphFileError(
            f"it has two edges from {name(order[source_E[same[0]]])} to {name(order[target_E[same[0]]])}"
        )
    nan_N = np.full(len(order), np.nan, dtype=np.float32)
    given = {**dict.fromkeys(_ROWS, nan_N), **(rows or {})}
    ordered = nodes.take(order)
    features = ordered.take(ordered.where(NodeKind.FEATURE))
    if active is None:
        active = ActiveTable(features.layer_N, features.position_N, features.feature_N, features.activation_N)
    return Graph(
        prompt_id="",
        text=text,
        tokens_P=np.array(tokens, dtype=np.int32),
        token_strings=tuple(token_strings),
        num_layers=num_layers,
        targets=tuple(targets),
        nodes=ordered,
        indptr=np.searchsorted(target_E, np.arange(len(order) + 1)).astype(np.int64),
        source_E=source_E.astype(np.int32),
        weight_E=weight_E[by_row].astype(np.float32, copy=False),
        **{row: values[order] for row, values in given.items()},
        influence_N=(nan_N if influence_N is None else influence_N)[order],
        active=active,
        scores=unknown_scores(num_layers) if scores is None else scores,
        constant_node=constant_node,
        metadata=metadata or {},
        scales=None,
    )


def _check_nodes(nodes: NodeTable, num_layers: int, num_positions: int, num_targets: int, name: Any) -> None:
    if not 0 <= num_layers <= MAX_LAYERS:
        raise GraphFileError(f"its model would have {num_layers:,} layers; at most {MAX_LAYERS:,} are possible")
    if not num_positions:
        raise GraphFileError("it has no tokens")
    kind_N, layer_N = nodes.kind_N, nodes.layer_N
    inside_N = (kind_N == NodeKind.FEATURE) | (kind_N == NodeKind.ERROR)
    layers_N = np.where(inside_N, num_layers, 0)
    _refuse_first(inside_N & ((layer_N < 0) | (layer_N >= layers_N)), "is in layer {}", layer_N, num_layers, name)
    outside = (nodes.position_N < 0) | (nodes.position_N >= num_positions)
    _refuse_first(outside, "is at position {}", nodes.position_N, num_positions, name)
    target_N = kind_N == NodeKind.TARGET
    wrong = target_N & ((nodes.feature_N < 0) | (nodes.feature_N >= num_targets))
    _refuse_first(wrong, "is target {}", nodes.feature_N, num_targets, name)
    wrong = (kind_N == NodeKind.FEATURE) & (nodes.feature_N < 0)
    _refuse_first(wrong, "is feature {}", nodes.feature_N, _MAX_INDEX, name)


def _refuse_first(wrong_N: npt.NDArray[np.bool_], is_what: str, values: Any, end: int, name: Any) -> None:
    if wrong_N.any():
        first = int(np.flatnonzero(wrong_N)[0])
        raise GraphFileError(f"node {name(first)} {is_what.format(values[first])}, expected 0 to {end - 1:,}")


def _canonical_order(nodes: NodeTable) -> npt.NDArray[np.int64]:
    """Return the numbers of the nodes in the order that a Graph has: targets by number, all others by place."""
    is_target_N = nodes.kind_N == NodeKind.TARGET
    position_N = np.where(is_target_N, 0, nodes.position_N)
    feature_N = np.where((nodes.kind_N == NodeKind.FEATURE) | is_target_N, nodes.feature_N, 0)
    return np.lexsort((feature_N, position_N, nodes.layer_N, nodes.kind_N))


def _check_distinct(nodes: NodeTable, order: npt.NDArray[np.int64], name: Callable[[int], str]) -> None:
    is_target_N = nodes.kind_N == NodeKind.TARGET
    feature_N = np.where((nodes.kind_N == NodeKind.FEATURE) | is_target_N, nodes.feature_N, 0)
    keys = np.column_stack([nodes.kind_N, nodes.layer_N, np.where(is_target_N, 0, nodes.position_N), feature_N])[order]
    same = np.flatnonzero((keys[1:] == keys[:-1]).all(axis=1))
    if len(same):
        one, other = int(order[same[0]]), int(order[same[0] + 1])
        raise GraphFileError(f"nodes {name(one)} and {name(other)} are the same")


def _check_edges(nodes: NodeTable, source_E: Any, target_E: Any, name: Callable[[int], str]) -> None:
    num_nodes = len(nodes)
    for end_E in (source_E, target_E):
        if len(end_E) and not 0 <= int(end_E.min()) <= int(end_E.max()) < num_nodes:
            raise GraphFileError(f"an edge has an end that is none of the {num_nodes:,} nodes")
    into_E = nodes.kind_N[target_E]
    wrong_E = (into_E == NodeKind.ERROR) | (into_E == NodeKind.TOKEN)
    wrong_E |= nodes.layer_N[source_E] >= nodes.layer_N[target_E]
    if wrong_E.any():
        edge = int(np.flatnonzero(wrong_E)[0])
        raise GraphFileError(
            f"an edge leads from {name(int(source_E[edge]))} to {name(int(target_E[edge]))}: "
            "edges lead from a lower layer to features and targets of a higher one"
        )
