"""One graph as tables and as a graph of networkx, against the store's own tables and the graph's arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import networkx
import numpy as np
import pandas
import pytest
from random_graphs import AWKWARD
from random_stores import make_store

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.store.reader import Store

GRAPHS = {name: graph for name, graph in AWKWARD.items() if name != "wide"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("store")), GRAPHS.values())


def as_bytes(column: Any) -> Any:
    """Values of an Arrow column, numbers bit for bit."""
    return column.to_pylist() if "dictionary" in str(column.type) else column.to_numpy().tobytes()


@pytest.mark.parametrize("case", GRAPHS)
def test_the_arrow_tables_of_a_graph_are_those_of_its_store(store: Store, case: str) -> None:
    graph = GRAPHS[case]
    for own, stored in zip(graph.to_arrow(), (store.nodes(graph.prompt_id), store.edges(graph.prompt_id)), strict=True):
        there = stored.to_arrow()
        assert own.schema == there.schema
        assert len(own) == len(there)
        for name in own.column_names:
            assert as_bytes(own[name]) == as_bytes(there[name]), name
    assert len(graph.to_arrow().edges) == graph.num_edges


def test_the_pandas_tables_of_a_graph_are_those_of_its_store(store: Store) -> None:
    graph = GRAPHS["unicode"]
    nodes, edges = graph.to_pandas()
    pandas.testing.assert_frame_equal(nodes, store.nodes(graph.prompt_id).to_pandas(), check_exact=True)
    pandas.testing.assert_frame_equal(edges, store.edges(graph.prompt_id).to_pandas(), check_exact=True)
    of_source = nodes.loc[edges["source"], ["kind", "layer", "position", "feature"]].reset_index(drop=True)
    named = edges[["source_kind", "source_layer", "source_position", "source_feature"]]
    assert (of_source.to_numpy() == named.to_numpy()).all()
    assert len(edges) > 100


@pytest.mark.parametrize("case", GRAPHS)
def test_networkx_has_every_node_edge_and_attribute(case: str) -> None:
    graph = GRAPHS[case]
    found = graph.to_networkx()
    assert type(found) is networkx.DiGraph
    assert list(found) == list(range(len(graph.nodes)))
    assert found.number_of_edges() == graph.num_edges
    for target in found:
        for source, weight in zip(*graph.row(target), strict=True):
            assert repr(found.edges[int(source), target]) == repr({"weight": float(weight)})
    for node, values in found.nodes(data=True):
        assert values["kind"] == NodeKind(graph.nodes.kind_N[node]).name.lower()
        assert values["layer"] == graph.nodes.layer_N[node]
        assert values["feature"] == graph.nodes.feature_N[node]
        assert values["token"] == graph.token_strings[values["position"]]
        assert values["influence"] == graph.influence_N[node]
        assert np.array_equal(values["activation"], graph.nodes.activation_N[node], equal_nan=True)
        assert {type(value) for value in values.values()} == {str, int, float}
    assert found.graph["prompt"] == graph.prompt_id
    assert found.graph["text"] == graph.text
    assert found.graph["tokens"] == graph.tokens_P.tolist()
    assert found.graph["targets"] == [asdict(target) for target in graph.targets]
    assert found.graph["scores"] == asdict(graph.scores)


def test_labels_name_nodes_as_reports_do() -> None:
    graph = GRAPHS["unicode"]
    labels = np.array([values["label"] for values in graph.node_attributes()], dtype=object)
    for kind in NodeKind:
        assert {label.split()[0] for label in labels[graph.nodes.where(kind)]} == {kind.name.lower()}
    assert "target ' Aus\\ntin'" in labels


@pytest.mark.parametrize(
    ("package", "convert"),
    [("pyarrow", Graph.to_arrow), ("pandas", Graph.to_pandas), ("networkx", Graph.to_networkx)],
)
def test_a_package_that_is_not_installed_is_named(
    package: str, convert: Callable[[Graph], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=package):
        convert(GRAPHS["plain"])
