from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs_of_cases import CASES, TEXTS
from random_graphs import random_graph
from rounding import apart, largest, of_model, round_off

from distributed_tracer import ReplacementModel, TraceConfig, attribute, load_model, load_transcoders, prune
from distributed_tracer.errors import InterventionError
from distributed_tracer.graph.graph import Graph, Target
from distributed_tracer.graph.nodes import NodeKind, NodeTable
from distributed_tracer.intervene.cluster_supernodes import cluster_supernodes
from distributed_tracer.intervene.intervention_graph import InterventionGraph, SupernodeSettings

DEMO = Path(__file__).parents[3] / "demo"


@cache
def dallas() -> Graph:
    model, transcoders = load_model(str(DEMO / "model")), load_transcoders(str(DEMO / "transcoders/plt"))
    text = "Fact: the capital of the state containing Dallas is"
    return prune(attribute(text, model, transcoders, TraceConfig(max_feature_nodes=128)))


def two_streams() -> Graph:
    """Features 0, 2, 4 carry token 0 to target 0 through layers 0, 1, 2; 1, 3, 5 carry token 1 to target 1, down."""
    nodes = NodeTable(
        kind_N=np.array([0] * 6 + [2, 2, 3, 3], dtype=np.uint8),
        layer_N=np.array([0, 0, 1, 1, 2, 2, -1, -1, 3, 3], dtype=np.int16),
        position_N=np.array([0, 1, 1, 1, 1, 1, 0, 1, 1, 1], dtype=np.int32),
        feature_N=np.array([0, 1, 2, 3, 4, 5, 50, 51, 0, 1], dtype=np.int32),
        activation_N=np.arange(1.0, 11.0, dtype=np.float32),
    )
    edges = {
        2: [(0, 8), (6, 2)],
        3: [(1, 8), (7, 2)],
        4: [(2, 4), (6, 4)],
        5: [(3, 4), (7, 4)],
        0: [(6, 5)],
        1: [(7, 5)],
    }
    edges |= {8: [(0, 3), (2, 3), (4, 3)], 9: [(1, -3), (3, -3), (5, -3)]}
    rows = [edges.get(node, []) for node in range(10)]
    return replace(
        random_graph(num_positions=2),
        token_strings=(" Texas", " state"),
        targets=tuple(Target(label, 1, 0.5, 1, 1.0) for label in (" Austin", " Utah")),
        nodes=nodes,
        indptr=np.cumsum([0, *map(len, rows)]),
        source_E=np.array([source for row in rows for source, _ in row], dtype=np.int32),
        weight_E=np.array([weight for row in rows for _, weight in row], dtype=np.float32),
        row_abs_sum_N=np.array([sum(abs(weight) for _, weight in row) for row in rows], dtype=np.float32),
        influence_N=np.array([0.5, 0.4] * 3 + [0.5, 0.4, 0, 0], dtype=np.float32),
    )


def test_features_of_one_path_are_one_group_across_layers_and_positions() -> None:
    texas, state = cluster_supernodes(two_streams(), 0.4)
    assert (texas.name, state.name) == ("Texas → Austin, layers 0-2", "state → −Utah, layers 0-2")
    assert texas.features == ((0, 0, 0), (1, 1, 2), (2, 1, 4))
    assert texas.activations == (1.0, 3.0, 5.0)
    assert state.features == ((0, 1, 1), (1, 1, 3), (2, 1, 5))
    assert texas.children == state.children == ()


def test_groups_that_feed_others_have_them_as_children() -> None:
    apart = cluster_supernodes(two_streams(), 0.95)
    children = {supernode.features[0].feature: supernode.children for supernode in apart}
    names = {supernode.features[0].feature: supernode.name for supernode in apart}
    assert len(apart) == 6
    assert children == {0: (names[2],), 1: (names[3],), 2: (names[4],), 3: (names[5],), 4: (), 5: ()}


def test_every_feature_is_in_one_group_and_the_most_influential_group_is_first() -> None:
    graph = dallas()
    found = cluster_supernodes(graph)
    features = graph.nodes.take(graph.nodes.where(NodeKind.FEATURE))
    sites = list(zip(features.layer_N.tolist(), features.position_N.tolist(), features.feature_N.tolist(), strict=True))
    assert sorted(feature for supernode in found for feature in supernode.features) == sorted(sites)
    assert 1 < len(found) < len(sites) / 2
    share = dict(zip(sites, graph.influence_N[graph.nodes.where(NodeKind.FEATURE)].tolist(), strict=True))
    influence = [sum(share[feature] for feature in supernode.features) for supernode in found]
    assert influence == sorted(influence, reverse=True)
    assert found == cluster_supernodes(graph)
    assert len({supernode.name for supernode in found}) == len(found)


def test_any_two_of_a_group_are_alike_by_what_was_asked() -> None:
    graph = dallas()
    size = len(graph.nodes)
    shares_NN = np.zeros((size, size))
    sums_E = graph.row_abs_sum_N[graph.target_E()].astype(np.float64)
    shares_NN[graph.target_E(), graph.source_E] = graph.weight_E / sums_E
    paths_NN = np.linalg.inv(np.eye(size) - shares_NN) - np.eye(size)
    columns = (graph.nodes.layer_N, graph.nodes.position_N, graph.nodes.feature_N)
    place = {site: node for node, site in enumerate(zip(*(column.tolist() for column in columns), strict=True))}
    for supernode in cluster_supernodes(graph, 0.6):
        nodes = [place[feature] for feature in supernode.features]
        alike = _cosines(paths_NN[nodes]) + _cosines(paths_NN.T[nodes])
        assert (alike / 2).min() > 0.6 - round_off(torch.float64, graph.num_edges)


def _cosines(rows: np.ndarray) -> np.ndarray:
    return np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in rows] for b in rows])


@pytest.mark.parametrize("name", ["gemma2_jumprelu_plt", "gpt2_relu_plt", "llama_relu_clt", "qwen3_topk_skip_tied"])
def test_groups_of_other_models_at_what_they_are_change_nothing(name: str) -> None:
    replacement = ReplacementModel.load(str(CASES / name / "model"), str(CASES / name / "transcoders"))
    found = cluster_supernodes(replacement.trace(TEXTS[0], TraceConfig(max_feature_nodes=60, round_size=16)))
    graph = InterventionGraph(replacement, TEXTS[0], found)
    names = [supernode.name for supernode in found]
    as_it_is, first_off = graph.apply_many(
        [SupernodeSettings(dict.fromkeys(names, 1.0)), SupernodeSettings({names[0]: 0.0})]
    )
    shape = replacement.model.shape
    for reading in as_it_is.readings:  # a mean over features, by activation
        activations = reading.supernode.activations
        off = of_model(shape, largest(activations) / np.mean(activations))
        assert reading.after == pytest.approx(1.0, abs=off)
    before_V, after_V = as_it_is.effect.before.logits_V, as_it_is.effect.after.logits_V
    off = of_model(shape, largest(before_V))
    torch.testing.assert_close(after_V, before_V, rtol=0, atol=off)
    assert first_off.readings[0].after == 0.0
    assert apart(first_off.effect.after.logits_V, before_V, off)


def test_there_are_no_more_groups_than_asked_for() -> None:
    assert len(cluster_supernodes(dallas(), 0.99)) > 3
    assert len(cluster_supernodes(dallas(), 0.99, max_count=3)) == 3


def test_small_and_large_graphs() -> None:
    graph = two_streams()
    without = graph.nodes.kind_N != NodeKind.FEATURE
    bare = replace(graph, nodes=graph.nodes.take(without), indptr=np.zeros(5, np.int64), source_E=np.empty(0, np.int32))
    assert cluster_supernodes(replace(bare, weight_E=np.empty(0, np.float32))) == []
    with pytest.raises(InterventionError, match=r"51,\d{3} nodes are too many to group: prune to at most 5,000 first"):
        cluster_supernodes(random_graph(num_positions=17_000, num_active=60, density=0.0, pruned=False, num_layers=2))


def test_an_edge_that_leads_down_is_refused() -> None:
    with pytest.raises(RuntimeError, match="does not lead to a higher layer"):
        cluster_supernodes(random_graph())
