from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from random_graphs import AWKWARD, assert_same, random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.errors import PromptNotFound, StoreNotFound, StoreVersionError
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

GRAPHS = [random_graph(f"p{i}", seed=i, metadata={"topic": "odd" if i % 2 else "even"}) for i in range(6)]


def test_every_graph_comes_back_bit_for_bit(store_url: str) -> None:
    store = make_store(store_url, AWKWARD.values())
    assert list(store) == sorted(graph.prompt_id for graph in AWKWARD.values())
    for graph in AWKWARD.values():
        assert_same(store.graph(graph.prompt_id), graph)
    for graph in store.graphs():
        assert_same(graph, next(g for g in AWKWARD.values() if g.prompt_id == graph.prompt_id))


@pytest.mark.parametrize("case", AWKWARD)
def test_a_graph_alone_in_its_part_comes_back(case: str, tmp_path: Path) -> None:
    graph = AWKWARD[case]
    assert_same(make_store(str(tmp_path / "s"), [graph]).graph(graph.prompt_id), graph)


def test_without_the_active_list_the_selected_features_stand_for_it(tmp_path: Path) -> None:
    graph = random_graph(num_active=40, num_selected=7)
    store = make_store(str(tmp_path / "s"), [graph], store_active=False)
    active, features = store.graph("p").active, graph.nodes.take(graph.nodes.where(NodeKind.FEATURE))
    assert len(active) == 7
    assert active.feature_A.tobytes() == features.feature_N.tobytes()
    assert active.activation_A.tobytes() == features.activation_N.tobytes()
    assert store.entry("p").num_active == 40
    assert store.verify() > 0


def test_rounded_weights_are_all_that_changes(tmp_path: Path) -> None:
    graph = random_graph(density=0.9)
    there = make_store(str(tmp_path / "s"), [graph], weight_bits=10).graph("p")
    finite = np.isfinite(graph.weight_E) & (np.abs(graph.weight_E) > 1e-30)
    error = np.abs(there.weight_E[finite] / graph.weight_E[finite] - 1)
    assert 0 < error.max() <= 2.0**-11
    assert_same(make_store(str(tmp_path / "t"), [there]).graph("p"), there)
    assert there.influence_N.tobytes() == graph.influence_N.tobytes()


def test_opening_reads_no_part(store_url: str) -> None:
    make_store(store_url, GRAPHS[:2])
    manifest = write_part(store_url, GRAPHS[2:])
    Ledger(store_url).commit(manifest)
    open_backend(store_url).remove_folder(f"parts/{manifest.part}")
    store = open_store(store_url)
    assert len(store) == 6
    assert "p5" in store
    assert store.info["versions"] == RUN_INFO["versions"]
    assert store.entry("p5").num_edges == GRAPHS[5].num_edges
    assert_same(store.graph("p1"), GRAPHS[1])


def test_a_graph_is_read_from_the_chunks_that_hold_it(tmp_path: Path) -> None:
    big = [random_graph(f"p{i}", seed=i, num_active=1500, density=0.09) for i in range(3)]
    store = make_store(str(tmp_path), big)
    assert big[0].num_edges < 2 << 17 < sum(graph.num_edges for graph in big)
    for chunk in (tmp_path / "parts").rglob("edges/*/c/*"):
        if chunk.name not in ("0", "1"):
            chunk.unlink()
    assert_same(store.graph("p0"), big[0])


def test_prompts_of_an_uncommitted_part_do_not_exist(store_url: str) -> None:
    make_store(store_url, GRAPHS[:1])
    write_part(store_url, GRAPHS[1:])
    assert list(open_store(store_url)) == ["p0"]


def test_of_two_commits_of_one_prompt_the_first_counts(store_url: str) -> None:
    other = random_graph("p0", seed=99)
    store = make_store(store_url, GRAPHS[:2], [other, GRAPHS[2]])
    assert_same(store.graph("p0"), GRAPHS[0])
    assert [graph.prompt_id for graph in store.graphs()].count("p0") == 1
    assert store.digest() == make_store(f"{store_url}-clean", GRAPHS[:3]).digest()
    assert len(store.prompts) == len(store) == 3
    features = store.graph("p0").nodes.take(store.graph("p0").nodes.where(NodeKind.FEATURE))
    hits = store.occurrences(int(features.layer_N[0]), int(features.feature_N[0]))
    assert list(hits["prompt"]).count("p0") == np.count_nonzero(
        (features.layer_N == features.layer_N[0]) & (features.feature_N == features.feature_N[0])
    )


def test_occurrences_are_the_nodes_of_that_feature(tmp_path: Path) -> None:
    crowded = [
        random_graph(f"p{i}", seed=i, num_layers=1, num_positions=60, num_active=9000, density=0.0) for i in (2, 0, 1)
    ]
    store = make_store(str(tmp_path), crowded[:2], crowded[2:])
    expected = []
    for graph in sorted(crowded, key=lambda g: g.prompt_id):
        nodes = graph.nodes
        for n in np.flatnonzero((nodes.kind_N == NodeKind.FEATURE) & (nodes.layer_N == 0) & (nodes.feature_N == 77)):
            row = (graph.prompt_id, nodes.position_N[n], nodes.activation_N[n], graph.influence_N[n], n)
            expected.append(row)
    found = store.occurrences(0, 77)
    assert len(expected) > 5
    assert [tuple(row.values()) for row in found.rows()] == expected
    assert len(store.occurrences(0, 5000)) == 0


def test_graphs_of_chosen_prompts_only(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), GRAPHS[:3], GRAPHS[3:])
    assert sorted(graph.prompt_id for graph in store.graphs(["p4", "p1"])) == ["p1", "p4"]
    with pytest.raises(PromptNotFound, match="no prompt 'p9' among the 6"):
        list(store.graphs(["p9"]))


def test_an_unknown_prompt_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptNotFound, match="no prompt 'nope' among the 1"):
        make_store(str(tmp_path), GRAPHS[:1]).graph("nope")


def test_no_store_is_said_with_its_address(store_url: str) -> None:
    with pytest.raises(
        StoreNotFound, match=r"no store at .*run \[1\]: it has no run\.json|no store at .*store \[1\]: it has"
    ):
        open_store(store_url)


def test_a_newer_format_is_refused_with_both_numbers(store_url: str) -> None:
    make_store(store_url, GRAPHS[:1])
    root = open_backend(store_url)
    root.put("run.json", (root.read("run.json") or b"").replace(b'"format_version": 1', b'"format_version": 7'))
    with pytest.raises(StoreVersionError, match=r"version 7.*version 1"):
        open_store(store_url)
    with pytest.raises(StoreVersionError, match=r"version 7.*version 1"):
        Ledger(store_url).create_or_check(RUN_INFO)


def test_threads_may_read_one_store(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), GRAPHS)
    with ThreadPoolExecutor(4) as pool:
        for number, graph in enumerate(pool.map(store.graph, [f"p{i % 6}" for i in range(24)])):
            assert_same(graph, GRAPHS[number % 6])


def test_what_a_store_consists_of_prints_as_one_short_line(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), [random_graph(f"prompt {i}", seed=i) for i in range(40)])
    shown = [store, store.nodes(), store.active(), store.manifest(0), store.catalogue, next(store.scan_nodes(["kind"]))]
    for text in map(repr, shown):
        assert "\n" not in text
        assert len(text) < 250, text
    assert repr(store.manifest(0)).startswith(f"<PartManifest {store.manifest(0).part}: 40 prompts, ")
    assert re.fullmatch(r"<NodeScan: [\d,]+ nodes of 40 prompts, kind>", repr(shown[-1]))
