"""Difference of two targets: what raises one target of a graph over another, such as ` Austin` over ` Dallas`.

The direct effect of a node on A - B is the difference of its edges to A and to B, as both targets are linear in the
same residual stream. What a node does through features is summed over paths: each feature on a path hands on the part
of its own effect that the node has in the feature's row. Axes: N node, E edge.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import plain_values
from ..errors import ConfigError
from ..graph.columns import KINDS
from ..graph.edge_strength import Rows, normalisers
from ..graph.graph import Graph
from ..graph.influence import influence
from ..graph.nodes import NodeKind
from ..names import unknown
from ..table import Table
from ..text import short

_BY = ("direct", "paths")
Floats = npt.NDArray[np.float64]


def target_difference(
    graph: Graph, a: int | str, b: int | str, by: Literal["direct", "paths"] = "direct", rows: Rows = "whole"
) -> Table:
    """Return the effects of each node on two targets and their difference, the largest |difference| first.

    `a` and `b` are numbers of targets in the graph, or their labels, with or without a space before them. One row per
    node with any effect; columns: node, kind, layer, position, feature, name; `direct_a`, `direct_b`,
    `direct_difference`, from the edges to the targets; `share`, the direct difference as a share of the sum of its
    absolute values over all nodes, with its sign; `paths_a`, `paths_b`, `paths_difference`, the signed path sums (see
    `path_sums`). All but `share` have the unit of the targets, which is that of logits (nats) if both are tokens. `by`
    says which difference orders the rows, `rows` how shares within paths are taken.

    An effect is 0 where the graph has no edge. In a pruned graph that may be because pruning removed the edge, so that
    small differences are uncertain. Raises ConfigError for targets that the graph does not have, and for an imported
    graph of which the sums of rows are not known unless `rows="stored"`; RuntimeError for a graph with a cycle.
    """
    if by not in _BY:
        raise ConfigError(unknown("order of differences", by, _BY))
    nodes, targets = graph.nodes, (_target(graph, a), _target(graph, b))
    direct_a, direct_b = (_direct(graph, node) for node in targets)
    paths_a, paths_b = (path_sums(graph, node, rows) for node in targets)
    of_direct, of_paths = direct_a - direct_b, paths_a - paths_b
    order = np.argsort(-np.abs(of_direct if by == "direct" else of_paths), kind="stable")
    order = order[(direct_a != 0)[order] | (direct_b != 0)[order] | (paths_a != 0)[order] | (paths_b != 0)[order]]
    whole = np.nansum(np.abs(of_direct))
    columns = {
        "node": np.arange(len(nodes), dtype=np.int32),
        "kind": np.array([KINDS[kind] for kind in nodes.kind_N], dtype=object),
        "layer": nodes.layer_N,
        "position": nodes.position_N,
        "feature": nodes.feature_N,
        "name": np.array([graph.node_label(node) for node in range(len(nodes))], dtype=object),
        "direct_a": direct_a,
        "direct_b": direct_b,
        "direct_difference": of_direct,
        "share": of_direct / whole if whole > 0 else np.full(len(nodes), np.nan),
        "paths_a": paths_a,
        "paths_b": paths_b,
        "paths_difference": of_paths,
    }
    return Table({name: values[order] for name, values in columns.items()})


def path_sums(graph: Graph, node: int, rows: Rows = "whole") -> Floats:
    """Return the signed path sum of the effect of every node on `node` [N], in the unit of the edges into `node`.

    It is the sum over all paths to `node` of the last edge times the shares of the other edges, with their signs; a
    share is an edge divided by the sum of |edge| of its row. Direct effects are among them, as paths of one edge. A
    path sum is an account of how the graph's linear effects add up, and not what would happen if the node were set to
    another value: features react with their activation functions, and shares of |edges| do not add up to the
    pre-activation where a row has both signs. Interventions measure that (`ReplacementModel`).

    An edge whose weight is not finite counts as 0. Raises ConfigError if the sum of a row on a path is not known, and
    RuntimeError for a graph with a cycle.
    """
    target_E, sums_N = graph.target_E(), normalisers(graph, rows)
    num_unknown = int(np.isnan(sums_N[np.diff(graph.indptr) > 0]).sum())
    if num_unknown:
        raise ConfigError(
            f"path sums in the graph of {short(graph.prompt_id)} are not known, because the sums of {num_unknown:,} of "
            "its rows are not: rows='stored' takes shares of the edges that are stored"
        )
    sums_E = sums_N[target_E]
    is_known_E = np.isfinite(graph.weight_E) & (sums_E > 0)
    share_E = np.divide(graph.weight_E, sums_E, out=np.zeros(len(sums_E)), where=is_known_E)
    start_N = np.zeros(len(graph.nodes))
    start_N[node] = np.nan_to_num(sums_N[node])  # so that the last edge is taken as it is, and not as a share
    return influence(target_E, graph.source_E, share_E, start_N).total_N


def _direct(graph: Graph, node: int) -> Floats:
    """Return the effect of every node on `node` along an edge [N]."""
    effects_N = np.zeros(len(graph.nodes))
    sources, weights = graph.row(node)
    effects_N[sources] = weights
    return effects_N


def _target(graph: Graph, given: int | str) -> int:
    """Return the number of a target's node. Raises ConfigError."""
    labels = [target.label for target in graph.targets]
    if isinstance(given, str):
        wanted = given if given in labels else f" {given}"
        if labels.count(wanted) > 1:
            raise ConfigError(
                f"{labels.count(wanted)} targets of {short(graph.prompt_id)} have the label {short(wanted)}: give the "
                "number of one, from 0"
            )
        if wanted not in labels:
            raise ConfigError(unknown("target", given, labels, quoted=True))
        number = labels.index(wanted)
    else:
        number = plain_values.integer(given, "a target", ConfigError)
    places = graph.nodes.where(NodeKind.TARGET)
    found = places[graph.nodes.feature_N[places] == number]
    if not len(found):
        raise ConfigError(f"target {number} is not among the {len(labels)} of {short(graph.prompt_id)}, counted from 0")
    return int(found[0])
