"""Merged edges against the definition, edge by edge."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from random_graphs import finite, random_graph, with_edges_upwards
from rounding import nearly

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.merged_edges import merged_edges

GONE = NodeKey("feature", 1, 2, 987_654)


def upward(seed: int = 0) -> Graph:
    graph = with_edges_upwards(finite(random_graph("up", seed=seed, density=0.5)))
    sums = np.bincount(graph.target_E(), np.abs(graph.weight_E), len(graph.nodes))
    return replace(graph, row_abs_sum_N=np.where(sums > 0, 1.5 * sums, np.nan).astype(np.float32))


def grouped(graph: Graph) -> tuple[Group, ...]:
    """Two groups with a node in both, the first with members of several layers that feed one another."""
    keys, features = node_keys(graph), graph.nodes.where(NodeKind.FEATURE)
    first = [keys[node] for node in features[::3]]
    second = [keys[node] for node in features[1::4]]
    return (Group("one", (*first, GONE)), Group("one", (*second, first[2], keys[graph.nodes.where(NodeKind.TOKEN)[1]])))


def judged(graph: Graph, groups: tuple[Group, ...], pins: list[int], whole: bool) -> dict[tuple[int, int], list[float]]:
    """Sum, sum of sizes, number and share of each merged edge, by the units of source and target."""
    keys, unit = node_keys(graph), {}
    for number, group in enumerate(groups):
        unit |= {keys.index(key): number for key in group.members if key in keys}
    for pin in sorted(pins):
        unit.setdefault(pin, len(groups) + len([one for one in unit.values() if one >= len(groups)]))
    edges = [(source, target, float(weight)) for source, target, weight in graph.edges()]
    outside, part = {}, {}
    for node in unit:
        own = [(source, abs(weight)) for source, target, weight in edges if target == node]
        total = float(graph.row_abs_sum_N[node]) if whole and own else sum(weight for _, weight in own)
        outside[node] = total - sum(weight for source, weight in own if unit.get(source) == unit[node])
        part[node] = outside[node] / total if total else 0.0
    found: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0])
    for source, target, weight in edges:
        if source in unit and target in unit and unit[source] != unit[target]:
            together = sum(part[node] for node in unit if unit[node] == unit[target])
            share = weight / outside[target] * part[target] / together if outside[target] else 0.0
            row = found[unit[source], unit[target]]
            row[:] = [row[0] + weight, row[1] + abs(weight), row[2] + 1, row[3] + share]
    return found


@pytest.mark.parametrize(("seed", "rows"), [(0, "stored"), (1, "whole"), (2, "stored")])
def test_merged_edges_are_those_of_the_definition(seed: int, rows: str) -> None:
    graph = upward(seed)
    groups, targets = grouped(graph), [int(node) for node in graph.nodes.where(NodeKind.TARGET)]
    pins = [*targets, int(graph.nodes.where(NodeKind.TOKEN)[0]), int(graph.nodes.where(NodeKind.FEATURE)[2])]
    found, expected = merged_edges(graph, groups, pins, rows), judged(graph, groups, pins, rows == "whole")
    alone = sorted(pins)
    assert len(found) == len(expected) > 5
    for row in found.rows():
        ends = []
        for side in ("source", "target"):
            group, node = row[f"{side}_group"], row[f"{side}_node"]
            assert (group < 0) == (node >= 0)
            assert row[side] == (groups[group].name if group >= 0 else graph.node_label(node))
            ends.append(group if group >= 0 else len(groups) + alone.index(node))
        values = [row["weight"], row["abs_weight"], row["edges"], row["share"]]
        assert values == nearly(expected[ends[0], ends[1]], 1000)
    shares = np.abs(found["share"]).tolist()
    assert shares == sorted(shares, reverse=True)
    assert (found["share"] < 0).any()
    assert ((found["source_group"] == 0) & (found["target_group"] == 1)).any()


def test_the_shares_of_all_input_of_a_group_add_up_to_one_if_all_is_shown() -> None:
    graph = upward()
    positive = replace(graph, weight_E=np.abs(graph.weight_E))
    groups = grouped(graph)
    found = merged_edges(positive, groups, range(len(graph.nodes)))
    for group in range(len(groups)):
        assert found["share"][found["target_group"] == group].sum() == nearly(1.0, 1000)
    assert (found["weight"] == found["abs_weight"]).all()


def test_pins_alone_have_the_edges_of_the_graph() -> None:
    graph = upward()
    found = merged_edges(graph, (), range(len(graph.nodes)))
    assert len(found) == graph.num_edges
    weights = {(source, target): weight for source, target, weight in graph.edges()}
    columns = (found[name].tolist() for name in ("source_node", "target_node", "weight"))
    rows = list(zip(*columns, strict=True))
    assert {(source, target): weight for source, target, weight in rows} == weights
    assert len(merged_edges(graph, ())) == len(merged_edges(graph, grouped(graph)[:1])) == 0


def test_what_is_not_known_is_not_a_number_and_unknown_nodes_are_refused() -> None:
    graph = upward()
    imported = replace(graph, row_abs_sum_N=np.full_like(graph.row_abs_sum_N, np.nan))
    assert np.isnan(merged_edges(imported, grouped(graph), rows="whole")["share"]).all()
    assert np.isfinite(merged_edges(imported, grouped(graph))["share"]).all()
    with pytest.raises(ConfigError, match="not 1 of the 1 given"):
        merged_edges(graph, grouped(graph), [GONE])
    with pytest.raises(ConfigError, match="no way to normalise rows 'all'"):
        merged_edges(graph, grouped(graph), rows="all")
