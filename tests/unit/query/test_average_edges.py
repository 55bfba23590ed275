from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store
from rounding import nearly

from distributed_tracer.errors import PromptNotFound
from distributed_tracer.graph.columns import KINDS
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query import site_pairs as module
from distributed_tracer.query.average_edges import average_edges
from distributed_tracer.store.reader import Store
from distributed_tracer.table import Table

Node = tuple[str, int, int]


def crowded(number: int) -> Graph:
    """A graph of few different features and tokens at many positions, so that edges recur within and between graphs."""
    graph = random_graph(f"p{number}", seed=number, num_layers=2, num_positions=6, num_active=30, density=0.2)
    graph.nodes.feature_N[graph.nodes.where(NodeKind.FEATURE)] %= 6
    graph.nodes.feature_N[graph.nodes.where(NodeKind.TOKEN)] %= 4
    graph.weight_E[:] = np.nan_to_num(graph.weight_E)
    return graph


GRAPHS = [crowded(i) for i in range(6)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("average")), GRAPHS[:2], GRAPHS[2:])


def nodes_of(graph: Graph) -> list[Node]:
    nodes = graph.nodes
    columns = (nodes.kind_N.tolist(), nodes.layer_N.tolist(), nodes.feature_N.tolist())
    return [(KINDS[kind], layer, feature) for kind, layer, feature in zip(*columns, strict=True)]


def averaged_slowly(ids: list[str], min_prompts: int) -> list[tuple[float, tuple[Node, Node], int, int, float]]:
    """(-strength, both nodes, prompts with the edge, prompts with both nodes, sum of weights), strongest first."""
    graphs = [graph for graph in GRAPHS if graph.prompt_id in ids]
    weights: dict[tuple[Node, Node], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for graph in graphs:
        nodes = nodes_of(graph)
        for source, target, weight in graph.edges():
            weights[nodes[source], nodes[target]][graph.prompt_id] += weight
    have = [set(nodes_of(graph)) for graph in graphs]
    return sorted(
        (
            -sum(map(abs, found.values())),
            ends,
            len(found),
            sum(ends[0] in nodes and ends[1] in nodes for nodes in have),
            sum(found.values()),
        )
        for ends, found in weights.items()
        if len(found) >= min_prompts
    )


def rows_of(table: Table) -> list[tuple[object, ...]]:
    return [
        (
            tuple((row[f"{side}_kind"], row[f"{side}_layer"], row[f"{side}_feature"]) for side in ("source", "target")),
            *(row[name] for name in ("prompts", "prompts_both", "mean_weight", "mean_weight_both")),
            row["mean_weight_all"],
        )
        for row in table.rows()
    ]


@pytest.mark.parametrize("at_once", [2, 256])
@pytest.mark.parametrize(("ids", "min_prompts"), [(None, 2), (["p5", "p1", "p2", "p1"], 1), (["p4", "p3"], 2)])
def test_the_average_graph_is_that_of_slow_counting(
    store: Store, monkeypatch: pytest.MonkeyPatch, ids: list[str] | None, min_prompts: int, at_once: int
) -> None:
    monkeypatch.setattr(module, "_PROMPTS_AT_ONCE", at_once)
    expected = averaged_slowly(ids or [graph.prompt_id for graph in GRAPHS], min_prompts)
    number = len(set(ids or GRAPHS))
    most = -expected[0][0]
    found = rows_of(average_edges(store, ids, 10_000, min_prompts))
    assert len(found) == len(expected) > 20
    assert number == min_prompts or any(both > prompts for _, _, prompts, both, _ in expected)
    for row, (_, ends, prompts, both, weight) in zip(found, expected, strict=True):
        assert row[:3] == (ends, prompts, both)
        means = [weight / prompts, weight / both, weight / number]
        assert row[3:] == tuple(nearly(mean, 1000, magnitude=most) for mean in means)


def test_the_answer_does_not_depend_on_the_memory_used(store: Store) -> None:
    whole = rows_of(average_edges(store, top=12))
    assert rows_of(average_edges(store, top=12, num_buckets=64, buckets_per_pass=3)) == whole
    assert [row[0] for row in whole] == [ends for _, ends, *_ in averaged_slowly(list(store), 2)[:12]]


def test_a_group_without_edges_gives_an_empty_table(store: Store, tmp_path: Path) -> None:
    assert len(average_edges(store, [])) == 0
    assert average_edges(make_store(str(tmp_path))).columns[:3] == ["source_kind", "source_layer", "source_feature"]
    with pytest.raises(PromptNotFound, match="no prompt 'p9'"):
        average_edges(store, ["p1", "p9"])
