"""One graph for people and machines."""

from __future__ import annotations

import json

import numpy as np
import pytest
from random_graphs import AWKWARD, random_graph

from distributed_tracer.documents.json_text import to_json_types
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.report.graph import graph_summary, graph_text


def test_the_most_influential_nodes_come_first() -> None:
    graph = random_graph()
    found = graph_summary(graph, 4)["top_features"]
    features = graph.nodes.where(NodeKind.FEATURE)
    best = features[np.argsort(-graph.influence_N[features])[:4]]
    assert [row["influence"] for row in found] == graph.influence_N[best].tolist()
    assert [row["feature"] for row in found] == graph.nodes.feature_N[best].tolist()
    assert [row["layer"] for row in found] == graph.nodes.layer_N[best].tolist()


def test_edges_are_named_by_their_ends_strongest_first() -> None:
    graph = random_graph(seed=9)
    found = graph_summary(graph, graph.num_edges)["top_edges"]
    weights = [abs(edge["weight"]) for edge in found if np.isfinite(edge["weight"])]
    assert weights == sorted(weights, reverse=True)
    strongest = int(np.nanargmax(np.abs(graph.weight_E)))
    source = int(graph.source_E[strongest])
    position = int(graph.nodes.position_N[source])
    assert found[0]["weight"] == float(graph.weight_E[strongest])
    assert found[0]["source"].endswith(f" at {position}")


def test_tokens_are_shown_as_strings() -> None:
    graph = random_graph()
    (row,) = graph_summary(graph, 1)["top_tokens"]
    assert row["string"] == graph.token_strings[row["position"]]
    assert row["token"] == graph.tokens_P[row["position"]]


@pytest.mark.parametrize("graph", AWKWARD.values(), ids=AWKWARD.keys())
def test_any_graph_can_be_shown_and_none_steers_the_terminal(graph: Graph) -> None:
    summary = graph_summary(graph, 3)
    text = graph_text(summary)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert f"{graph.num_edges:,} edges" in text
    text.encode()
    assert json.loads(json.dumps(to_json_types(summary), allow_nan=False))["num_edges"] == graph.num_edges


HOSTILE = "\x1b[2J\r\n<b>\u202e\ud800"


def test_labels_are_beside_features_and_beside_both_ends_of_edges() -> None:
    graph = random_graph(seed=9)
    best = graph_summary(graph, 1)["top_features"][0]
    site = (best["layer"], best["feature"])
    labels = Labels.of([(*site, Label(HOSTILE, "me")), (*site, Label("Texas", HOSTILE))])
    summary = graph_summary(graph, graph.num_edges, labels)
    assert summary["top_features"][0]["labels"] == [
        {"text": HOSTILE, "source": "me"},
        {"text": "Texas", "source": HOSTILE},
    ]
    assert summary["top_features"][1]["labels"] == []
    name = f"feature {site[0]}:{site[1]} at {best['position']}"
    for edge in summary["top_edges"]:
        for end in ("source", "target"):
            assert bool(edge[f"{end}_labels"]) == (edge[end] == name)
    text = graph_text(summary)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "| 'Texas'" in text
    assert "labels" in text


def test_nothing_is_said_of_labels_where_there_are_none() -> None:
    graph = random_graph(seed=9)
    assert graph_summary(graph, 5, Labels()) == graph_summary(graph, 5)
    assert "labels" not in graph_text(graph_summary(graph, 5, Labels.of([(0, 10**6, Label("x", "y"))])))
