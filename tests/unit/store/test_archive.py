"""What was written once is read for ever: see tests/archive/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_stores import make_store

from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import Store, open_store

ARCHIVE = Path(__file__).parents[2] / "archive"
DIGESTS = {"v1": "f3de28e78f0fe5d8683b6335895beba0aa185d4c2491dfc3487d037b1e4313d0"}


@pytest.fixture
def v1() -> Store:
    return open_store(str(ARCHIVE / "v1"))


def test_every_kept_store_has_its_digest_here() -> None:
    assert {path.name for path in ARCHIVE.iterdir() if path.is_dir()} == DIGESTS.keys()


@pytest.mark.parametrize("version", DIGESTS)
def test_every_byte_agrees_with_its_commit_and_every_graph_with_the_digest(version: str) -> None:
    store = open_store(str(ARCHIVE / version))
    assert store.verify() > 0
    assert store.digest() == DIGESTS[version]


def test_the_prompts_of_version_1(v1: Store) -> None:
    table = v1.prompts
    assert list(table["id"]) == list(v1) == ["dallas", "p3", "p5", "tokens", "текст/../é"]
    assert list(table["text"][[0, 3]]) == ["Fact: the capital of the state of Dallas is", None]
    assert list(table["hops"]) == [2, None, None, 1.5, None]
    assert table["note"][4] == [1, {"a": None}]
    assert list(table["targets"][4]) == ["e", "a - e"]
    assert list(table["num_edges"]) == [847, 268, 53, 191, 200]
    assert list(table["num_active"]) == [453, 118, 59, 65, 179]
    assert table["replacement"][0] == 0.48094461930626214
    assert len(set(table["part"])) == 3


def test_a_graph_of_version_1(v1: Store) -> None:
    graph = v1.graph("dallas")
    edge = int(np.argmax(np.abs(graph.weight_E)))
    target, source = graph.target_E()[edge], graph.source_E[edge]
    assert (edge, source, target, float(graph.weight_E[edge])) == (538, 29, 52, 6.519888877868652)
    assert graph.nodes.kind_N[target] == 3
    assert v1.graph("p5").targets[1].label == "x"
    assert v1.graph("p5").targets[1].weight == 0.5
    assert v1.graph("tokens").tokens_P.tolist() == [1, 5, 9, 7]
    assert float(graph.influence_N[0]) == 0.004688911139965057


def test_a_feature_of_version_1(v1: Store) -> None:
    nodes = v1.graph("dallas").nodes
    found = v1.occurrences(int(nodes.layer_N[0]), int(nodes.feature_N[0]))
    assert list(zip(found["prompt"], found["position"], strict=True)) == [("dallas", 6), ("p5", 4)]


def test_the_failure_of_version_1() -> None:
    (failure,) = Ledger(str(ARCHIVE / "v1")).failures().values()
    assert (failure.prompt_id, failure.phase, failure.attempts) == ("too-long", "tokenize", 1)
    assert failure.reason == "prompt 'too-long' has 5000 tokens; the model takes at most 128"


def test_graphs_of_version_1_written_today_are_the_same(v1: Store, tmp_path: Path) -> None:
    graphs = list(v1.graphs())
    assert make_store(str(tmp_path), graphs[:2], graphs[2:]).digest() == DIGESTS["v1"]
