"""Strongest paths against all paths, walked one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from random_graphs import random_graph
from rounding import nearly

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.influence import edge_shares, influence
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.strongest_paths import strongest_paths


def upward(seed: int) -> Graph:
    """A small graph whose edges lead to higher layers only, with rows normalised by the sum of their own edges."""
    graph = random_graph("up", seed=seed, num_layers=3, num_positions=3, num_active=12, num_targets=2, density=0.7)
    layer_N, target_E = graph.nodes.layer_N, graph.target_E()
    keep_E = layer_N[graph.source_E] < layer_N[target_E]
    weight_E = np.nan_to_num(graph.weight_E[keep_E], nan=0.5)
    target_E = target_E[keep_E]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(target_E, minlength=len(layer_N)))])
    row_sum_N = np.bincount(target_E, np.abs(weight_E), minlength=len(layer_N)).astype(np.float32)
    return replace(graph, source_E=graph.source_E[keep_E], weight_E=weight_E, indptr=indptr, row_abs_sum_N=row_sum_N)


def walked(graph: Graph, kind: NodeKind, target: int | None) -> Iterator[tuple[float, int, list[int]]]:
    """Share, sign and nodes of every path from a node of one kind to the targets."""
    shares = edge_shares(graph.target_E(), graph.weight_E, graph.row_abs_sum_N.astype(np.float64))
    weights = graph.target_weights_N()

    def backward(node: int, share: float, sign: int, nodes: list[int]) -> Iterator[tuple[float, int, list[int]]]:
        if graph.nodes.kind_N[node] == kind:
            yield share, sign, nodes
        for e in range(int(graph.indptr[node]), int(graph.indptr[node + 1])):
            source, negative = int(graph.source_E[e]), graph.weight_E[e] < 0
            yield from backward(source, share * shares[e], -sign if negative else sign, [source, *nodes])

    for node in graph.nodes.where(NodeKind.TARGET):
        if target is None or graph.nodes.feature_N[node] == target:
            yield from backward(int(node), weights[node], 1, [int(node)])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("kind", "target"), [("token", None), ("error", 1), ("feature", 0)])
def test_the_strongest_of_all_paths_are_found(seed: int, kind: str, target: int | None) -> None:
    graph = upward(seed)
    every = [(share, sign, nodes) for share, sign, nodes in walked(graph, NodeKind[kind.upper()], target) if share > 0]
    every.sort(key=lambda path: -path[0])
    assert len(every) > 5
    sign_of = {tuple(nodes): sign for _, sign, nodes in every}
    for k in (1, 5, len(every), len(every) + 50):
        found = strongest_paths(graph, k, target=target, begin=kind)
        assert found["share"].tolist() == [nearly(share, 50) for share, _, _ in every[:k]]
        assert found["sign"].tolist() == [sign_of[tuple(nodes)] for nodes in found["nodes"]]
        assert len({tuple(nodes) for nodes in found["nodes"]}) == min(k, len(every)), "each path once"
        assert [len(nodes) - 1 for nodes in found["nodes"]] == found["edges"].tolist()


def test_the_paths_that_begin_in_a_node_add_up_to_its_influence() -> None:
    graph = upward(1)
    share_E = edge_shares(graph.target_E(), graph.weight_E, graph.row_abs_sum_N.astype(np.float64))
    total_N = influence(graph.target_E(), graph.source_E, share_E, graph.target_weights_N()).total_N
    found = strongest_paths(graph, 100_000, begin=["token", "error", "feature"])
    of_node = np.zeros(len(graph.nodes))
    for share, nodes in zip(found["share"], found["nodes"], strict=True):
        of_node[nodes[0]] += share
    assert of_node.tolist() == [nearly(value, 1000) for value in total_N.tolist()]
    assert len(found) > 50


def test_sums_of_rows_that_are_not_known_are_not_guessed() -> None:
    graph = upward(1)
    pruned = replace(graph, row_abs_sum_N=np.full_like(graph.row_abs_sum_N, np.nan))
    with pytest.raises(
        ConfigError, match=r"'up' are not known: nor are the sums of \d+ of its rows and .* 0 of its tar"
    ):
        strongest_paths(pruned)
    stored = strongest_paths(pruned, 30, rows="stored")
    whole = strongest_paths(graph, 30)  # of a graph with all of its edges; its sums are float32
    assert stored["nodes"].tolist() == whole["nodes"].tolist()
    assert stored["share"].tolist() == [nearly(share, 5, torch.float32) for share in whole["share"].tolist()]
    doubled = replace(graph, row_abs_sum_N=2 * graph.row_abs_sum_N)
    halved = nearly(whole["share"].tolist()[0] / 2 ** whole["edges"].tolist()[0], 50)
    assert strongest_paths(doubled, 1, rows="whole")["share"][0] == halved
    assert strongest_paths(doubled, 30, rows="stored")["share"].tolist() == stored["share"].tolist()
    weightless = replace(graph, targets=tuple(replace(target, weight=np.nan) for target in graph.targets))
    with pytest.raises(ConfigError, match="the weights of 2 of its targets"):
        strongest_paths(weightless, rows="stored")


def test_paths_are_named_for_people() -> None:
    found = strongest_paths(upward(2), 3)
    for nodes, path in zip(found["nodes"], found["path"], strict=True):
        assert path.split(" → ")[0].startswith("token ")
        assert path.split(" → ")[-1].startswith("target ")
        assert len(path.split(" → ")) == len(nodes)


def test_edges_within_a_layer_are_followed_and_a_cycle_is_refused() -> None:
    graph = upward(0)
    flat = replace(graph, nodes=replace(graph.nodes, layer_N=np.zeros_like(graph.nodes.layer_N)))
    assert strongest_paths(flat, 20)["share"].tolist() == strongest_paths(graph, 20)["share"].tolist()
    with pytest.raises(RuntimeError, match="'p' has a cycle"):
        strongest_paths(random_graph("p", density=0.5))


def test_a_graph_without_edges_has_no_paths_and_wrong_questions_are_refused() -> None:
    graph = upward(0)
    assert len(strongest_paths(random_graph(density=0.0))) == 0
    with pytest.raises(ConfigError, match="target 2 is not among the 2 of 'up', from 0"):
        strongest_paths(graph, target=2)
    with pytest.raises(ConfigError, match="k must be at least 1, not 0"):
        strongest_paths(graph, 0)
    with pytest.raises(ConfigError, match="no kind of node that a path may begin with 'target'; there are feature, "):
        strongest_paths(graph, begin="target")
