"""Scores of subgraphs against dense matrices, by the letter of the definition."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from random_graphs import finite, random_graph, with_edges_upwards
from rounding import nearly
from tiny import CASES

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.context import NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.prune import prune
from distributed_tracer.graph.subgraph_scores import stored_share, subgraph_scores

TERMS = 3000  # more than the edges and the walks of these graphs have terms


@cache
def traced(constant_node: bool) -> Graph:
    case = CASES / "gpt2_relu_plt"
    model, transcoders = load_model(str(case / "model")), load_transcoders(str(case / "transcoders"))
    return attribute("Fact: the capital", model, transcoders, TraceConfig(None, constant_node=constant_node))


def upward(seed: int, constant_node: bool, pruned: bool = False) -> Graph:
    graph = finite(random_graph("up", seed=seed, num_active=30, density=0.6, pruned=pruned))
    return replace(with_edges_upwards(graph), constant_node=constant_node)


def judged(graph: Graph, kept: set[int], drop: bool = False) -> tuple[float, float]:
    """Both scores from a dense matrix with a place for every error, whether the graph has it or not."""
    nodes, num_positions = graph.nodes, len(graph.tokens_P)
    size = len(nodes) + graph.num_layers * num_positions
    dense = np.zeros((size, size))
    dense[graph.target_E(), graph.source_E] = graph.weight_E
    has_error = set()
    for node in nodes.where(NodeKind.ERROR):  # errors get the places at the end
        place = len(nodes) + int(nodes.layer_N[node]) * num_positions + int(nodes.position_N[node])
        dense[:, place], dense[:, node] = dense[:, node], 0
        has_error.add(place)
    for node in nodes.where(NodeKind.FEATURE):
        if int(node) not in kept:
            place = len(nodes) + int(nodes.layer_N[node]) * num_positions + int(nodes.position_N[node])
            if place in has_error or not drop:
                dense[:, place] += dense[:, node]
            dense[:, node] = dense[node, :] = 0
    constant = np.zeros(size)
    constant[: len(nodes)] = np.abs(np.nan_to_num(graph.constant_N)) * graph.constant_node
    sums = np.abs(dense).sum(1) + constant
    shares = np.abs(dense) / np.where(sums > 0, sums, 1)[:, None]
    start = np.append(graph.target_weights_N(), np.zeros(size - len(nodes)))
    total = start @ np.linalg.inv(np.eye(size) - shares) - start
    tokens, errors = nodes.where(NodeKind.TOKEN), slice(len(nodes), None)
    replacement = total[tokens].sum() / (total[tokens].sum() + total[errors].sum())
    fractions = 1 - shares[:, errors].sum(1)
    return float(replacement), float(fractions @ (total + start) / (total + start).sum())


def features(graph: Graph) -> list[int]:
    return [int(node) for node in graph.nodes.where(NodeKind.FEATURE)]


@pytest.mark.parametrize(("seed", "constant_node", "pruned"), [(0, False, False), (1, True, True), (2, True, False)])
def test_scores_are_those_of_the_dense_matrix_with_other_features_merged(
    seed: int, constant_node: bool, pruned: bool
) -> None:
    graph = upward(seed, constant_node, pruned)
    of_graph = features(graph)
    for kept in (of_graph[::2], of_graph[:3], of_graph, []):
        found = subgraph_scores(graph, kept)
        assert found[:2] == nearly(judged(graph, set(kept)), TERMS)
    assert subgraph_scores(graph, of_graph[:3])[:2] != nearly(judged(graph, set(of_graph[:4])), TERMS)


def test_all_features_of_a_whole_graph_have_its_own_scores() -> None:
    for constant_node in (True, False):
        graph = traced(constant_node)
        found = subgraph_scores(graph, features(graph))
        own = (graph.scores.replacement, graph.scores.completeness)
        assert found[:2] == nearly(own, TERMS)
        assert found.stored_share == nearly(1.0, TERMS, torch.float32)
        assert 0 < own[0] < 1


def test_fewer_features_explain_less_of_a_real_graph() -> None:
    graph = traced(True)
    strongest = sorted(features(graph), key=lambda node: (-graph.influence_N[node], node))
    found = [subgraph_scores(graph, strongest[:count]).completeness for count in (len(strongest), 20, 5)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[2]


def test_nodes_that_are_no_features_change_nothing_and_keys_are_numbers() -> None:
    graph = upward(3, True)
    kept = features(graph)[1:9:2]
    others = [int(node) for node in np.flatnonzero(graph.nodes.kind_N != NodeKind.FEATURE)]
    keys = node_keys(graph)
    expected = subgraph_scores(graph, kept)
    assert subgraph_scores(graph, [*kept, *others]) == expected
    assert subgraph_scores(graph, [keys[node] for node in kept]) == expected
    assert subgraph_scores(graph, [np.int64(kept[0]), *(tuple(keys[node]) for node in kept)]) == expected


def test_a_pruned_graph_says_how_much_of_it_is_stored() -> None:
    whole = traced(True)
    graph = prune(whole, 0.6, 0.8)
    found = subgraph_scores(graph, features(graph)[::2])
    share = stored_share(graph)
    assert 0.2 < share < 0.95
    assert found.stored_share == share
    passing = graph.influence_N.astype(float) + graph.target_weights_N()
    sums = np.bincount(graph.target_E(), np.abs(graph.weight_E), len(passing)) + np.abs(np.nan_to_num(graph.constant_N))
    rows = [node for node, total in enumerate(graph.row_abs_sum_N) if total > 0]
    parts = sum(passing[node] * sums[node] / graph.row_abs_sum_N[node] for node in rows)
    assert share == nearly(float(parts / passing[rows].sum()), TERMS)
    assert found[:2] == nearly(judged(graph, set(features(graph)[::2])), TERMS)


def test_features_whose_error_pruning_removed_can_be_dropped_with_it() -> None:
    graph = upward(1, True, pruned=True)
    kept = features(graph)[::2]
    found, dropped = subgraph_scores(graph, kept), subgraph_scores(graph, kept, "drop")
    assert dropped[:2] == nearly(judged(graph, set(kept), drop=True), TERMS)
    assert dropped.replacement > 1.1 * found.replacement


def test_two_features_that_cancel_each_other_are_no_error_together() -> None:
    graph = upward(0, False)
    nodes, target = graph.nodes, int(graph.nodes.where(NodeKind.TARGET)[0])
    token = int(nodes.where(NodeKind.TOKEN)[0])
    first = replace(
        graph,
        nodes=replace(nodes, layer_N=nodes.layer_N.copy(), position_N=nodes.position_N.copy()),
        indptr=np.where(np.arange(len(nodes) + 1) > target, 3, 0).astype(np.int64),
        source_E=np.array([0, 1, token], dtype=np.int32),
        weight_E=np.array([2, -2, 1], dtype=np.float32),
    )
    first.nodes.layer_N[1], first.nodes.position_N[1] = first.nodes.layer_N[0], first.nodes.position_N[0]
    assert subgraph_scores(first, [])[:2] == (1.0, 1.0)
    apart = replace(first, nodes=replace(first.nodes, position_N=first.nodes.position_N.copy()))
    apart.nodes.position_N[1] += 1
    assert subgraph_scores(apart, []).replacement == nearly(1 / 5, 10)


def test_what_is_not_known_is_not_a_number() -> None:
    graph = upward(0, True)
    weight_E = graph.weight_E.copy()
    weight_E[5] = np.nan
    weightless = replace(graph, targets=tuple(replace(target, weight=float("nan")) for target in graph.targets))
    for unknown in (replace(graph, weight_E=weight_E), weightless, random_graph(num_targets=0)):
        assert np.isnan(subgraph_scores(unknown, [0])[:2]).all()
    sums_unknown = replace(graph, row_abs_sum_N=np.full_like(graph.row_abs_sum_N, np.nan))
    found = subgraph_scores(sums_unknown, [0])
    assert found[:2] == subgraph_scores(graph, [0])[:2]
    assert np.isnan(found.stored_share)
    assert np.isnan(stored_share(replace(graph, influence_N=np.full_like(graph.influence_N, np.nan))))


def test_nodes_that_do_not_exist_and_unknown_ways_are_refused() -> None:
    graph = upward(0, True)
    with pytest.raises(ConfigError, match=r"'up' has \d+ nodes, and not 2 of the 3 given: 100000 is the first"):
        subgraph_scores(graph, [0, 100_000, NodeKey("feature", 0, 0, 999_999)])
    for wrong in (-1, ("feature", 0), NodeKey("token", 9, 9, 9)):
        with pytest.raises(ConfigError, match="not 1 of the 1 given"):
            subgraph_scores(graph, [wrong])
    for wrong in (True, 1.0, "2:46"):
        with pytest.raises(ConfigError, match="a node must be an integer, not"):
            subgraph_scores(graph, [wrong])
    with pytest.raises(ConfigError, match="no way to treat pruned errors 'dropped'"):
        subgraph_scores(graph, [0], "dropped")
    with pytest.raises(RuntimeError, match="cycle"):
        subgraph_scores(finite(random_graph(density=0.6)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
