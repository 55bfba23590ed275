"""Public objects in a terminal and in a notebook: short, and nothing in a prompt steers either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.graph.graph import Graph
from distributed_tracer.intervene.supernode import Supernode
from distributed_tracer.store.reader import Store

EVIL = "<script>alert(1)</script>\x1b[2J\u202e" + "x" * 10_000


def evil_graph() -> Graph:
    return random_graph(f"a{EVIL}", text=EVIL, num_active=3_000, num_layers=9, metadata={EVIL: EVIL})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(str(tmp_path), [evil_graph(), random_graph("b")])


def shown(store: Store) -> list[Any]:
    graph = store.graph("b")
    supernode = Supernode(EVIL, [(1, 2, i) for i in range(500)])
    return [evil_graph(), graph.nodes, graph.active, store, store.nodes(), supernode]


def test_a_repr_is_a_short_line_that_cannot_steer_the_terminal(store: Store) -> None:
    for thing in shown(store):
        assert len(repr(thing)) < 600, type(thing)
        assert repr(thing).isprintable(), type(thing)


def test_a_graph_says_what_it_is() -> None:
    graph = random_graph("p1", text="the capital", num_positions=5, num_active=40)
    assert repr(graph).startswith(f"<Graph 'p1': 'the capital', 5 tokens, 3 layers, {len(graph.nodes)} nodes (40 feat")
    assert f" {graph.num_edges} edges; targets ' Aus\\ntin" in repr(graph)
    assert "given as tokens" in repr(random_graph("p", text=None, num_targets=0))


def test_notebooks_get_small_tables_in_which_nothing_is_html(store: Store) -> None:
    for thing in (evil_graph(), store, store.prompts):
        html = thing._repr_html_()
        assert len(html) < 20_000, type(thing)
        assert "<script" not in html, type(thing)
        assert "&lt;script&gt;" in html, type(thing)
        assert html.isprintable(), type(thing)
