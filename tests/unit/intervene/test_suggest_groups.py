"""Suggested groups of stored and imported graphs: what is in them, and what they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_graphs import finite, random_graph, with_edges_upwards
from random_stores import make_store
from test_layers import imports_torch

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.context import NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.intervene.cluster_supernodes import cluster_supernodes
from distributed_tracer.intervene.suggest_groups import suggest_groups
from distributed_tracer.store.annotations import write_groups
from distributed_tracer.store.format.annotation import PromptGroups
from distributed_tracer.store.reader import open_store


def upward(seed: int = 0) -> Graph:
    graph = with_edges_upwards(finite(random_graph("up", seed=seed, density=0.5)))
    sums = np.bincount(graph.target_E(), np.abs(graph.weight_E), len(graph.nodes))
    return replace(graph, row_abs_sum_N=np.where(sums > 0, sums, np.nan).astype(np.float32))


def test_groups_have_the_features_of_the_supernodes_with_several() -> None:
    graph = upward()
    supernodes = [supernode for supernode in cluster_supernodes(graph) if len(supernode.features) > 1]
    found = suggest_groups(graph)
    assert 1 < len(found) == len(supernodes) < len(cluster_supernodes(graph))
    for group, supernode in zip(found, supernodes, strict=True):
        assert [(key.layer, key.position, key.feature) for key in group.members] == list(supernode.features)
        assert {key.kind for key in group.members} == {"feature"}
        assert set(group.members) <= set(node_keys(graph))
    assert [group.name for group in suggest_groups(graph, min_members=1)] == [
        one.name for one in cluster_supernodes(graph)
    ]
    assert found == suggest_groups(graph)


def test_a_group_has_the_label_that_most_activation_stands_behind() -> None:
    graph = upward()
    plain = suggest_groups(graph)
    members = [group.members for group in plain]
    sites = [(key.layer, key.feature) for key in members[0]]
    activation = {
        key: float(value) for key, value in zip(node_keys(graph), graph.nodes.activation_N.tolist(), strict=True)
    }
    strongest = max(range(len(sites)), key=lambda place: activation[members[0][place]])
    labels = {site: [Label("weaker\x1b[31m", "me")] for site in sites}
    labels[sites[strongest]] = [Label("stronger", "me")]
    total = sum(activation[key] for key in members[0])
    expected = "stronger" if activation[members[0][strongest]] > total / 2 else "weaker\x1b[31m"
    found = suggest_groups(graph, Labels(labels))
    assert found[0].name == expected
    assert [group.members for group in found] == members
    assert [group.name for group in found[1:]] == [group.name for group in plain[1:]]
    everywhere = Labels({(key.layer, key.feature): [Label("same", "me")] for group in plain for key in group.members})
    names = [group.name for group in suggest_groups(graph, everywhere)]
    assert names == [f"same ({number + 1})" for number in range(len(plain))]


def test_only_the_given_nodes_are_grouped() -> None:
    graph = upward()
    keys, features = node_keys(graph), graph.nodes.where(NodeKind.FEATURE)
    chosen = [keys[node] for node in features[:12]]
    found = suggest_groups(graph, nodes=[*chosen, *graph.nodes.where(NodeKind.TOKEN)], min_members=1)
    assert sorted(key for group in found for key in group.members) == sorted(chosen)
    assert suggest_groups(graph, nodes=[]) == []
    with pytest.raises(ConfigError, match="not 1 of the 1 given"):
        suggest_groups(graph, nodes=[NodeKey("feature", 0, 0, 98_765)])
    with pytest.raises(ConfigError, match="min_members must be at least 1, not 0"):
        suggest_groups(graph, min_members=0)


def test_an_imported_graph_has_the_groups_of_its_edges() -> None:
    graph = upward()
    whole = [set(group.members) for group in suggest_groups(graph)]
    unknown = np.full_like(graph.row_abs_sum_N, np.nan)
    imported = replace(graph, row_abs_sum_N=unknown, influence_N=np.full_like(graph.influence_N, np.nan))
    found = [set(group.members) for group in suggest_groups(imported)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, whole))
    assert [group.name for group in suggest_groups(replace(graph, row_abs_sum_N=unknown))] == [
        group.name for group in suggest_groups(graph)
    ]


def test_groups_of_a_stored_graph_can_be_kept_with_it(tmp_path: Path) -> None:
    graph = upward()
    store = make_store(str(tmp_path / "store"), [graph])
    found = suggest_groups(store["up"], store.labels)
    assert found == suggest_groups(graph)
    write_groups(store.root, [PromptGroups("up", store.entry("up").asked, tuple(found))])
    assert open_store(store.url).context("up").groups == tuple(found)


def test_suggestions_need_no_torch() -> None:
    assert not imports_torch("import distributed_tracer.intervene.suggest_groups")
