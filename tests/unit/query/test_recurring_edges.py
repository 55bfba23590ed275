from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store
from rounding import nearly

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query import strongest_edges
from distributed_tracer.query.recurring_edges import recurring_edges
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.read import part_range
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.table import Table

Edge = tuple[int, int, int, int]


def crowded(prompt_id: str, seed: int) -> Graph:
    """A graph of few different features at many positions, so that edges recur, within a graph and between graphs."""
    graph = random_graph(prompt_id, seed=seed, num_layers=2, num_positions=6, num_active=60, density=0.5)
    graph.nodes.feature_N[graph.nodes.where(NodeKind.FEATURE)] %= 6
    graph.weight_E[:] = np.nan_to_num(graph.weight_E)
    return graph


GRAPHS = [crowded(f"p{i}", i) for i in range(5)]


def counted_slowly(graphs: list[Graph], min_prompts: int = 2) -> list[tuple[float, Edge, int, float]]:
    """(-strength, edge, prompts, mean weight), strongest first."""
    weights: dict[Edge, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for graph in graphs:
        nodes = graph.nodes
        for target, source, weight in zip(graph.target_E(), graph.source_E, graph.weight_E, strict=True):
            if nodes.kind_N[target] == nodes.kind_N[source] == NodeKind.FEATURE:
                ends = [int(x[n]) for n in (source, target) for x in (nodes.layer_N, nodes.feature_N)]
                weights[ends[0], ends[1], ends[2], ends[3]][graph.prompt_id] += float(weight)
    return sorted(
        (-sum(map(abs, found.values())), edge, len(found), sum(found.values()) / len(found))
        for edge, found in weights.items()
        if len(found) >= min_prompts
    )


def edge_of(row: dict[str, int]) -> Edge:
    return row["source_layer"], row["source_feature"], row["target_layer"], row["target_feature"]


def assert_equal(table: Table, expected: list[tuple[float, Edge, int, float]]) -> None:
    assert len(table) == len(expected)
    terms, most = max(graph.num_edges for graph in GRAPHS), -expected[0][0] if expected else 0.0
    for row, (strength, edge, prompts, mean) in zip(table.rows(), expected, strict=True):
        assert edge_of(row) == edge
        assert row["prompts"] == prompts
        assert row["strength"] == nearly(-strength, terms, magnitude=most)
        assert row["mean_weight"] == nearly(mean, terms, magnitude=most)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("edges")), GRAPHS[:2], GRAPHS[2:])


def test_the_strongest_recurring_edges_are_found_exactly(store: Store) -> None:
    assert_equal(recurring_edges(store, top=20), counted_slowly(GRAPHS)[:20])
    assert_equal(recurring_edges(store, top=10_000), counted_slowly(GRAPHS))


@pytest.mark.parametrize("min_prompts", [1, 3, 5, 6])
def test_only_edges_of_enough_prompts_count(store: Store, min_prompts: int) -> None:
    assert_equal(recurring_edges(store, top=10_000, min_prompts=min_prompts), counted_slowly(GRAPHS, min_prompts))


@pytest.mark.parametrize(("buckets", "per_pass"), [(7, 2), (64, 3), (4096, 16)])
def test_the_answer_does_not_depend_on_the_memory_used(store: Store, buckets: int, per_pass: int) -> None:
    found = recurring_edges(store, top=12, num_buckets=buckets, buckets_per_pass=per_pass)
    assert_equal(found, counted_slowly(GRAPHS)[:12])


def exact(table: Table) -> list[tuple[float, Edge, int, float]]:
    return [(-row["strength"], edge_of(row), row["prompts"], row["mean_weight"]) for row in table.rows()]


def test_the_bits_are_those_of_a_plain_loop_however_the_store_is_divided(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = make_store(str(tmp_path / "shuffled"), [GRAPHS[3], GRAPHS[0]], GRAPHS[4:], [GRAPHS[2], GRAPHS[1]])
    compact(make_store(str(tmp_path / "compacted"), *([graph] for graph in reversed(GRAPHS))).url)
    for one in (store, shuffled, open_store(str(tmp_path / "compacted"))):
        for rows in (100, 1 << 20):
            monkeypatch.setattr(part_range, "ROWS", rows)
            assert exact(recurring_edges(one, top=10_000)) == counted_slowly(GRAPHS)


def test_the_answer_does_not_depend_on_how_many_edges_are_counted_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strongest_edges, "_MOST_EDGES", 5)
    monkeypatch.setattr(strongest_edges, "_FEW_BUCKETS", 1)
    for top in (1, 12, 10_000):
        assert exact(recurring_edges(store, top=top, num_buckets=256)) == counted_slowly(GRAPHS)[:top]


def test_edges_of_weight_zero_are_edges_and_those_that_are_not_finite_hide_no_others(tmp_path: Path) -> None:
    graphs = [crowded(f"p{i}", i) for i in range(3)]
    for graph in graphs:
        graph.weight_E[::2] = 0.0
    zeros = make_store(str(tmp_path / "zeros"), graphs)
    assert exact(recurring_edges(zeros, top=10_000)) == counted_slowly(graphs)
    graphs[1].weight_E[::50] = np.nan
    graphs[2].weight_E[7::50] = np.inf
    found = recurring_edges(make_store(str(tmp_path / "strange"), graphs), top=10_000)
    expected = {edge: (-strength, prompts) for strength, edge, prompts, _ in counted_slowly(graphs)}
    assert {edge_of(row) for row in found.rows()} == expected.keys()
    for row in found.rows():
        assert repr((float(row["strength"]), int(row["prompts"]))) == repr(expected[edge_of(row)])
    kinds = ["inf" if np.isinf(x) else "nan" if np.isnan(x) else "finite" for x in found["strength"]]
    assert kinds == sorted(kinds, key=["inf", "finite", "nan"].index)
    assert set(kinds) == {"inf", "finite", "nan"}


def test_a_store_whose_graphs_share_nothing_gives_an_empty_table(tmp_path: Path) -> None:
    assert len(recurring_edges(make_store(str(tmp_path / "a")))) == 0
    assert len(recurring_edges(make_store(str(tmp_path / "b"), [random_graph(num_active=0)]))) == 0
    assert len(recurring_edges(make_store(str(tmp_path / "c"), GRAPHS[:1]))) == 0
