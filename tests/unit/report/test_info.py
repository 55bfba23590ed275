from __future__ import annotations

import json
from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import make_store, write_part

from distributed_tracer.cli.main import main
from distributed_tracer.documents.json_text import to_json_types
from distributed_tracer.report.info import info_of, info_text
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact

GRAPHS = [random_graph(f"p{i}", seed=i) for i in range(4)]


def test_info_adds_up_to_what_is_on_disk(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), GRAPHS[:2], GRAPHS[2:])
    info = info_of(str(tmp_path))
    on_disk = {path: path.stat().st_size for path in (tmp_path / "parts").rglob("*") if path.is_file()}
    assert info["bytes"] == sum(on_disk.values()) == sum(info["groups"].values()) == sum(info["arrays"].values())
    assert info["objects"] == len(on_disk)
    weights = sum(size for path, size in on_disk.items() if "edges/weight/c" in str(path))
    assert info["groups"]["edges/weight"] == info["arrays"]["edges/weight"] == weights
    assert info["groups"]["metadata"] == sum(size for path, size in on_disk.items() if path.name == "zarr.json")
    assert set(info["groups"]) >= {"edges/weight", "edges/source", "nodes", "active", "texts", "prompts", "metadata"}
    assert info["edges"] == sum(graph.num_edges for graph in GRAPHS)
    assert info["active"] == sum(len(graph.active) for graph in GRAPHS)
    assert info["bytes_per_edge"] == info["bytes"] / info["edges"]
    assert info["bytes_per_graph"] == info["bytes"] / 4
    assert info["commit_bytes"] == sum(path.stat().st_size for path in (tmp_path / "commits").iterdir())
    assert info["info"] == store.info


def test_info_counts_what_is_there_and_not_read(store_url: str) -> None:
    make_store(store_url, GRAPHS[:2], GRAPHS[1:3])
    lost = write_part(store_url, GRAPHS[3:])
    info = info_of(store_url)
    assert (info["prompts"], info["hidden"]) == (3, 1)
    assert info["orphans"] == {lost.part: lost.num_bytes}
    assert f"orphans  1 parts of {lost.num_bytes:,} bytes" in info_text(info)
    assert "hidden   1 graphs" in info_text(info)


def test_info_of_a_compacted_store(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), GRAPHS[:2], GRAPHS[2:])
    compact(str(tmp_path))
    info = info_of(str(tmp_path))
    assert info["superseded"] == {manifest.part: manifest.num_bytes for manifest in store.manifests}
    assert (info["parts"], info["prompts"], info["hidden"], info["orphans"]) == (1, 4, 0, {})
    group = sum(path.stat().st_size for path in (tmp_path / "index").glob("*/**/*") if path.is_file())
    assert (info["index"], info["index_bytes"]) == (1, group)
    main(["gc", str(tmp_path), "--grace-hours", "0"])
    assert info_of(str(tmp_path))["superseded"] == {}


def test_info_of_an_empty_store_has_no_quotients(tmp_path: Path) -> None:
    make_store(str(tmp_path))
    info = info_of(str(tmp_path))
    assert (info["bytes"], info["bytes_per_edge"], info["bytes_per_graph"]) == (0, None, None)
    assert "prompts  0" in info_text(info)


def test_the_command_prints_text_that_cannot_steer_the_terminal_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledger(str(tmp_path)).create_or_check({"identity": {"model": "\x1b[31m", "trace": {"round_size": 4}}})
    Ledger(str(tmp_path)).commit(write_part(str(tmp_path), GRAPHS))
    assert main(["info", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "trace.round_size 4" in text
    assert "bytes per edge" in text
    assert main(["info", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == to_json_types(info_of(str(tmp_path)))
