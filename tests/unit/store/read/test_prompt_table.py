from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_graphs import AWKWARD, random_graph
from random_stores import make_store
from rounding import nearly

from distributed_tracer.config import StoreConfig
from distributed_tracer.errors import StoreCorrupt
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store
from distributed_tracer.store.writer import PartWriter


def test_one_row_per_prompt_by_id_whatever_the_part(store_url: str) -> None:
    graphs = [
        random_graph("b", seed=1, metadata={"topic": "capitals", "hops": 2}),
        random_graph("a", seed=2, metadata={"topic": "opposites"}, text=None),
        random_graph("c", seed=3, num_layers=4),
    ]
    table = make_store(store_url, graphs[:1], graphs[1:]).prompts
    assert list(table["id"]) == ["a", "b", "c"]
    assert list(table["text"]) == [None, "some text", "some text"]
    assert list(table["topic"]) == ["opposites", "capitals", None]
    assert list(table["hops"]) == [None, 2, None]
    assert list(table["num_edges"]) == [graphs[1].num_edges, graphs[0].num_edges, graphs[2].num_edges]
    assert list(table["num_layers"]) == [3, 3, 4]
    assert list(table["targets"][0]) == [target.label for target in graphs[1].targets]
    assert list(table["replacement"]) == [graphs[i].scores.replacement for i in (1, 0, 2)]
    assert table["error_share_L"][2] == graphs[2].scores.error_share_L
    assert table["error_share"][2] == nearly(sum(graphs[2].scores.error_share_L), 4)
    assert len(set(table["part"])) == 2
    assert list(table.where(table["topic"] == "capitals")["id"]) == ["b"]


def test_metadata_named_like_a_column_do_not_hide_it(tmp_path: Path) -> None:
    table = make_store(str(tmp_path), AWKWARD.values()).prompts
    row = next(row for row in table.rows() if row["id"] == AWKWARD["unicode"].prompt_id)
    assert row["text"] == AWKWARD["unicode"].text
    assert row["metadata.text"] == 1
    assert row["n"] == [1, {"a": None}]


def test_an_empty_store_has_an_empty_table(tmp_path: Path) -> None:
    table = make_store(str(tmp_path)).prompts
    assert len(table) == 0
    assert "id" in table
    assert table["replacement"].dtype == np.float64


def test_every_row_says_what_the_graph_says(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), list(AWKWARD.values())[:4], list(AWKWARD.values())[3:])
    table = store.prompts
    for row in table.rows():
        graph = store.graph(row["id"])
        assert row["text"] == graph.text
        assert row["targets"] == [target.label for target in graph.targets]
        assert (row["num_layers"], row["num_edges"]) == (graph.num_layers, graph.num_edges)
        scores = vars(graph.scores)
        assert {name: row[name] for name in scores} == scores
        assert {key: row[f"metadata.{key}" if key == "text" else key] for key in graph.metadata} == graph.metadata


@pytest.mark.parametrize("document", [b"[1]", b"{},{}", b"{", b"{} 1"])
def test_metadata_that_are_no_object_are_corrupt_and_named(tmp_path: Path, document: bytes) -> None:
    make_store(str(tmp_path))
    writer = PartWriter(str(tmp_path), StoreConfig(str(tmp_path)))
    for name in "abc":
        writer.add(random_graph(name))
    writer._columns[1]["prompts/metadata"] = np.frombuffer(document, dtype=np.uint8)
    manifest = writer.flush()
    assert manifest is not None
    Ledger(str(tmp_path)).commit(manifest)
    with pytest.raises(StoreCorrupt, match="metadata of 'b' are not a JSON object"):
        _ = open_store(str(tmp_path)).prompts
