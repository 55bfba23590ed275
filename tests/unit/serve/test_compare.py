"""What the API says about two graphs, and pairs of sites counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from rounding import nearly
from serving import make_store

from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.graph.edge_strength import passed_influence
from distributed_tracer.graph.graph import Graph
from distributed_tracer.query.compare import compare_graphs
from distributed_tracer.query.compare_pairs import edge_differences
from distributed_tracer.report.compare import comparison_summary
from distributed_tracer.serve.api.compare import ENDPOINTS
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> ServedStore:
    path: Path = make_store(tmp_path_factory.mktemp("compared"))
    return ServedStore(ServeSettings(str(path)))


def ask(known: ServedStore, path: str, **query: Any) -> Any:
    (endpoint,) = (one for one in ENDPOINTS if one.path == path)
    reply: Any = endpoint.handler(known, endpoint.arguments({name: [str(value)] for name, value in query.items()}))
    return reply.value


def weights_by_site(graph: Graph) -> dict[tuple[Any, ...], tuple[float, float, int]]:
    """Sums of weights and of passed influence, and the number of edges, by what an edge connects: one by one."""
    sums: dict[tuple[Any, ...], tuple[float, float, int]] = {}
    passed_E, target_E = passed_influence(graph), graph.target_E()
    for edge, (source, target) in enumerate(zip(graph.source_E.tolist(), target_E.tolist(), strict=True)):
        key = (*_site(graph, source), *_site(graph, target))
        weight, passed, count = sums.get(key, (0.0, 0.0, 0))
        sums[key] = (weight + float(graph.weight_E[edge]), passed + float(passed_E[edge]), count + 1)
    return sums


def _site(graph: Graph, node: int) -> tuple[Any, ...]:
    kind = ("feature", "error", "token", "target")[graph.nodes.kind_N[node]]
    layer, position, feature = (
        int(column[node]) for column in (graph.nodes.layer_N, graph.nodes.position_N, graph.nodes.feature_N)
    )
    name = {"token": graph.token_strings[position]}.get(kind, "")
    if kind == "target":
        name = graph.targets[feature].label
    return kind, layer, feature if kind == "feature" else -1, name


def two_graphs() -> tuple[Graph, Graph]:
    """Two graphs with some features of the same number, weights that are finite, and tokens of the same names."""
    found = []
    for seed in (3, 4):
        graph = random_graph(f"graph {seed}", seed=seed, num_active=20, num_positions=5)
        tokens_P = np.arange(5, dtype=np.int32)
        targets = tuple(
            replace(target, label=f"answer {number}", token_id=number) for number, target in enumerate(graph.targets)
        )
        nodes = graph.nodes
        is_token = nodes.kind_N == 2
        feature_N = np.where(is_token, tokens_P[nodes.position_N], nodes.feature_N).astype(np.int32)
        names = tuple(f"token {number}" for number in range(5))
        found.append(
            replace(
                graph,
                weight_E=np.nan_to_num(graph.weight_E),
                tokens_P=tokens_P,
                token_strings=names,
                targets=targets,
                nodes=replace(nodes, feature_N=feature_N),
            )
        )
    return found[0], found[1]


def test_pairs_of_sites_are_the_sums_over_their_edges() -> None:
    graphs = two_graphs()
    by_hand = [weights_by_site(graph) for graph in graphs]
    found = {}
    for row in edge_differences(*graphs).rows():
        ends = tuple(
            row[f"{end}_{name}"] for end in ("source", "target") for name in ("kind", "layer", "feature", "name")
        )
        assert ends not in found
        found[ends] = row
    assert found.keys() == by_hand[0].keys() | by_hand[1].keys()
    for ends, row in found.items():
        for side, sums in zip("ab", by_hand, strict=True):
            weight, passed, count = sums.get(ends, (0.0, 0.0, 0))
            assert row[f"edges_{side}"] == count
            assert row[f"weight_{side}"] == nearly(weight, terms=max(count, 1))
            assert row[f"passed_{side}"] == nearly(passed, terms=max(count, 1))
    differences = [abs(row["passed_a"] - row["passed_b"]) for row in found.values()]
    assert differences == sorted(differences, reverse=True)
    assert len(edge_differences(*graphs, top=3)) == 3


def test_a_graph_does_not_differ_from_itself() -> None:
    graph, _ = two_graphs()
    table = edge_differences(graph, graph)
    assert table["weight_a"].tolist() == table["weight_b"].tolist()
    assert table["edges_a"].tolist() == table["edges_b"].tolist()


@pytest.mark.slow
def test_the_comparison_is_that_of_the_command(known: ServedStore) -> None:
    found = ask(known, "/compare", a="dallas", b=HOSTILE)
    said = comparison_summary(compare_graphs(known.store.graph("dallas"), known.store.graph(HOSTILE)), 100)
    for name in ("num_features", "num_edges", "feature_jaccard", "edge_overlap", "a", "b"):
        assert found[name] == said[name]
    for side, rows in said["features"].items():
        assert [(row["layer"], row["feature"], row["influence_a"]) for row in found["features"][side]] == [
            (row["layer"], row["feature"], row["influence_a"]) for row in rows
        ]
    other = ask(known, "/compare", a=HOSTILE, b="dallas")
    assert other["num_features"] == {
        **said["num_features"],
        "a": said["num_features"]["b"],
        "b": said["num_features"]["a"],
    }
    assert [len(rows) for rows in ask(known, "/compare", a="dallas", b="miami", top=2)["features"].values()] == [
        2,
        2,
        2,
    ]


@pytest.mark.slow
def test_prompts_that_are_not_there_are_named(known: ServedStore) -> None:
    with pytest.raises(PromptNotFound, match="no prompt 'nobody'"):
        ask(known, "/compare", a="dallas", b="nobody")
    with pytest.raises(ConfigError, match="the parameter b is missing"):
        ask(known, "/compare", a="dallas")


@pytest.mark.slow
def test_prompts_are_found_by_id_and_by_text(known: ServedStore) -> None:
    assert [one["prompt"] for one in ask(known, "/prompt_search", text="DALLAS")["prompts"]] == ["dallas"]
    assert [one["prompt"] for one in ask(known, "/prompt_search", text="onerror")["prompts"]] == [HOSTILE]
    containing = ask(known, "/prompt_search", text="containing", limit=2)
    assert containing["num_found"] == 3
    assert [one["prompt"] for one in containing["prompts"]] == ["dallas", "miami"]
    assert ask(known, "/prompt_search")["num_found"] == 5
