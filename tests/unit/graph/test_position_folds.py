"""Positions that a drawing may fold, against looking at every position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_graphs import random_graph

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.context import NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.position_folds import PositionFold, position_folds


def with_influence(of_position: dict[int, float], num_positions: int = 12) -> Graph:
    """A graph whose only influences are those of one feature or token at each given position; weights add up to 2."""
    graph = random_graph("long", num_positions=num_positions, num_active=60)
    influence_N = np.zeros(len(graph.nodes), dtype=np.float32)
    for position, influence in of_position.items():
        here = np.flatnonzero((graph.nodes.position_N == position) & (graph.nodes.kind_N != NodeKind.TARGET))
        influence_N[here[position % len(here)]] = influence
    targets = tuple(replace(target, weight=1.0) for target in graph.targets)
    return replace(graph, influence_N=influence_N, targets=targets)


def runs(graph: Graph, **options: object) -> list[tuple[int, int]]:
    return [(fold.first, fold.last) for fold in position_folds(graph, **options)]


def test_runs_without_influence_are_folded_and_targets_never_are() -> None:
    graph = with_influence({0: 0.5, 4: 0.5, 6: 0.5})
    assert runs(graph) == [(1, 3), (7, 10)]
    assert runs(graph, min_length=1) == [(1, 3), (5, 5), (7, 10)]
    assert runs(graph, min_length=4) == [(7, 10)]
    assert runs(with_influence({})) == [(0, 10)]
    assert runs(with_influence(dict.fromkeys(range(12), 1.0))) == []


def test_the_threshold_is_a_share_of_the_weight_of_all_targets() -> None:
    graph = with_influence({0: 1.0, 3: 0.5, 7: 0.25})
    assert runs(graph, threshold=0.125) == [(1, 2), (4, 10)]
    assert runs(graph, threshold=0.25) == [(1, 10)]
    assert runs(graph, threshold=0.12) == [(1, 2), (4, 6), (8, 10)]
    assert runs(graph, threshold=0) == [(1, 2), (4, 6), (8, 10)]
    first, second = position_folds(graph, 0.125)
    inside = (graph.nodes.position_N >= 4) & (graph.nodes.position_N <= 10)
    assert second == PositionFold(4, 10, int(inside.sum()), 0.125)
    assert first.largest_share == 0.0


def test_in_an_imported_graph_the_threshold_is_of_the_shares_that_it_has() -> None:
    graph = with_influence({0: 1.0, 3: 0.5, 7: 0.25})
    imported = replace(graph, metadata={"imported_influence": "shares"})
    assert runs(imported, threshold=0.25) == [(1, 2), (4, 10)] != runs(graph, threshold=0.25)
    assert position_folds(imported, threshold=0.25)[1].largest_share == 0.25


def test_nodes_that_are_to_be_seen_keep_their_positions() -> None:
    graph = with_influence({0: 1.0})
    token = NodeKey("token", -1, 5, int(graph.tokens_P[5]))
    assert runs(graph, keep=[token]) == [(1, 4), (6, 10)]
    assert runs(graph, keep=[node_keys(graph).index(token)]) == [(1, 4), (6, 10)]
    with pytest.raises(ConfigError, match="not 1 of the 1 given"):
        position_folds(graph, keep=[NodeKey("token", -1, 5, -7)])


def test_what_is_not_known_is_not_folded() -> None:
    graph = with_influence({0: 1.0})
    influence_N = graph.influence_N.copy()
    influence_N[np.flatnonzero(graph.nodes.position_N == 5)[0]] = np.nan
    assert runs(replace(graph, influence_N=influence_N)) == [(1, 4), (6, 10)]
    weightless = tuple(replace(target, weight=float("nan")) for target in graph.targets)
    assert runs(replace(graph, targets=weightless)) == []
    assert runs(random_graph(num_targets=0)) == []


def test_thresholds_and_lengths_that_cannot_be_are_refused() -> None:
    graph = with_influence({})
    with pytest.raises(ConfigError, match=r"a threshold is a share from 0 to 1, not 1\.5"):
        position_folds(graph, 1.5)
    with pytest.raises(ConfigError, match="a threshold must be a finite number, not nan"):
        position_folds(graph, float("nan"))
    with pytest.raises(ConfigError, match="a fold has at least 1 position, not 0"):
        position_folds(graph, min_length=0)
