"""Token strings and active features as columns, against what the graphs themselves say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import AWKWARD, random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, StoreCorrupt
from distributed_tracer.graph.columns import ACTIVE_COLUMNS, EDGE_COLUMNS, NODE_COLUMNS
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.read import part_range
from distributed_tracer.store.reader import Store
from distributed_tracer.table import Table

GRAPHS = [graph for name, graph in AWKWARD.items() if name != "wide"]
GRAPHS += [random_graph(f"p{i}", seed=40 + i, num_active=60, num_selected=9) for i in range(4)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    superseded = random_graph("p1", seed=99)
    return make_store(str(tmp_path), GRAPHS[:5], GRAPHS[5:], [superseded])


def active_rows(graph: Graph) -> list[tuple[Any, ...]]:
    active, nodes = graph.active, graph.nodes
    sites = zip(active.layer_A.tolist(), active.position_A.tolist(), active.feature_A.tolist(), strict=True)
    own = {
        site
        for kind, *site_ in zip(nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N, strict=True)
        for site in [tuple(map(int, site_))]
        if kind == 0
    }
    return [
        (graph.prompt_id, *site, activation, site in own, graph.token_strings[site[1]])
        for site, activation in zip(sites, active.activation_A.tolist(), strict=True)
    ]


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.rows()]


def sorted_rows(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(map(ascii, rows))


@pytest.mark.parametrize("most", [1, 100, 1 << 20])
def test_nodes_and_edges_have_the_strings_of_their_tokens(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(part_range, "ROWS", most)
    found = store.nodes(columns=["prompt", "node", "token"]).table()
    expected = [
        (graph.prompt_id, node, own["token"]) for graph in GRAPHS for node, own in enumerate(graph.node_attributes())
    ]
    assert sorted_rows(rows_of(found)) == sorted_rows(expected)
    edges = store.edges(columns=["prompt", "source", "target_token", "source_token"]).table()
    assert len(edges) > 100
    named = {(prompt, node): token for prompt, node, token in expected}
    for row in edges.rows():
        assert row["source_token"] == named[row["prompt"], row["source"]]
    targets = store.edges(columns=["prompt", "target", "target_token"], where={"source_token": " the"}).table()
    assert 0 < len(targets) < len(edges)
    assert all(row["target_token"] == named[row["prompt"], row["target"]] for row in targets.rows())


def test_nodes_are_found_by_their_token(store: Store) -> None:
    found = store.nodes(["p2", "p0"], ["prompt", "position"], {"token": ["é", "北京"], "kind": "token"}).table()
    own = [
        (graph.prompt_id, position)
        for graph in GRAPHS
        for position, token in enumerate(graph.token_strings)
        if graph.prompt_id in ("p0", "p2") and token in ("é", "北京")
    ]
    assert len(own) > 1
    assert sorted(rows_of(found)) == sorted(own)


def test_strings_are_not_read_unless_they_are_asked_for(store: Store) -> None:
    for chunk in (Path(store.url) / "parts").glob("*/tokens/*/c/*"):
        chunk.unlink()
    assert store.nodes().table().columns == list(NODE_COLUMNS)
    assert store.edges().table().columns == list(EDGE_COLUMNS)
    assert store.active().table().columns == list(ACTIVE_COLUMNS)
    assert len(store.prompts) == len(GRAPHS)
    for asked in (store.nodes(columns="token"), store.edges(columns="source_token"), store.active(columns="token")):
        with pytest.raises(StoreCorrupt, match="tokens/string"):
            asked.table()


@pytest.mark.parametrize("most", [1, 100, 1 << 20])
def test_every_active_feature_is_there_once_however_small_the_batches(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(part_range, "ROWS", most)
    expected = [row for graph in GRAPHS for row in active_rows(graph)]
    assert len({row[5] for row in expected}) == 2, "some are nodes and some are not"
    found = store.active(columns=[*ACTIVE_COLUMNS, "token"])
    assert sorted_rows(rows_of(found.table())) == sorted_rows(expected)
    assert len(list(found)) > (1 if most == 1 << 20 else 3)
    few = store.active(["p3", "p0"]).table()
    assert {name: few[name].dtype.str[1:] for name in few.columns} == {
        name: {"": "O", "?": "b1"}.get(kind, kind) for name, kind in ACTIVE_COLUMNS.items()
    }
    assert sorted_rows(rows_of(few)) == sorted_rows([row[:6] for row in expected if row[0] in ("p0", "p3")])


CONDITIONS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
    "no node": ({"is_node": False}, lambda row: not row["is_node"]),
    "site": ({"layer": [0, 2], "position": 1}, lambda row: row["layer"] in (0, 2) and row["position"] == 1),
    "strong": (
        {"activation": lambda a: a > 1.0, "is_node": True},
        lambda row: row["activation"] > 1 and row["is_node"],
    ),
    "token": (
        {"token": "é", "prompt": {"p0", "p1", "p2"}},
        lambda r: r["token"] == "é" and r["prompt"] in ("p0", "p1", "p2"),
    ),
    "nothing": ({"position": 77}, lambda row: False),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_conditions_leave_the_active_features_that_meet_all(store: Store, case: str) -> None:
    where, meets = CONDITIONS[case]
    columns = [*ACTIVE_COLUMNS, "token"]
    everything = list(store.active(columns=columns).table().rows())
    rows = [row for row in everything if meets(row)]
    assert case == "nothing" or 0 < len(rows) < len(everything)
    assert ascii(list(store.active(columns=columns, where=where).table().rows())) == ascii(rows)


def test_wrong_questions_about_active_features_are_answered_with_what_there_is(store: Store) -> None:
    with pytest.raises(
        ConfigError, match="no column of active features 'influence'; there are prompt, layer, position"
    ):
        store.active(columns="influence")
    with pytest.raises(ConfigError, match="'is_node' holds booleans, not numbers such as 1"):
        store.active(where={"is_node": 1})
    with pytest.raises(ConfigError, match=r"'layer' is from 0 to 2 for active features in .*, not \[3\]"):
        store.active(where={"layer": 3}).table()


def test_a_store_without_active_features_says_so_and_names_the_prompts(tmp_path: Path) -> None:
    kept, bare = random_graph("kept", seed=1), random_graph("bare", seed=2, num_selected=4)
    without = [bare, random_graph("silent", seed=3, num_active=0)]
    one = make_store(str(tmp_path / "one"), without, store_active=False)
    with pytest.raises(ConfigError, match=r"1 prompt of 2 in .* stored without active features .*: 'bare'\. Leave out"):
        one.active().table()
    assert len(one.active("silent").table()) == 0
    mixed = make_store(str(tmp_path / "one"), [kept])
    with pytest.raises(ConfigError, match="1 prompt of 3 "):
        next(iter(mixed.active()))
    assert rows_of(mixed.active("kept").table()) == [row[:6] for row in active_rows(kept)]


def test_prompts_have_their_tokens_where_these_are_asked_for(store: Store) -> None:
    table = store.prompt_table(columns=["id", "token_strings", "tokens", "num_tokens"])
    assert table.columns == ["id", "token_strings", "tokens", "num_tokens"]
    graphs = {graph.prompt_id: graph for graph in GRAPHS}
    assert list(table["id"]) == sorted(graphs)
    for row in table.rows():
        assert row["token_strings"] == list(graphs[row["id"]].token_strings)
        assert row["tokens"] == graphs[row["id"]].tokens_P.tolist()
    few = store.prompt_table(["p3", "all"])
    assert list(few["id"]) == ["all", "p3"]
    assert few.columns == [*store.prompts.columns[: store.prompts.columns.index("part") + 1]]
    assert store.prompt_table([], "token_strings").columns == ["token_strings"]
    with pytest.raises(ConfigError, match=r"no column of prompts 'token_string'; .* Did you mean 'token_strings'"):
        store.prompt_table(columns=["token_string"])


def test_metadata_named_like_tokens_do_not_hide_them(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), [random_graph(metadata={"token_strings": "mine"})])
    assert store.prompts["metadata.token_strings"].tolist() == ["mine"]
    assert store.prompt_table(columns=["token_strings"])["token_strings"][0] == list(store["p"].token_strings)


def test_a_store_is_asked_for_a_graph_by_its_id(store: Store) -> None:
    assert np.array_equal(store["p2"].weight_E, store.graph("p2").weight_E, equal_nan=True)
    with pytest.raises(LookupError, match=r"no prompt 'P2' among .* Did you mean 'p2'"):
        store["P2"]
