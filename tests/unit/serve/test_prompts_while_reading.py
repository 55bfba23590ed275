"""The first rows of a large store are there while the rest of its table is being read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.serve.api.prompts import ENDPOINTS
from distributed_tracer.serve.prompts import snapshot as snapshots
from distributed_tracer.serve.prompts.loader import PromptLoader, prompts_of
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings

SECONDS = 60.0
ROWS = next(endpoint for endpoint in ENDPOINTS if endpoint.path == "/prompts")


def rows(served: ServedStore, **query: str) -> Any:
    reply: Any = ROWS.handler(served, ROWS.arguments({name: [text] for name, text in query.items()}))
    return reply.value


@contextmanager
def reading_stops_after(num_parts: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let the loader read some parts, set the event that is yielded, and go on when the block ends."""
    are_read, may_go_on, read_part = threading.Event(), threading.Event(), PromptLoader._block

    def waiting(self: PromptLoader, store: Any, commit: int) -> Any:
        if commit >= num_parts:
            are_read.set()
            may_go_on.wait(SECONDS)
        return read_part(self, store, commit)

    monkeypatch.setattr(PromptLoader, "_block", waiting)
    try:
        yield are_read
    finally:
        may_go_on.set()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedStore:
    """A store of five parts of two prompts, in which the ids of all parts are mixed; two parts are read first."""
    monkeypatch.setattr(snapshots, "_FIRST_ROWS", 3)
    graphs = [
        random_graph(f"p{(3 * number) % 10}", seed=number, num_active=5, text=f"T{number}") for number in range(10)
    ]
    make_store(str(tmp_path / "store"), *(graphs[first : first + 2] for first in range(0, 10, 2)))
    return ServedStore(ServeSettings(str(tmp_path / "store")))


def test_rows_are_of_the_parts_that_are_read_first_until_all_are_read(
    served: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reading_stops_after(2, monkeypatch) as are_read:
        prompts_of(served).now()
        assert are_read.wait(SECONDS)
        found = rows(served, limit="3")
        assert [row["id"] for row in found["rows"]] == ["p0", "p3", "p6"]  # of p0, p3, p6 and p9, in order
        assert [row["text"] for row in found["rows"]] == ["T0", "T1", "T2"]
        assert (found["num_read"], found["first_of"], found["total"], found["matching"]) == (4, 4, 10, 10)
        beyond = rows(served, limit="3", offset="3")
        assert [row["id"] for row in beyond["rows"]] == ["p3", "p4", "p5"]
        assert beyond["first_of"] is None
        waiting = rows(served, where="no_such_key=1")
        assert (waiting["waiting_for"], waiting["first_of"], waiting["num_read"]) == (["metadata"], None, 4)
        largest = rows(served, limit="2", sort="num_nodes", descending="true")
        assert largest["first_of"] is None
    assert prompts_of(served).read_all(SECONDS).is_complete
    found = rows(served, limit="3")
    assert [row["id"] for row in found["rows"]] == ["p0", "p1", "p2"]
    assert (found["num_read"], found["first_of"]) == (10, None)


def test_rows_that_meet_conditions_are_of_all_parts_where_the_first_ones_have_too_few(
    served: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reading_stops_after(2, monkeypatch) as are_read:
        prompts_of(served).now()
        assert are_read.wait(SECONDS)
        found = rows(served, limit="2", where="id=p7")
        assert [row["id"] for row in found["rows"]] == ["p7"]
        assert found["first_of"] is None
        assert [row["id"] for row in rows(served, limit="1", where="id>=p4")["rows"]] == ["p6"]
    prompts_of(served).read_all(SECONDS)
    assert [row["id"] for row in rows(served, limit="1", where="id>=p4")["rows"]] == ["p4"]
