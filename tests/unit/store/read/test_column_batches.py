"""Columns of nodes and edges against what the graphs themselves say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import AWKWARD, random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.graph.columns import EDGE_COLUMNS, KINDS, NODE_COLUMNS
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.read import part_range
from distributed_tracer.store.reader import Store

GRAPHS = [graph for name, graph in AWKWARD.items() if name != "wide"]
GRAPHS += [random_graph(f"p{i}", seed=20 + i, num_active=60) for i in range(4)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    superseded = random_graph("p1", seed=99)
    return make_store(str(tmp_path), GRAPHS[:5], GRAPHS[5:], [superseded])


def node_rows(graph: Graph) -> list[tuple[Any, ...]]:
    nodes = graph.nodes
    columns = (nodes.layer_N, nodes.position_N, nodes.feature_N, graph.influence_N)
    kinds = [KINDS[kind] for kind in nodes.kind_N]
    return [
        (graph.prompt_id, n, kind, *values)
        for n, kind, values in zip(
            range(len(nodes)), kinds, zip(*(c.tolist() for c in columns), strict=True), strict=True
        )
    ]


NODES = ["prompt", "node", "kind", "layer", "position", "feature", "influence"]


def edge_rows(graph: Graph) -> list[tuple[Any, ...]]:
    nodes = [row[1:6] for row in node_rows(graph)]
    ends = zip(graph.source_E.tolist(), graph.target_E().tolist(), graph.weight_E.tolist(), strict=True)
    return [(graph.prompt_id, *nodes[source], *nodes[target], weight) for source, target, weight in ends]


def rows_of(table: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.rows()]


def expected(rows: Callable[[Graph], list[tuple[Any, ...]]], ids: set[str] | None = None) -> list[str]:
    return sorted(repr(row) for graph in GRAPHS if ids is None or graph.prompt_id in ids for row in rows(graph))


@pytest.mark.parametrize("most", [1, 100, 1 << 20])
def test_every_node_and_edge_is_there_once_however_small_the_batches(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(part_range, "ROWS", most)
    assert sorted(map(repr, rows_of(store.nodes(columns=NODES).table()))) == expected(node_rows)
    edges = store.edges()
    assert edges.columns == list(EDGE_COLUMNS)
    assert sorted(map(repr, rows_of(edges.table()))) == expected(edge_rows)
    largest = max(graph.num_edges for graph in GRAPHS)
    assert max(len(table) for table in edges) <= max(most, largest)
    assert len(list(edges)) > (1 if most == 1 << 20 else 3)


def test_all_columns_of_nodes_have_the_dtypes_of_the_format(store: Store) -> None:
    table = store.nodes().table()
    assert table.columns == list(NODE_COLUMNS)
    kinds = {name: table[name].dtype.str[1:] for name in table.columns}
    assert kinds == {name: kind or "O" for name, kind in NODE_COLUMNS.items()}
    graph = next(graph for graph in GRAPHS if graph.prompt_id == "p2")
    own = table.where(table["prompt"] == "p2")
    assert own["row_abs_sum_all"].tobytes() == graph.row_abs_sum_all_N.tobytes()
    assert own["activation"].tobytes() == graph.nodes.activation_N.tobytes()


def test_chosen_prompts_only_also_where_others_lie_between(store: Store) -> None:
    ids = {GRAPHS[0].prompt_id, GRAPHS[2].prompt_id, "p3"}
    assert sorted(map(repr, rows_of(store.nodes(ids, NODES).table()))) == expected(node_rows, ids)
    assert sorted(map(repr, rows_of(store.edges(iter(ids)).table()))) == expected(edge_rows, ids)
    with pytest.raises(PromptNotFound, match="'nope'"):
        list(store.edges(["nope"]))


CONDITIONS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
    "value": ({"source_kind": "feature"}, lambda row: row["source_kind"] == "feature"),
    "several": ({"target_layer": [1, 3]}, lambda row: row["target_layer"] in (1, 3)),
    "function": ({"weight": lambda weight: weight > 0.5}, lambda row: row["weight"] > 0.5),
    "all": (
        {"target_kind": "target", "source_kind": ("token", "error"), "weight": lambda w: w < 0, "source_position": 2},
        lambda row: (
            row["target_kind"] == "target"
            and row["source_kind"] in ("token", "error")
            and row["weight"] < 0
            and row["source_position"] == 2
        ),
    ),
    "prompt": (
        {"prompt": {"p2", "p0"}, "target": range(20)},
        lambda r: r["prompt"] in ("p0", "p2") and r["target"] < 20,
    ),
    "nothing": ({"source_position": 77}, lambda row: False),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_conditions_leave_the_rows_that_meet_all(store: Store, case: str) -> None:
    where, meets = CONDITIONS[case]
    rows = [row for row in store.edges().table().rows() if meets(row)]
    assert case == "nothing" or 0 < len(rows) < len(store.edges().table())
    found = store.edges(where=where).table()
    assert repr(list(found.rows())) == repr(rows)
    few = store.edges(columns=["weight", "prompt"], where=where).table()
    assert few.columns == ["weight", "prompt"]
    assert few["weight"].tobytes() == np.array([row["weight"] for row in rows], dtype=np.float32).tobytes()


def test_conditions_on_nodes_read_their_columns_only(store: Store) -> None:
    for chunk in (Path(store.url) / "parts").glob("*/nodes/influence/c/*"):
        chunk.unlink()
    strong = store.nodes(columns=["prompt", "feature"], where={"kind": "feature", "activation": lambda a: a > 1.0})
    rows = [
        (graph.prompt_id, feature)
        for graph in GRAPHS
        for feature, activation in zip(graph.nodes.feature_N, graph.nodes.activation_N, strict=True)
        if activation > 1.0
    ]
    assert sorted(rows_of(strong.table())) == sorted(rows)


def test_edges_are_not_read_where_no_node_meets_the_conditions(store: Store) -> None:
    for chunk in (Path(store.url) / "parts").glob("*/edges/*/c/*"):
        chunk.unlink()
    assert len(store.edges(where={"target_position": 77}).table()) == 0
    with pytest.raises(ConfigError, match=r"'target_layer' is from -1 \(tokens\) to 3 .* not \[77, 9\]"):
        store.edges(where={"target_layer": [77, 9]}).table()
    with pytest.raises(ConfigError, match=r"'layer' is from -1"):
        list(store.nodes(where={"layer": -2}))
    assert len(store.nodes(where={"layer": [77, 1]}).table()) > 0


def test_unknown_columns_are_answered_with_the_known_ones(store: Store) -> None:
    with pytest.raises(ConfigError, match="no column of nodes 'weight'; there are prompt, node, kind"):
        store.nodes(columns=["weight"])
    with pytest.raises(ConfigError, match="no column of edges 'layer'; there are prompt, source, "):
        store.edges(where={"layer": 3})
    with pytest.raises(ConfigError, match=r"a condition gave float32 \(\d+,\) for \d+ values: it must give a mask"):
        list(store.nodes(where={"influence": lambda influence: influence + 1}))


def test_what_no_node_can_be_is_answered_with_what_there_is(store: Store) -> None:
    with pytest.raises(
        ConfigError, match=r"'kind' is feature, error, token, target, not 'features'. Did you mean 'fea"
    ):
        store.nodes(where={"kind": "features"})
    with pytest.raises(ConfigError, match=r"'target_kind' is feature, error, token, target, not 'logit'$"):
        store.edges(where={"target_kind": ["target", "logit"]})
    with pytest.raises(ConfigError, match="'layer' holds numbers, not text such as '2'"):
        store.nodes(where={"layer": ["2"]})
    with pytest.raises(ConfigError, match="'kind' holds text, not numbers such as 0"):
        store.nodes(where={"kind": 0})
    with pytest.raises(PromptNotFound, match=r"no prompt 'P1' among .* Did you mean 'p1'"):
        store.nodes(where={"prompt": ["p0", "P1"]})
    with pytest.raises(ConfigError, match="conditions are a mapping"):
        store.edges(where="weight")  # type: ignore[arg-type]


def test_a_text_is_one_id_or_column_and_not_its_letters(store: Store) -> None:
    assert set(store.nodes("p2").table()["prompt"]) == {"p2"}
    assert store.edges("p2", columns="weight").columns == ["weight"]
    assert [graph.prompt_id for graph in store.graphs("p2")] == ["p2"]
    assert list(store.map(lambda graph: graph.prompt_id, "p2")) == ["p2"]
    with pytest.raises(PromptNotFound, match="no prompt 'some-id' among"):
        store.nodes("some-id")
    with pytest.raises(ConfigError, match="give a column of the table"):
        store.nodes(store.prompts)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="processes must be at least 1, not 0"):
        list(store.map(len, processes=0))  # type: ignore[arg-type]


@pytest.mark.parametrize("library", ["pandas", "polars", "duckdb"])
def test_tables_of_prompts_nodes_and_edges_join(store: Store, library: str) -> None:
    pytest.importorskip(library)
    ids = [f"p{i}" for i in range(4)]
    prompts = store.prompts.where([prompt in ids for prompt in store.prompts["id"]])
    nodes, edges = store.nodes(ids), store.edges(ids)
    num_edges = len(edges.table())
    if library == "duckdb":
        import duckdb

        p, n, e = prompts.to_arrow(), nodes.to_arrow(), edges.to_arrow()
        question = (
            "select count(*) from p join n on p.id = n.prompt join e on n.prompt = e.prompt and n.node = e.source"
        )
        assert duckdb.sql(question).fetchall() == [(num_edges,)]
        assert len(p) + len(n) + len(e)
        return
    p, n, e = (getattr(table, f"to_{library}")() for table in (prompts, nodes, edges))
    sides = {"left_on": ["prompt", "source"], "right_on": ["prompt", "node"]}
    joined = e.merge(n, **sides) if library == "pandas" else e.join(n, **sides)
    assert len(joined) == num_edges
    own = {"left_on": "prompt", "right_on": "id"}
    assert len(joined.merge(p, **own) if library == "pandas" else joined.join(p, **own)) == num_edges


def test_arrow_readers_give_the_same_rows(store: Store) -> None:
    arrow = pytest.importorskip("pyarrow")
    reader = store.edges().reader()
    assert isinstance(reader, arrow.RecordBatchReader)
    assert repr(reader.read_all().to_pylist()) == repr(list(store.edges().table().rows()))
    empty = store.nodes([]).reader().read_all()
    assert (len(empty), empty.column_names) == (0, list(NODE_COLUMNS))
    assert len(store.nodes([]).table()) == 0


def test_duckdb_questions_the_edges_of_a_whole_store(store: Store) -> None:
    duckdb = pytest.importorskip("duckdb")
    edges = store.edges().reader()  # noqa: F841  (the query names it)
    question = "select prompt, source_kind, count(*) from edges where target_kind = 'target' group by all order by all"
    table = store.edges(where={"target_kind": "target"}).table()
    counts: dict[tuple[str, str], int] = {}
    for row in table.rows():
        key = row["prompt"], row["source_kind"]
        counts[key] = counts.get(key, 0) + 1
    assert duckdb.sql(question).fetchall() == [(*key, count) for key, count in sorted(counts.items())]


def test_duckdb_reads_a_table_anew_for_each_question_and_twice_within_one(store: Store) -> None:
    duckdb = pytest.importorskip("duckdb")
    nodes = store.nodes(columns=["prompt", "node", "kind"])
    active, prompts = store.active(), store.prompts
    total = len(nodes.table())
    for _ in range(2):
        assert duckdb.sql("select count(*) from nodes").fetchall() == [(total,)]
        joined = duckdb.sql("select count(*) from nodes a join nodes b using (prompt, node) where a.kind = b.kind")
        assert joined.fetchall() == [(total,)]
    question = "select count(*) from active join prompts on id = prompt where is_node group by num_nodes order by all"
    assert len(duckdb.sql(question).fetchall()) > 3
    assert len(active.table()) + len(prompts) > 0


def test_each_stream_is_a_new_one_and_reads_nothing_before_it_is_read(store: Store) -> None:
    arrow = pytest.importorskip("pyarrow")
    edges = store.edges()
    unread, first, second = (edges.__arrow_c_stream__() for _ in range(3))
    for stream in (second, first):
        assert len(arrow.RecordBatchReader._import_from_c_capsule(stream).read_all()) == len(edges.table())
    assert len(arrow.table(edges)) == len(edges.table())
    assert len(arrow.table(store.prompts)) == len(store)
    for chunk in (Path(store.url) / "parts").glob("*/edges/*/c/*"):
        chunk.unlink()
    edges.__arrow_c_stream__()
    with pytest.raises(arrow.ArrowException, match="edges/"):
        arrow.RecordBatchReader._import_from_c_capsule(unread).read_all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_other_libraries(store: Store, library: str) -> None:
    pytest.importorskip(library)
    nodes = store.nodes(columns=NODES)
    frame = getattr(nodes, f"to_{library}")()
    assert list(frame.columns) == NODES
    assert list(frame["prompt"]) == list(nodes.table()["prompt"])
    assert frame["influence"].to_numpy().tobytes() == nodes.table()["influence"].tobytes()
    prompts = getattr(store.prompts.where(store.prompts["n"] == None), f"to_{library}")()  # noqa: E711
    assert len(prompts) == len(store) - 1
