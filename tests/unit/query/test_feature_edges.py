"""Edges of a feature and features that occur together, against a plain look at every graph; with and without index."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store, write_part
from rounding import nearly

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.cooccurrence import cooccurring
from distributed_tracer.query.feature_counts import feature_counts
from distributed_tracer.query.feature_edges import edges_into, edges_out_of
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.read import part_range
from distributed_tracer.store.reader import Store, open_store

SITE = (1, 3)


def crowded(prompt_id: str, seed: int) -> Graph:
    """A graph of few different features at many positions; every third has none like SITE."""
    graph = random_graph(prompt_id, seed=seed, num_layers=3, num_positions=6, num_active=60, density=0.5)
    features = graph.nodes.where(NodeKind.FEATURE)
    graph.nodes.feature_N[features] %= 6
    if seed % 3 == 0:
        graph.nodes.feature_N[features] += (graph.nodes.feature_N[features] == SITE[1]).astype(np.int32)
    return graph


GRAPHS = [crowded(f"p{i}", i) for i in range(12)]


@pytest.fixture(params=["plain", "compacted", "half of it compacted", "in short ranges", "with a prompt twice"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    url = str(tmp_path)
    if request.param == "in short ranges":
        monkeypatch.setattr(part_range, "ROWS", 300)
    if request.param == "with a prompt twice":  # the first one counts
        return make_store(url, GRAPHS[:6], [GRAPHS[6], crowded("p2", 99), *GRAPHS[7:]])
    if request.param == "half of it compacted":
        make_store(url, GRAPHS[:3], GRAPHS[3:7])
        compact(url)
        Ledger(url).commit(write_part(url, GRAPHS[7:]))
    else:
        make_store(url, GRAPHS[:1], GRAPHS[1:7], GRAPHS[7:])
    if request.param == "compacted":
        compact(url)
    return open_store(url)


def is_site(graph: Graph, node: int) -> bool:
    nodes = graph.nodes
    return nodes.kind_N[node] == NodeKind.FEATURE and (nodes.layer_N[node], nodes.feature_N[node]) == SITE


def edges_slowly(into: bool) -> list[tuple[Any, ...]]:
    rows = []
    for graph in sorted(GRAPHS, key=lambda graph: graph.prompt_id):
        nodes, found = graph.nodes, []
        for target, source, weight in zip(graph.target_E(), graph.source_E, graph.weight_E, strict=True):
            own, other = (target, source) if into else (source, target)
            if is_site(graph, own):
                end = (NodeKind(nodes.kind_N[other]).name.lower(), nodes.layer_N[other], nodes.position_N[other])
                found.append(((own, other), *end, nodes.feature_N[other], weight))
        rows += [(graph.prompt_id, nodes.position_N[own], *rest) for (own, _), *rest in sorted(found)]
    return rows


@pytest.mark.parametrize("into", [True, False])
def test_edges_are_those_of_every_graph(store: Store, into: bool) -> None:
    found = edges_into(store, *SITE) if into else edges_out_of(store, *SITE)
    expected = edges_slowly(into)
    assert len(expected) > 100
    assert repr([tuple(row.values()) for row in found.rows()]) == repr([tuple(map(plain, row)) for row in expected])
    end = "source" if into else "target"
    assert found.columns == ["prompt", "position", "kind", "layer", f"{end}_position", end, "weight"]
    assert len(edges_into(store, 2, 999)) == len(edges_out_of(store, 2, 999)) == 0


def test_features_that_occur_together_are_counted_by_prompt(store: Store) -> None:
    sites = {
        graph.prompt_id: {
            (int(graph.nodes.layer_N[n]), int(graph.nodes.feature_N[n])) for n in graph.nodes.where(NodeKind.FEATURE)
        }
        for graph in GRAPHS
    }
    having = [prompt for prompt, of in sites.items() if SITE in of]
    assert 0 < len(having) < len(GRAPHS)
    both = Counter(site for prompt in having for site in sites[prompt] if site != SITE)
    each = Counter(site for of in sites.values() for site in of)
    found = cooccurring(store, *SITE, top=1000)
    assert {(row["layer"], row["feature"]): row["prompts"] for row in found.rows()} == both
    for row in found.rows():
        other = (row["layer"], row["feature"])
        assert row["share"] == both[other] / len(having)
        assert row["lift"] == nearly(both[other] * len(GRAPHS) / (each[other] * len(having)), 2)
    ranks = [(-row["prompts"], -row["lift"], row["layer"], row["feature"]) for row in found.rows()]
    assert ranks == sorted(ranks)
    assert list(cooccurring(store, *SITE, top=3).rows()) == list(found.rows())[:3]
    assert len(cooccurring(store, 2, 999)) == 0


def test_features_are_counted_the_same_with_an_index(store: Store, tmp_path: Path) -> None:
    found, plain = feature_counts(store), feature_counts(make_store(str(tmp_path / "plain"), GRAPHS))
    assert found.columns == plain.columns
    assert len(found) == len(plain) > 10
    rows = {(row["layer"], row["feature"]): row for row in found.rows()}
    for row in plain.rows():
        of_index = rows[row["layer"], row["feature"]]
        assert of_index.keys() == row.keys()
        for name, value in row.items():
            assert of_index[name] == nearly(value, row["nodes"]), name


def test_few_prompts_of_a_part_are_read_by_themselves(tmp_path: Path) -> None:
    rare = GRAPHS[1]
    others = [random_graph(f"q{i}", seed=50 + i, num_layers=1) for i in range(6)]
    store = make_store(str(tmp_path), [*others, rare])
    assert set(edges_into(store, *SITE)["prompt"]) == {"p1"}
    assert len(edges_into(store, *SITE)) == sum(row[0] == "p1" for row in edges_slowly(True))


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
