"""Graphs that this package exported, read back: what each format has comes back exactly."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_graphs import AWKWARD, assert_same, random_graph, with_edges_upwards
from rounding import nearly
from viewer_documents import document

from distributed_tracer.errors import GraphFileError
from distributed_tracer.export.formats import export_graph
from distributed_tracer.graph.context import GraphContext, Group, NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.importers.formats import read_graph_file
from distributed_tracer.importers.imported_graph import ImportedGraph

GRAPHS = {name: with_edges_upwards(graph) for name, graph in AWKWARD.items() if name != "wide"}


def back(graph: Graph, path: Path, format: str | None = None, context: GraphContext | None = None) -> ImportedGraph:
    export_graph(graph, path, format, context)
    return read_graph_file(path)


def original(found: ImportedGraph, graph: Graph) -> Graph:
    """The graph that was read, without what only an import says of it; ids that no store takes are the file's name."""
    metadata = {key: value for key, value in found.graph.metadata.items() if not key.startswith("imported_")}
    assert {"imported_from", "imported_format"} <= found.graph.metadata.keys()
    return replace(found.graph, metadata=metadata, prompt_id=graph.prompt_id)


@pytest.mark.parametrize("case", GRAPHS)
def test_parquet_keeps_all_but_active_features_that_are_no_nodes(case: str, tmp_path: Path) -> None:
    graph = GRAPHS[case]
    found = original(back(graph, tmp_path / "g.parquet"), graph)
    features = graph.nodes.take(graph.nodes.where(NodeKind.FEATURE))
    expected = replace(graph, active=found.active, constant_node=graph.scores.constant_share > 0)
    assert found.active.activation_A.tobytes() == features.activation_N.tobytes()
    assert_same(found, expected)


@pytest.mark.parametrize("case", GRAPHS)
def test_node_link_json_keeps_all_that_it_has(case: str, tmp_path: Path) -> None:
    graph = GRAPHS[case]
    found = original(back(graph, tmp_path / "g.json", "json"), graph)
    unknown = np.full(len(graph.nodes), np.nan, np.float32)
    rows = dict.fromkeys(("row_abs_sum_N", "row_abs_sum_all_N", "row_abs_dropped_N", "constant_N"), unknown)
    weight_E = np.where(np.isnan(graph.weight_E), np.float32(np.nan), graph.weight_E)  # null has no payload
    constant_node = graph.scores.constant_share > 0
    expected = replace(graph, active=found.active, weight_E=weight_E, constant_node=constant_node, **rows)
    assert_same(found, expected)


@pytest.mark.parametrize("case", GRAPHS)
def test_npz_keeps_the_matrix_and_every_active_feature(case: str, tmp_path: Path) -> None:
    graph = GRAPHS[case]
    found = back(graph, tmp_path / "g.npz")
    assert found.all_active
    assert found.graph.active.activation_A.tobytes() == graph.active.activation_A.tobytes()
    np.testing.assert_array_equal(found.graph.tokens_P, graph.tokens_P)
    assert found.graph.num_layers == graph.num_layers
    zero_E = graph.weight_E == 0
    assert found.graph.num_edges == graph.num_edges - zero_E.sum()
    np.testing.assert_array_equal(found.graph.adjacency(), graph.adjacency())
    place = {tuple(key): node for node, key in enumerate(keys(graph))}
    known = [place[tuple(key)] for key in keys(found.graph) if tuple(key) in place]
    assert len(known) == len(found.graph.nodes) == len(graph.nodes) - lone_errors(graph)
    np.testing.assert_array_equal(found.graph.influence_N, graph.influence_N[known])
    assert [target.weight for target in found.graph.targets] == [
        float(np.float32(target.weight)) for target in graph.targets
    ]


def keys(graph: Graph) -> Any:
    nodes = graph.nodes
    return np.stack([nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N], axis=1).tolist()


def lone_errors(graph: Graph) -> int:
    """Errors without influence and edges, of which the matrix does not say whether they were pruned."""
    connected = np.union1d(graph.source_E[graph.weight_E != 0], np.flatnonzero(graph.influence_N))
    return len(np.setdiff1d(graph.nodes.where(NodeKind.ERROR), connected))


def test_a_viewer_s_json_comes_back_with_groups_and_targets(tmp_path: Path) -> None:
    graph = with_edges_upwards(random_graph("p: 1", seed=3, num_targets=3))
    graph = replace(graph, weight_E=np.nan_to_num(graph.weight_E), influence_N=np.sort(graph.influence_N)[::-1].copy())
    keys_ = [NodeKey("feature", *site) for site in zip(*sites(graph), strict=True)]
    groups = (Group('a, "b"', tuple(keys_[:2])), Group("", (keys_[2],)), Group("", (keys_[3],)))
    context = GraphContext(groups=groups, pins=(keys_[4],), node_threshold=0.8, edge_threshold=0.98)
    found = back(graph, tmp_path / "other.json", "viewer", context)
    assert found.context.groups == groups
    assert found.context.pins == (keys_[4], *keys_[:4]), "viewers show only those members of a group that are pinned"
    assert (found.context.node_threshold, found.context.edge_threshold) == (0.8, 0.98)
    again = found.graph
    assert (again.prompt_id, again.num_layers, again.tokens_P.tolist()) == ("p: 1", 3, graph.tokens_P.tolist())
    assert repr(again.targets) == repr(graph.targets)
    assert keys(again) == keys(graph)
    assert again.weight_E.tobytes() == graph.weight_E.tobytes()
    np.testing.assert_array_equal(again.source_E, graph.source_E)
    assert (
        again.nodes.activation_N.tobytes()
        == np.where(graph.nodes.kind_N == NodeKind.FEATURE, graph.nodes.activation_N, np.float32("nan"))
        .astype(np.float32)
        .tobytes()
    )


def sites(graph: Graph) -> tuple[list[int], ...]:
    features = graph.nodes.take(graph.nodes.where(NodeKind.FEATURE))
    return features.layer_N.tolist(), features.position_N.tolist(), features.feature_N.tolist()


def test_a_file_for_circuit_tracer_comes_back_with_every_active_feature(tmp_path: Path) -> None:
    graph = with_edges_upwards(random_graph(num_selected=12, num_targets=2))
    targets = tuple(replace(target, token_id=7) for target in graph.targets)
    graph = replace(graph, weight_E=np.nan_to_num(graph.weight_E), targets=targets)
    found = back(graph, tmp_path / "g.pt", context=GraphContext(transcoders="a/b"))
    again = found.graph
    assert again.adjacency().tobytes() == (graph.adjacency() + np.float32(0)).tobytes(), "-0 is no edge"
    for name in ("layer_A", "position_A", "feature_A", "activation_A"):
        assert getattr(again.active, name).tobytes() == getattr(graph.active, name).tobytes(), name
    np.testing.assert_array_equal(again.selected_features(), graph.selected_features())
    np.testing.assert_array_equal(again.tokens_P, graph.tokens_P)
    assert [(target.label, target.token_id) for target in again.targets] == [(t.label, 7) for t in targets]
    assert (again.text, again.num_layers, found.context.transcoders) == (graph.text, 3, "a/b")


def test_shares_of_influence_survive_any_number_of_exports(tmp_path: Path) -> None:
    """Of a pruned graph, whose shares do not add up to 1."""
    (tmp_path / "first.json").write_text(json.dumps(document()))
    first = read_graph_file(tmp_path / "first.json").graph
    assert first.influence_N.sum() == nearly(0.35, len(first.nodes), torch.float32)
    second = back(first, tmp_path / "second.json", "viewer").graph
    np.testing.assert_allclose(second.influence_N, first.influence_N, rtol=0, atol=2**-22)  # float32 shares of 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: found["nodes"][0].update(id=3), "node number 0 is no object with this id"),
        (lambda found: found["nodes"][0].update(kind="x"), "node number 0 is of no known kind"),
        (lambda found: found["nodes"][0].update(layer=99), "is in layer 99, expected 0 to 2"),
        (lambda found: found["nodes"][0].update(activation=1e300), "do not fit float32"),
        (lambda found: found["edges"][0].update(source=9999), "none of the"),
        (lambda found: found["graph"].update(num_layers=10**9), "would have 1,000,000,000 layers"),
        (lambda found: found["graph"]["tokens"].pop(), "4 tokens and 5 token_strings"),
        (lambda found: found["graph"]["scores"].update(error_share_L=[1]), "1 numbers for 3 layers"),
        (lambda found: found["graph"].pop("metadata"), "its metadata is no object"),
    ],
)
def test_a_malformed_document_is_refused(change: Any, says: str, tmp_path: Path) -> None:
    export_graph(with_edges_upwards(random_graph()), tmp_path / "g.json", "json")
    found = json.loads((tmp_path / "g.json").read_text())
    change(found)
    (tmp_path / "g.json").write_text(json.dumps(found))
    with pytest.raises(GraphFileError, match=says):
        read_graph_file(tmp_path / "g.json")


def archived(path: Path, **changed: Any) -> Path:
    export_graph(with_edges_upwards(random_graph()), path)
    with np.load(path) as found:
        arrays = {name: value for name, value in {**found, **changed}.items() if value is not None}
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"adjacency": np.zeros((3, 3), np.float32)}, "not a matrix of "),
        ({"tokens": np.arange(5, dtype=np.int32)}, "its array tokens is int32"),
        ({"tokens": np.zeros(0, np.int64)}, "contradict each other"),
        ({"selected_features": np.array([10**6])}, "its selected_features are 1000000 to 1000000"),
        ({"constant": None}, "'constant.npy' is missing or too many"),
        ({"target_ids": np.array([{}], dtype=object)}, "a malformed header|its array target_ids is object"),
    ],
)
def test_a_malformed_archive_is_refused(changed: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(GraphFileError, match=says):
        read_graph_file(archived(tmp_path / "g.npz", **changed))


def test_parquet_with_too_many_equal_rows_is_refused_before_they_are_read(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    export_graph(with_edges_upwards(random_graph()), tmp_path / "g.parquet")
    path = tmp_path / "g.parquet" / "edges.parquet"
    count = 10_000_000
    columns = {"source": np.zeros(count, "i4"), "target": np.zeros(count, "i4"), "weight": np.zeros(count, "f4")}
    parquet.write_table(pyarrow.table(columns), path)
    assert path.stat().st_size < 150_000
    with pytest.raises(GraphFileError, match="would have 10,000,000 rows in "):
        read_graph_file(tmp_path / "g.parquet")


@pytest.mark.parametrize(("name", "text"), [("g.txt", ""), ("g.json", "[]"), ("g.json", "{}"), ("g.json", "{")])
def test_what_is_no_graph_is_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(GraphFileError):
        read_graph_file(tmp_path / name)


def test_ids_are_those_of_the_files_or_their_names(tmp_path: Path) -> None:
    graph = with_edges_upwards(random_graph("topic/1"))
    assert back(graph, tmp_path / "a.json", "json").graph.prompt_id == "topic/1"
    assert back(graph, tmp_path / "b.npz").graph.prompt_id == "b"
    assert back(replace(graph, prompt_id=" "), tmp_path / "c.json", "json").graph.prompt_id == "c"
    with pytest.raises(GraphFileError, match="id too long"):
        back(replace(graph, prompt_id="x" * 600), tmp_path / "d.json", "json")
    assert asdict(graph.scores)
