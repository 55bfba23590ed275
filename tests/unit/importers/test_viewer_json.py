"""Graph JSON for viewers: circuit-tracer's own, and documents in the forms of other programs and versions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounding import of_roundings
from viewer_documents import CLT, ERROR, document, node

from distributed_tracer.errors import GraphFileError
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.feature_numbers import FeatureNode, indices_of
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.prune import prune
from distributed_tracer.graph.viewer_groups import cantor_pair
from distributed_tracer.importers.circuit_tracer import read_circuit_tracer
from distributed_tracer.importers.cumulative_shares import ROUND_OFF, own_shares
from distributed_tracer.importers.viewer_json import read_viewer


def keys(graph: Graph) -> list[tuple[int, ...]]:
    columns = (graph.nodes.kind_N, graph.nodes.layer_N, graph.nodes.position_N, graph.nodes.feature_N)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_circuit_tracer_s_json_is_its_graph_pruned(files: Path) -> None:
    """Although two of its nodes have one id."""
    whole = read_circuit_tracer(files / "llama_relu_plt.pt").graph
    found = read_viewer(json.loads((files / "llama_relu_plt.json").read_text()))
    graph, pruned = found.graph, prune(whole, 0.8, 0.98)
    assert keys(graph) == keys(pruned)
    np.testing.assert_array_equal(graph.indptr, pruned.indptr)
    np.testing.assert_array_equal(graph.source_E, pruned.source_E)
    assert graph.weight_E.tobytes() == pruned.weight_E.tobytes()
    assert graph.nodes.activation_N.tobytes() == pruned.nodes.activation_N.tobytes()
    np.testing.assert_array_equal(graph.tokens_P, whole.tokens_P)
    assert graph.num_layers == whole.num_layers
    assert [(t.label, t.token_id, t.position) for t in graph.targets] == [
        (t.label, t.token_id, t.position) for t in whole.targets
    ]
    assert [target.weight for target in graph.targets] == [target.weight for target in whole.targets]
    assert graph.prompt_id == "llama_relu_plt"
    assert (found.influence, found.all_active, found.notes) == ("shares", False, ())
    assert (found.context.model, found.context.node_threshold) == ("local/llama_relu_plt", 0.8)
    assert len(graph.token_strings) == 20
    assert np.isnan(graph.row_abs_sum_N).all()
    assert np.isnan([graph.scores.replacement, graph.scores.completeness, *graph.scores.error_share_L]).all()


def test_shares_of_influence_are_true_or_an_upper_bound(files: Path) -> None:
    whole = read_circuit_tracer(files / "llama_relu_plt.pt").graph
    graph = read_viewer(json.loads((files / "llama_relu_plt.json").read_text())).graph
    place = {key: node for node, key in enumerate(keys(whole))}
    true_N = (whole.influence_N / whole.influence_N.sum(dtype=np.float64))[[place[key] for key in keys(graph)]]
    known = graph.nodes.kind_N != NodeKind.TARGET
    assert (graph.influence_N[~known] == 0).all(), "nothing flows through targets"
    over = (graph.influence_N - true_N)[known]
    assert (over > -ROUND_OFF).all()
    assert (np.abs(over) < 2 * ROUND_OFF).mean() > 0.8, "of most nodes, the one before was not pruned"
    order = np.argsort(-true_N[known], kind="stable")
    assert (np.diff(graph.influence_N[known][order]) < 2 * ROUND_OFF).all(), "and the order is right"


def test_shares_are_differences_and_never_grow() -> None:
    off = of_roundings(torch.float32, 4)  # two shares, their difference, its bound
    np.testing.assert_allclose(
        own_shares(np.array([0.5, np.nan, 0.75, 0.9])), [0.5, np.nan, 0.25, 0.15], rtol=0, atol=off
    )
    # The nodes between 0.6 and 0.95 were pruned: the last node has at most the share of the one before it.
    np.testing.assert_allclose(own_shares(np.array([0.95, 0.5, 0.6])), [0.1, 0.5, 0.1], rtol=0, atol=off)
    assert len(own_shares(np.zeros(0))) == 0


def with_fields(found: dict[str, Any], place: int, **fields: Any) -> dict[str, Any]:
    found["nodes"][place] |= fields
    return found


def features(graph: Graph) -> list[tuple[int, int]]:
    nodes = graph.nodes.take(graph.nodes.where(NodeKind.FEATURE))
    return list(zip(nodes.layer_N.tolist(), nodes.feature_N.tolist(), strict=True))


def test_nodes_are_read_by_their_fields() -> None:
    graph = read_viewer(document()).graph
    assert graph.num_layers == 3, "one less than the targets' layer"
    assert keys(graph) == [(0, 0, 1, 2), (0, 2, 1, 7), (1, 1, 1, -1), (2, -1, 0, 3), (3, 3, 1, 0)]
    assert graph.targets[0].label == 'c "d"'
    assert (graph.targets[0].token_id, graph.targets[0].weight) == (9, 0.25)
    assert graph.tokens_P.tolist() == [3, -1], "no node has the token of position 1"
    edges = {(graph.node_label(s), graph.node_label(t)): np.float32(w) for s, t, w in graph.edges()}
    assert edges[("feature 0:2 at 1", "feature 2:7 at 1")] == np.float32(0.1)
    assert len(edges) == 4


def test_the_number_of_layers_is_stated_or_follows_from_the_targets() -> None:
    assert read_viewer(document(), num_layers=8).graph.num_layers == 8
    with_error = document()
    with_error["nodes"][3]["layer"] = 3  # programs that give targets the number of layers as their layer
    with_error["links"].pop()
    assert read_viewer(with_error).graph.num_layers == 4
    anthropic = with_fields(document(), 0, layer="E1")
    assert read_viewer(anthropic).graph.num_layers == 3, "the highest layer that has a node"
    anthropic["metadata"]["n_layers"] = 18
    assert read_viewer(anthropic).graph.num_layers == 18
    anthropic["metadata"]["n_layers"] = 2
    with pytest.raises(GraphFileError, match="a node is in layer 2, and the model would have 2 layers"):
        read_viewer(anthropic)


def test_other_kinds_of_nodes_are_refused_by_name_or_dropped() -> None:
    found = document()
    found["nodes"].append(node("1_lor_5_1", "lorsa", 1, 1, 5))
    found["links"].append({"source": "1_lor_5_1", "target": "4_9_1", "weight": 1.0})
    with pytest.raises(GraphFileError, match=r"node '1_lor_5_1' is of the kind 'lorsa'.*--drop-unknown"):
        read_viewer(found)
    dropped = read_viewer(found, drop_unknown=True)
    assert dropped.notes == ("left out 1 node of the kinds 'lorsa', and 1 edges",)
    assert keys(dropped.graph) == keys(read_viewer(document()).graph)
    unexplored = with_fields(document(), 1, feature_type="unexplored node")
    assert features(read_viewer(unexplored).graph) == [(0, 2), (2, 7)], "viewers take these for features"


def test_saved_groups_pins_and_names_are_found_whatever_their_form() -> None:
    names = ['x, "y" & z', "", "", "it's [a]"]
    sites = (NodeKey("feature", 2, 1, 7), NodeKey("feature", 0, 1, 2), NodeKey("error", 1, 1, -1))
    supernodes = [[names[0], "2_7_1", "1_err"], [names[1], "0_2-0"], [names[2]], [names[3], "2_200007_1"]]
    state = {"supernodes": supernodes, "pinnedIds": ["0_2_1", "4_9_1", "nothing"]}
    state["clerps"] = [[str(cantor_pair(2, 7)), "says c"], [f"0_{cantor_pair(0, 2)}_1", "a, b"], ["99", "x"]]
    expected = (
        Group(names[0], (sites[0], sites[2])),
        Group("", (sites[1],)),
        Group("", ()),
        Group(names[3], (sites[0],)),
    )
    as_texts = {"supernodes": json.dumps(supernodes), "pinnedIds": "0_2_1,4_9_1,nothing"}
    as_texts["clerps"] = json.dumps(state["clerps"])
    for saved in (state, as_texts):
        found = read_viewer(with_fields(document(qParams=saved), 2, clerp="at the node"))
        assert found.context.groups == expected
        assert found.context.pins == (sites[1], NodeKey("target", 3, 1, 0))
        assert dict(found.context.labels) == {
            (2, 7): (Label("says c", "m/clerps"),),
            (0, 2): (Label("at the node", "m/clerps"), Label("a, b", "m/clerps")),
        }
        assert found.notes == ("left out 1 member of groups or pins that mean no node, or two: 'nothing'",)


def test_labels_of_a_scan_that_differs_from_run_to_run_have_a_source_without_it() -> None:
    found = with_fields(document(), 1, clerp="x")
    found["metadata"] |= {"scan": "custom-8573", "transcoder_list": ["a/b", "c/d"]}
    context = read_viewer(found).context
    assert context.labels.get(2, 7) == (Label("x", "clerps"),)
    assert context.transcoders == "a/b, c/d"


def test_influence_that_is_no_share_is_left_out() -> None:
    found = read_viewer(with_fields(document(), 1, influence=2.5))
    assert found.influence == "unknown"
    assert np.isnan(found.graph.influence_N[:4]).all()
    assert "no cumulative share" in found.notes[0]
    assert read_viewer(with_fields(document(nodes=document()["nodes"]), 1, influence=None)).influence == "shares"


@pytest.mark.parametrize(
    ("place", "fields", "says"),
    [
        (1, {"node_id": "E_3_0"}, "two nodes have the id 'E_3_0'"),
        (1, {"ctx_idx": 2}, "node '2_7_1' is at position 2, and there are 2 prompt_tokens"),
        (1, {"layer": "x"}, "layer of node '2_7_1' is no whole number"),
        (1, {"layer": 10**6}, "node '2_7_1' is in layer 1000000"),
        (1, {"feature": None}, "feature of node '2_7_1' is no whole number, but None"),
        (1, {"feature": 6}, "node '2_7_1' has the feature 6, which is no Cantor pair with layer 2"),
        (1, {"activation": "x"}, "activation of node '2_7_1'"),
        (1, {"activation": 1e300}, "does not fit float32"),
        (1, {"feature_type": None}, "feature_type of node '2_7_1' is no text"),
        (2, {"layer": 2, "feature": cantor_pair(2, 7)}, "nodes '2_7_1' and '0_2_1' are the same"),
    ],
)
def test_a_malformed_node_is_named(place: int, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(GraphFileError, match=says):
        read_viewer(with_fields(document(), place, **fields))


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ({"source": "x", "target": "4_9_1", "weight": 1}, "link number 0 has the end 'x', which is no node"),
        ({"source": "2_7_1", "target": "4_9_1", "weight": None}, "link number 0 has no weight"),
        ({"source": "2_7_1", "target": "4_9_1", "weight": 1e39}, "does not fit float32"),
        ({"source": "4_9_1", "target": "2_7_1", "weight": 1}, "an edge leads from '4_9_1' to '2_7_1'"),
        ({"source": "2_7_1", "target": "2_7_1", "weight": 1}, "an edge leads from '2_7_1' to '2_7_1'"),
        ({"source": "2_7_1", "target": "E_3_0", "weight": 1}, "an edge leads from '2_7_1' to 'E_3_0'"),
        ({"source": "0_2_1", "target": "2_7_1", "weight": 1}, "two edges from '0_2_1' to '2_7_1'"),
        ("x", "link number 0 is no object"),
    ],
)
def test_a_malformed_link_is_named(link: Any, says: str) -> None:
    found = document()
    found["links"].insert(0, link)
    with pytest.raises(GraphFileError, match=says):
        read_viewer(found)


def test_of_two_nodes_with_one_id_the_links_decide_or_the_file_is_refused() -> None:
    found = document()
    found["nodes"].append(node("0_2_1", ERROR, 2, 1, -1))  # circuit-tracer's id of the error of layer 2
    graph = read_viewer(found).graph
    assert [graph.node_label(s) for s, t, _ in graph.edges() if graph.node_label(t) == "feature 2:7 at 1"] == [
        "feature 0:2 at 1",
        "error of layer 1 at 1",
        "token 'a' at 0",
    ], "an error of layer 2 does not lead to layer 2"
    found["links"].insert(0, {"source": "0_2_1", "target": "4_9_1", "weight": 2.0})
    with pytest.raises(GraphFileError, match="nothing says which of them the link to '4_9_1' comes from"):
        read_viewer(found)
    found["links"].append({"source": "0_2_1", "target": "4_9_1", "weight": 3.0})
    found["nodes"].sort(key=lambda one: [CLT, ERROR, "embedding", "logit"].index(one["feature_type"]))
    found["links"].sort(key=lambda link: [one["node_id"] for one in found["nodes"]].index(link["source"]))
    graph = read_viewer(found).graph
    into = {graph.node_label(s): w for s, t, w in graph.edges() if t == len(graph.nodes) - 1}
    assert into == {"feature 0:2 at 1": 2.0, "feature 2:7 at 1": 1.5, "error of layer 2 at 1": 3.0}


def numbered(way: str, sites: list[tuple[int, int]], with_ids: bool = True) -> list[FeatureNode]:
    number = {
        "cantor": cantor_pair,
        "offset": lambda layer, feature: layer * 100_000 + feature,
        "wide": lambda layer, feature: layer * 1_000_000 + feature,
        "plain": lambda layer, feature: feature,
    }[way]
    return [
        FeatureNode(f"{layer}_{feature}_3" if with_ids else f"n{place}", layer, 3, number(layer, feature))
        for place, (layer, feature) in enumerate(sites)
    ]


SITES = [(0, 5), (1, 16_000), (3, 16_383), (7, 41), (12, 2082)]


@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize("way", ["cantor", "offset", "wide", "plain"])
def test_indices_are_found_in_old_files(way: str, with_ids: bool) -> None:
    assert indices_of(numbered(way, SITES, with_ids), 0) == [feature for _, feature in SITES]


def test_ids_may_have_the_offset_as_well_and_may_be_padded() -> None:
    nodes = [FeatureNode(f"{layer}_{layer * 100_000 + i}_3", layer, 3, layer * 100_000 + i) for layer, i in SITES]
    assert indices_of(nodes, 0) == [feature for _, feature in SITES]
    assert indices_of([FeatureNode("3_00042_1", 3, 1, 300_042)], 0) == [42]


def test_numbers_that_may_mean_two_features_are_refused() -> None:
    with pytest.raises(GraphFileError, match="node '1_100005_3' has the feature 100005: whether it is an index or 5"):
        indices_of([FeatureNode("1_100005_3", 1, 3, 100_005)], 0)
    with pytest.raises(GraphFileError, match="numbered in different ways"):
        indices_of([*numbered("cantor", SITES[1:3]), *numbered("plain", SITES[3:])], 0)
    with pytest.raises(GraphFileError, match="node '3_4_3' has the feature 9, which its id contradicts"):
        indices_of([FeatureNode("3_4_3", 3, 3, 9)], 0)
    with pytest.raises(GraphFileError, match="which is no index"):
        indices_of([FeatureNode("n", 3, 3, -2)], 0)
    assert indices_of([], 0) == []
    assert indices_of(numbered("cantor", SITES), 1) == [feature for _, feature in SITES]


def test_the_time_for_nodes_with_one_id_grows_with_their_number() -> None:
    """Every link into one node may come from two nodes."""
    count = 3000
    found = document()
    found["metadata"]["prompt_tokens"] = ["a"] * (count + 2)
    found["nodes"] = found["nodes"][:1]
    for at in range(2, count):
        found["nodes"].append(node(f"0_2_{at}", CLT, 0, at, cantor_pair(0, 2)))
        found["nodes"].append(node(f"0_2_{at}", ERROR, 2, at, -1))
    found["links"] = [
        {"source": one["node_id"], "target": "4_9_1", "weight": 1.0}
        for one in found["nodes"]
        if one["node_id"] != "4_9_1"
    ]
    started = time.monotonic()
    assert read_viewer(found).graph.num_edges == 2 * (count - 2)
    assert time.monotonic() - started < 5
