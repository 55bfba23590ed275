"""The JSON of graph viewers: every way in which a file of the right form makes a viewer fail or say something wrong."""

from __future__ import annotations

import json
import math
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import numpy as np
import pytest
from random_graphs import AWKWARD, finite, random_graph

from distributed_tracer.errors import ConfigError
from distributed_tracer.export import viewer
from distributed_tracer.export.formats import FORMATS, export_graph, for_viewer
from distributed_tracer.export.viewer import Viewer, metadata_of, scan_of
from distributed_tracer.export.viewer_nodes import cumulative_shares, node_ids, without_markup
from distributed_tracer.graph.context import GraphContext, Group, NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.graph.nodes import ActiveTable, NodeKind, NodeTable
from distributed_tracer.graph.prune import prune
from distributed_tracer.graph.viewer_groups import cantor_pair

GRAPHS = {name: finite(graph) for name, graph in AWKWARD.items() if name != "wide"}
KINDS = ("feature", "error", "token", "target")


def written(graph: Graph, folder: Path, context: GraphContext | None = None, **options: Any) -> dict[str, Any]:
    path = folder / "g.json"
    for_viewer(FORMATS["viewer"], Viewer(**options)).write(graph, path, context or GraphContext())
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def keys(graph: Graph) -> list[NodeKey]:
    nodes = graph.nodes
    columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)
    return [NodeKey(KINDS[k], *rest) for k, *rest in zip(*(c.tolist() for c in columns), strict=True)]


def colliding() -> Graph:
    """A graph with feature 1 of layer 0 at position 2, whose id is that of the error of layer 1 at position 2."""
    graph = finite(random_graph(num_layers=2, num_active=0, pruned=False))
    ints = (np.zeros(1, np.int16), np.full(1, 2, np.int32), np.ones(1, np.int32))
    active = ActiveTable(*ints, np.ones(1, np.float32))
    nodes = NodeTable.build(active, 2, graph.tokens_P, np.full(2, 4, np.int32))
    values = {name: np.zeros(len(nodes), np.float32) for name in vars(graph) if name.endswith("_N")}
    return replace(
        graph,
        nodes=nodes,
        active=active,
        indptr=np.zeros(len(nodes) + 1, np.int64),
        source_E=np.empty(0, np.int32),
        weight_E=np.empty(0, np.float32),
        **values,
    )


@pytest.mark.parametrize("case", GRAPHS)
def test_nodes_and_links_are_those_of_the_graph_in_its_order(case: str, tmp_path: Path) -> None:
    graph = GRAPHS[case]
    found = written(graph, tmp_path)
    ids = [node["node_id"] for node in found["nodes"]]
    assert len(set(ids)) == len(ids) == len(graph.nodes)
    for node, key in zip(found["nodes"], keys(graph), strict=True):
        assert node["ctx_idx"] == key.position
        assert node["reverse_ctx_idx"] == len(graph.tokens_P) - 1 - key.position
        kinds = {"cross layer transcoder": "feature", "mlp reconstruction error": "error", "embedding": "token"}
        assert kinds.get(node["feature_type"], "target") == key.kind
        assert node["layer"] == {"token": "E", "target": str(graph.num_layers + 1)}.get(key.kind, str(key.layer))
        if key.kind == "feature":
            assert node["feature"] == cantor_pair(key.layer, key.feature)
    links = [(link["source"], link["target"]) for link in found["links"]]
    assert links == [(ids[source], ids[target]) for source, target, _ in graph.edges()]
    weights = np.array([link["weight"] for link in found["links"]], dtype=np.float32)
    assert weights.tobytes() == graph.weight_E.tobytes()
    activations = [node["activation"] for node in found["nodes"] if node["activation"] is not None]
    features = graph.nodes.where(NodeKind.FEATURE)
    assert np.array(activations, dtype=np.float32).tobytes() == graph.nodes.activation_N[features].tobytes()


def test_the_pairing_of_a_layer_and_a_feature_is_cantors() -> None:
    assert [cantor_pair(layer, feature) for layer, feature in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1))] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert cantor_pair(25, 16_383) == 16_408 * 16_409 // 2 + 16_383


def test_an_error_whose_id_a_feature_of_layer_0_has_gets_another_one() -> None:
    graph = colliding()
    ids, all_keys = node_ids(graph), keys(graph)
    assert ids[0] == "0_1_2"
    error = all_keys.index(NodeKey("error", 1, 2, -1))
    assert ids[error] != "0_1_2"
    assert ids[all_keys.index(NodeKey("error", 1, 3, -1))] == "0_1_3"
    assert len(set(ids)) == len(ids)


def test_targets_of_no_token_have_numbers_of_their_own(tmp_path: Path) -> None:
    graph = finite(random_graph(num_targets=3))
    graph = replace(graph, targets=tuple(replace(target, token_id=-1) for target in graph.targets))
    targets = [node for node in written(graph, tmp_path)["nodes"] if node["feature_type"] == "logit"]
    assert [node["feature"] for node in targets] == [-1, -2, -3]
    assert len({(node["layer"], node["feature"], node["ctx_idx"]) for node in targets}) == 3


@pytest.mark.parametrize("label", [" Austin", 'say "yes"', '"', "(p=", 'a" (p=0.5)', "北京", "\n", "", "\\"])
def test_a_targets_label_has_the_one_form_that_viewers_can_cut_apart(label: str, tmp_path: Path) -> None:
    graph = finite(random_graph(num_targets=1))
    graph = replace(graph, targets=(replace(graph.targets[0], label=label, weight=0.25),))
    clerp = written(graph, tmp_path)["nodes"][-1]["clerp"]
    token = clerp.split('"')[1]  # as the viewers do it
    assert token == label.replace('"', "”").replace("(p=", "(p =")
    assert float(clerp.split("(p=")[1].split(")")[0]) == 0.25
    assert clerp.count('"') == 2


def test_influence_is_the_share_of_all_influence_that_a_node_and_all_stronger_ones_carry() -> None:
    graph = random_graph(pruned=False, num_active=10)
    scores = replace(graph.scores, path_length_H=())
    influence = np.arange(1, len(graph.nodes) + 1, dtype=np.float32)
    graph = replace(graph, influence_N=influence, scores=scores)
    shares = cumulative_shares(graph, None)
    targets = graph.nodes.where(NodeKind.TARGET)
    assert np.isnan(shares[targets]).all()
    others = np.delete(influence.astype(float), targets)
    expected = [others[others >= value].sum() / others.sum() for value in others]
    assert np.delete(shares, targets).tolist() == expected


def whole_graph() -> Graph:
    """A graph whose scores fit its edges: two tokens feed two features, which feed one target."""
    graph = finite(random_graph(num_layers=1, num_positions=2, num_active=2, num_targets=1, pruned=False))
    keep = np.flatnonzero(graph.nodes.kind_N != NodeKind.ERROR)
    nodes = graph.nodes.take(keep)
    rows = {0: [(2, 3.0), (3, 1.0)], 1: [(2, 1.0)], 4: [(0, 3.0), (1, 1.0)]}
    sources = [source for node in range(5) for source, _ in rows.get(node, [])]
    weights = [weight for node in range(5) for _, weight in rows.get(node, [])]
    return replace(
        graph,
        nodes=nodes,
        targets=(replace(graph.targets[0], weight=0.5),),
        indptr=np.cumsum([0, 2, 1, 0, 0, 2]),
        source_E=np.array(sources, np.int32),
        weight_E=np.array(weights, np.float32),
        influence_N=np.array([0.375, 0.125, 0.40625, 0.09375, 0], np.float32),
        row_abs_sum_N=np.array([4, 1, np.nan, np.nan, 4], np.float32),
        row_abs_sum_all_N=np.full(5, 4, np.float32),
        row_abs_dropped_N=np.zeros(5, np.float32),
        constant_N=np.full(5, np.nan, np.float32),
        constant_node=False,
        scores=replace(graph.scores, path_length_H=(0.0, 1.0), constant_share=0.0),
    )


def test_influence_of_a_pruned_graph_is_a_share_of_the_influence_of_the_whole_graph() -> None:
    graph = whole_graph()
    whole = cumulative_shares(graph, None)
    assert whole[:4].tolist() == [0.78125, 0.90625, 0.40625, 1.0]
    pruned = prune(graph, 0.75, 1.0)
    assert len(pruned.nodes) == 4, "feature 1 is pruned"
    assert cumulative_shares(pruned, None)[:3].tolist() == [0.78125, 0.40625, 0.875]


def test_the_end_of_the_slider_shows_every_node_that_pruning_kept(tmp_path: Path) -> None:
    graph = prune(whole_graph(), 0.75, 1.0)
    found = written(graph, tmp_path, GraphContext(node_threshold=0.75, edge_threshold=0.98))
    assert found["metadata"]["node_threshold"] == 0.75
    assert found["metadata"]["pruning_settings"] == {"node_threshold": 0.75, "edge_threshold": 0.98}
    features = [node["influence"] for node in found["nodes"] if node["feature_type"] == "cross layer transcoder"]
    assert features == [0.75]


def test_what_is_not_known_is_not_in_the_file(tmp_path: Path) -> None:
    graph = GRAPHS["plain"]
    graph = replace(graph, influence_N=np.full(len(graph.nodes), np.nan, np.float32))
    found = written(graph, tmp_path)
    assert {node["influence"] for node in found["nodes"]} == {None}
    assert not {"node_threshold", "pruning_settings"} & set(found["metadata"])
    assert found["metadata"]["scan"] == ""


def test_labels_are_at_their_nodes_and_where_each_viewer_looks_for_them(tmp_path: Path) -> None:
    graph = GRAPHS["plain"]
    key = next(key for key in keys(graph) if key.kind == "feature")
    labels = Labels.of(
        [(key.layer, key.feature, Label('say "a", b', "me")), (key.layer, key.feature, Label("x", "you"))]
    )
    for audience in ("circuit-tracer", "neuronpedia"):
        found = written(graph, tmp_path, GraphContext(labels=labels), audience=audience)
        labelled = [node for node in found["nodes"] if node["clerp"].startswith("say")]
        assert {node["clerp"] for node in labelled} == {'say "a", b | x'}
        name = f"{key.layer}_{cantor_pair(key.layer, key.feature)}_{key.position}"
        if audience == "neuronpedia":
            assert [name, 'say "a", b | x'] in found["qParams"]["clerps"]
        else:  # a list there makes the page fail
            assert "clerps" not in found["qParams"]


NAMES = (
    "a, b",
    "a, b",
    "\"quoted\" 'twice'",
    "100%",
    "%41%",
    "",
    "a&b=c#d?e+f",
    "首都 🧑‍🚀",
    "\ud800",
    "[]{}\\",
    "0_1_2",
)


def context_with_groups(graph: Graph) -> GraphContext:
    """Groups with hard names, of two nodes each, and two pins, of which one is in no group."""
    all_keys = keys(graph)
    pairs = [tuple(all_keys[2 * i : 2 * i + 2]) for i in range(len(NAMES))]
    groups = tuple(Group(name, members) for name, members in zip(NAMES, pairs, strict=True))
    return GraphContext(groups=groups, pins=(all_keys[-1], all_keys[0]))


def test_groups_survive_in_the_file_and_in_the_address_with_any_name(tmp_path: Path) -> None:
    graph = GRAPHS["plain"]
    context, ids = context_with_groups(graph), node_ids(graph)
    state = written(graph, tmp_path, context)["qParams"]
    assert [name for name, *_ in state["supernodes"]] == list(NAMES)
    assert [members for _, *members in state["supernodes"]] == [ids[2 * i : 2 * i + 2] for i in range(len(NAMES))]
    # a viewer shows only those members of a group that are pinned
    assert state["pinnedIds"] == [ids[-1], *ids[: 2 * len(NAMES)]]
    notes = FORMATS["viewer"].write(graph, tmp_path / "g.json", context)
    (address,) = [note for note in notes if "?slug=" in note]
    query = address.partition("?")[2]
    assert re.fullmatch(r"[\w.=&%~-]+", query)
    fields = {name: unquote(values[0]) for name, values in parse_qs(query).items()}  # this viewer decodes twice
    assert fields["slug"] == "g"
    assert fields["pinnedIds"].split(",") == state["pinnedIds"]
    renamed = [[name or "supernode", *members] for name, *members in state["supernodes"]]
    assert json.loads(fields["supernodes"]) == renamed
    neuronpedia = for_viewer(FORMATS["viewer"], Viewer("neuronpedia")).write(graph, tmp_path / "g.json", context)
    (address,) = [note for note in neuronpedia if "?slug=" in note]
    assert json.loads(parse_qs(address.partition("?")[2])["supernodes"][0]) == state["supernodes"]


def test_nodes_that_the_graph_does_not_have_are_left_out_of_groups_and_pins(tmp_path: Path) -> None:
    graph = GRAPHS["plain"]
    gone, here = NodeKey("feature", 1, 1, 999_999), keys(graph)[0]
    context = GraphContext(groups=(Group("g", (here, gone)), Group("empty", (gone,))), pins=(gone,))
    path = tmp_path / "g.json"
    notes = FORMATS["viewer"].write(graph, path, context)
    state = json.loads(path.read_bytes())["qParams"]
    assert state["supernodes"] == [["g", node_ids(graph)[0]]]
    assert state["pinnedIds"] == [node_ids(graph)[0]]
    assert any(note.startswith("3 pinned or grouped nodes left out") for note in notes)


HARMFUL = (
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<IMG\nSRC=x>",
    "<x<img src=x>",
    "<style>*{color:red}",
)
HARMLESS = ("<bos>", "</s>", "<|im_start|>", "a < b", "<0xE6>", "1<2 and 3>2", "<b>")


def test_no_label_or_token_acts_as_html_in_the_viewer_that_shows_them_as_html(tmp_path: Path) -> None:
    for text in HARMFUL:
        assert "<img" not in without_markup(text).lower()
        assert "<s" not in without_markup(text).lower()
    assert [without_markup(text) for text in HARMLESS] == list(HARMLESS)
    graph = replace(GRAPHS["plain"], token_strings=HARMFUL)
    key = next(key for key in keys(graph) if key.kind == "feature")
    context = GraphContext(labels=Labels.of([(key.layer, key.feature, Label(HARMFUL[0], "x"))]))
    path = tmp_path / "g.json"
    notes = FORMATS["viewer"].write(graph, path, context)
    assert "6 labels with HTML, which the viewer would obey: < is ‹ there" in notes
    found = json.loads(path.read_bytes())
    assert not any(
        "<img" in text.lower() for text in [*found["metadata"]["prompt_tokens"], *(n["clerp"] for n in found["nodes"])]
    )
    exact = written(graph, tmp_path, context, audience="neuronpedia")
    assert exact["metadata"]["prompt_tokens"] == list(HARMFUL)


def test_the_slug_is_the_name_of_the_file_if_a_server_can_ask_for_it(tmp_path: Path) -> None:
    graph = GRAPHS["plain"]
    FORMATS["viewer"].write(graph, tmp_path / "two-hop.v2.json", GraphContext())
    assert metadata_of(tmp_path / "two-hop.v2.json")["slug"] == "two-hop.v2"
    notes = FORMATS["viewer"].write(graph, tmp_path / "首 都.json", GraphContext())
    slug = metadata_of(tmp_path / "首 都.json")["slug"]
    assert re.fullmatch("[A-Za-z0-9_.-]+", slug)
    assert f"the slug is {slug}: servers find the file only as {slug}.json" in notes


def test_the_scan_names_transcoders_for_circuit_tracer_and_the_model_for_neuronpedia(tmp_path: Path) -> None:
    context = GraphContext(model="google/Gemma-2-2b@main", transcoders="/home/me/secret/plt")
    assert written(GRAPHS["plain"], tmp_path, context)["metadata"]["scan"] == "./plt"
    assert written(GRAPHS["plain"], tmp_path, context, audience="neuronpedia")["metadata"]["scan"] == "gemma-2-2b"
    assert written(GRAPHS["plain"], tmp_path, context, scan="mine")["metadata"]["scan"] == "mine"
    assert scan_of("mntss/clt-gemma@rev") == "mntss/clt-gemma@rev"
    assert scan_of("org/repo/layer 1/x@rev") == "org/repo//layer 1/x@rev"
    assert scan_of("./relative/plt/") == "./plt"


def test_graphs_that_a_viewer_cannot_show_are_said_so(tmp_path: Path) -> None:
    one = FORMATS["viewer"].write(GRAPHS["one token"], tmp_path / "g.json", GraphContext())
    assert "circuit-tracer's viewer shows no nodes of a prompt of one token" in one
    flat = finite(random_graph(num_layers=1))
    notes = for_viewer(FORMATS["viewer"], Viewer("neuronpedia")).write(flat, tmp_path / "g.json", GraphContext())
    assert "Neuronpedia shows no graph whose features and errors are all in layer 0" in notes


def test_a_scan_at_which_the_viewer_finds_no_features_is_said_so(tmp_path: Path) -> None:
    context = GraphContext(transcoders="/models/features")
    (note,) = FORMATS["viewer"].write(GRAPHS["plain"], tmp_path / "g.json", context)
    assert note.startswith("circuit-tracer's viewer asks another host for the features at ./features: give another")
    renamed = for_viewer(FORMATS["viewer"], Viewer(scan="./plt"))
    assert not renamed.write(GRAPHS["plain"], tmp_path / "g.json", context)


def test_a_weight_that_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"1 edge of 'p' with a weight that is not finite"):
        export_graph(AWKWARD["plain"], tmp_path / "g.json", "viewer")
    assert not any(tmp_path.iterdir())


def test_the_file_is_ascii_with_a_line_for_each_node_and_edge(tmp_path: Path) -> None:
    graph = GRAPHS["unicode"]
    written(graph, tmp_path)
    lines = (tmp_path / "g.json").read_bytes().decode("ascii").splitlines()
    assert len(lines) == len(graph.nodes) + graph.num_edges + 4
    assert metadata_of(tmp_path / "g.json")["distributed_tracer"]["tokens"] == graph.tokens_P.tolist()
    assert not any(math.isnan(link["weight"]) for link in json.loads((tmp_path / "g.json").read_bytes())["links"])


def test_edges_are_python_objects_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = finite(random_graph(num_positions=40, num_active=300, density=0.3))
    num_bytes = [0, 0]
    for i, at_once in enumerate((graph.num_edges, 100)):
        monkeypatch.setattr(viewer, "_EDGES_AT_ONCE", at_once)
        tracemalloc.start()
        FORMATS["viewer"].write(graph, tmp_path / "g.json", GraphContext())
        num_bytes[i] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert graph.num_edges > 30_000
    assert num_bytes[1] < num_bytes[0] / 2


def test_only_the_format_viewer_is_written_for_a_viewer() -> None:
    with pytest.raises(ConfigError, match="only the format viewer is written for a viewer: npz is the same"):
        for_viewer(FORMATS["npz"], Viewer())
    with pytest.raises(ConfigError, match=r"no viewer 'neuronpedai'.*Did you mean 'neuronpedia'"):
        Viewer("neuronpedai")
