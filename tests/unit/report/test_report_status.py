"""What a store holds, told from the store alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.errors import StoreNotFound
from distributed_tracer.report.plain import plain
from distributed_tracer.report.status import status_of, status_text
from distributed_tracer.store.ledger import Ledger


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = str(tmp_path / "store")
    make_store(url, [random_graph("a"), random_graph("b", seed=1)], [random_graph("c", seed=2)])
    write_part(url, [random_graph("lost", seed=3)])
    ledger = Ledger(url)
    ledger.record_failure("bad", "trace", "no \x1b[31m such token", 1)
    ledger.record_failure("c", "worker", "died", 3)
    return url


def test_status_counts_what_is_committed_failed_and_orphaned(store: str) -> None:
    status = status_of(store)
    assert (status["done"], status["parts"], len(status["orphans"])) == (3, 2, 1)
    assert [(one["prompt_id"], one["phase"], one["attempts"]) for one in status["failed"]] == [("bad", "trace", 1)]
    graphs = [random_graph(), random_graph(seed=1), random_graph(seed=2)]
    assert status["edges"] == sum(graph.num_edges for graph in graphs)
    assert status["nodes"] == sum(len(graph.nodes) for graph in graphs)
    assert status["info"]["identity"] == RUN_INFO["identity"]


def test_status_for_people_says_the_same_and_cannot_steer_the_terminal(store: str) -> None:
    text = status_text(status_of(store))
    assert "done     3 prompts" in text
    assert r"'bad' in trace, tried 1x: no \x1b[31m such token" in text
    assert "orphans  1 parts" in text
    assert "\x1b" not in text


def test_status_for_machines_is_json(store: str) -> None:
    status = status_of(store)
    assert json.loads(json.dumps(plain(status), allow_nan=False)) == status


def test_many_failures_are_cut_short_for_people_only(store: str) -> None:
    for number in range(30):
        Ledger(store).record_failure(f"f{number:02}", "read", "malformed", 1)
    status = status_of(store)
    assert len(status["failed"]) == 31
    assert "... and 11 more" in status_text(status)


def test_where_there_is_no_store_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="no store at"):
        status_of(str(tmp_path / "nothing"))
