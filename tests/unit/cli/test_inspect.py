"""The command `show --brief`: its budget, its formats and its flags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from random_graphs import finite, random_graph, with_edges_upwards
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.report.brief import brief_json, brief_summary, brief_text, estimated_tokens
from distributed_tracer.store.reader import Store


def graph() -> Graph:
    return with_edges_upwards(finite(random_graph("a", num_active=200, num_positions=9)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(str(tmp_path / "store"), [graph()])


def printed(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    assert main(["show", *args]) == code
    out, error = capsys.readouterr()
    return error if code else out


def test_a_brief_is_printed_within_its_budget(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    of_store, context = store["a"], store.context("a")
    asked = (store.url, "--prompt", "a", "--brief")
    assert printed(capsys, *asked) == f"{brief_text(of_store, context)}\n"
    for budget in (1500, 2345, 6000):
        text = printed(capsys, *asked, "--characters", str(budget))
        assert budget - 300 < len(text) <= budget
        line = printed(capsys, *asked, "--characters", str(budget), "--json")
        assert budget - 400 < len(line) <= budget
        assert json.loads(line) == brief_summary(of_store, context, budget)
    text = printed(capsys, *asked, "--tokens", "1234")
    assert 1000 < estimated_tokens(text) <= 1234


def test_a_brief_is_of_the_nodes_that_are_named(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    of_store, context = store["a"], store.context("a")
    chosen = of_store.nodes.where(NodeKind.FEATURE)[3:6].tolist()
    nodes = of_store.nodes
    names = [f"{nodes.layer_N[node]}:{nodes.feature_N[node]}@{nodes.position_N[node]}" for node in chosen]
    line = printed(capsys, store.url, "--prompt", "a", "--brief", "--json", "--nodes", *names)
    assert line == brief_json(brief_summary(of_store, context, nodes=chosen)) + "\n"
    assert sorted(row["name"] for row in json.loads(line)["features"]) == sorted(names)


def test_flags_that_do_not_go_together_are_refused(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (store.url, "--prompt", "a")
    for flag in (("--characters", "4000"), ("--tokens", "4000"), ("--nodes", "2:46@10")):
        assert "--characters, --tokens and --nodes go with --brief" in printed(capsys, *asked, *flag, code=1)
    both = printed(capsys, *asked, "--brief", "--tokens", "4000", "--characters", "4000", code=1)
    assert "--characters and --tokens exclude each other" in both
    assert "a brief takes 1,500 characters" in printed(capsys, *asked, "--brief", "--characters", "10", code=1)
    for wrong in ("2:46", "2:46@", "a:1@2", "2:46@10@1", "-1:2@3"):
        found = printed(capsys, *asked, "--brief", f"--nodes={wrong}", code=1)
        assert f"--nodes takes LAYER:INDEX@POSITION, as in 12:3045@7, not '{wrong}'" in found
    assert "not 1 of the 1 given" in printed(capsys, *asked, "--brief", "--nodes", "0:999999@0", code=1)
