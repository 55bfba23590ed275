"""Merged edges: the edges among supernodes, each of which stands for several nodes of one graph.

The share of a merged edge is defined as in the subgraph of circuit-tracer's and Neuronpedia's graph pages. Axes: N
node, E edge, I unit (a group, or a pinned node that is in no group).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..graph.context import Group, NodeKey
from ..graph.edge_strength import Rows, normalisers
from ..graph.graph import Graph
from ..graph.node_keys import node_keys, node_numbers
from ..table import Table

Floats = npt.NDArray[np.float64]


def merged_edges(
    graph: Graph, groups: Sequence[Group], pins: Iterable[int | NodeKey] = (), rows: Rows = "stored"
) -> Table:
    """Return the edges among groups and `pins`, which are nodes by number or key; the largest |share| first.

    One row per pair that any edge joins. Columns: `source` and `target`, the names of groups or nodes; `source_group`
    and `target_group`, numbers in `groups`, -1 for a node; `source_node` and `target_node`, numbers of nodes, -1 for a
    group; `weight`, the sum of the edges; `abs_weight`, the sum of |edge|; `edges`, their number; `share`.

    The share says which part of a group's input from outside comes from the source, with its sign. For an edge into
    node t of a group, it is the edge divided by the sum of |edge| into t from outside the group, times the weight of t
    in its group. Weights of members add up to 1, and are in proportion to the share of each member's input that comes
    from outside. So a group whose members feed one another is not drawn as if nothing fed it. With `rows="stored"`,
    as on these pages, sums are of the edges that the graph has; with "whole", they are of rows before pruning, and
    unknown (NaN) for graphs that were imported after pruning.

    Members that the graph does not have are left out, and a node in several groups counts for the last of them, as on
    these pages. Edges within a group are left out. Raises ConfigError for pins that the graph does not have.
    """
    unit_N, names, group_I, node_I = _units(graph, groups, pins)
    sums_N = np.where(np.diff(graph.indptr) > 0, normalisers(graph, rows), 0.0)
    target_E, source_E, weight_E = graph.target_E(), graph.source_E, np.nan_to_num(graph.weight_E.astype(np.float64))
    is_inside_E = (unit_N[source_E] == unit_N[target_E]) & (unit_N[target_E] >= 0)
    inside_N = np.bincount(target_E[is_inside_E], np.abs(weight_E[is_inside_E]), len(unit_N))
    outside_N = np.where(sums_N - inside_N > 0, sums_N - inside_N, np.where(np.isnan(sums_N), np.nan, 0.0))
    weighting_N = _weightings(unit_N, sums_N, outside_N, len(names))
    is_between_E = ~is_inside_E & (unit_N[source_E] >= 0) & (unit_N[target_E] >= 0)
    target, source, weight = target_E[is_between_E], source_E[is_between_E], weight_E[is_between_E]
    pairs, pair_E = np.unique(unit_N[target] * len(names) + unit_N[source], return_inverse=True)
    factor_N = np.divide(weighting_N, outside_N, out=np.zeros(len(unit_N)), where=outside_N != 0)
    share = np.bincount(pair_E, weight * factor_N[target], len(pairs))
    order = np.lexsort((pairs, -np.abs(share)))
    of_target, of_source = np.divmod(pairs[order], max(len(names), 1))
    return Table(
        {
            "source": [names[unit] for unit in of_source],
            "target": [names[unit] for unit in of_target],
            "source_group": group_I[of_source],
            "target_group": group_I[of_target],
            "source_node": node_I[of_source],
            "target_node": node_I[of_target],
            "weight": np.bincount(pair_E, weight, len(pairs))[order],
            "abs_weight": np.bincount(pair_E, np.abs(weight), len(pairs))[order],
            "edges": np.bincount(pair_E, minlength=len(pairs))[order],
            "share": share[order],
        }
    )


def _units(
    graph: Graph, groups: Sequence[Group], pins: Iterable[int | NodeKey]
) -> tuple[npt.NDArray[np.int64], list[str], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the unit of each node [N], -1 for none, and of each unit its name, group and node."""
    unit_N = np.full(len(graph.nodes), -1, dtype=np.int64)
    number_of = {key: number for number, key in enumerate(node_keys(graph))} if groups else {}
    for unit, group in enumerate(groups):
        unit_N[[number_of[key] for key in group.members if key in number_of]] = unit
    alone = [int(node) for node in node_numbers(graph, pins) if unit_N[node] < 0]
    unit_N[alone] = len(groups) + np.arange(len(alone))
    names = [*(group.name for group in groups), *map(graph.node_label, alone)]
    group_I = np.array([*range(len(groups)), *(-1 for _ in alone)], dtype=np.int32)
    node_I = np.array([*(-1 for _ in groups), *alone], dtype=np.int32)
    return unit_N, names, group_I, node_I


def _weightings(unit_N: npt.NDArray[np.int64], sums_N: Floats, outside_N: Floats, num_units: int) -> Floats:
    """Return the weight of each node within its unit [N]; 0 for nodes without a unit or without input from outside."""
    part_N = np.divide(outside_N, sums_N, out=np.zeros(len(unit_N)), where=(sums_N != 0) & (unit_N >= 0))
    in_unit = unit_N >= 0
    total_I = np.bincount(unit_N[in_unit], part_N[in_unit], num_units)
    whole_N = np.where(in_unit, total_I[unit_N] if num_units else 0.0, 0.0)
    return np.divide(part_N, whole_N, out=np.zeros(len(unit_N)), where=whole_N != 0)
