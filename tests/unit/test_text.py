"""Public objects in a terminal and in a notebook: short, and nothing in a prompt steers either."""

from __future__ import annotations

import base64
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.graph.context import GraphContext, Group, NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.intervene.supernode import Supernode
from distributed_tracer.query.compare import compare_graphs
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
    groups = tuple(Group(EVIL, (NodeKey("feature", 1, 2, 3),)) for _ in range(500))
    labels = Labels.of((1, index, Label(EVIL, EVIL)) for index in range(500))
    context = GraphContext(labels=labels, groups=groups, model=EVIL)
    return [
        *(evil_graph(), graph.nodes, graph.active, graph.to_pandas(), graph.to_arrow(), store, store.nodes()),
        *(supernode, context, labels, compare_graphs(evil_graph(), graph)),
    ]


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
        assert len(html) < 400_000, type(thing)
        assert "<script" not in html, type(thing)
        assert "&lt;script&gt;" in html, type(thing)
        assert html.isprintable(), type(thing)


def test_notebooks_get_the_drawing_of_a_graph_as_an_image_that_can_run_nothing() -> None:
    graph = replace(evil_graph(), token_strings=(EVIL,) * len(evil_graph().tokens_P))
    html = graph._repr_html_()
    found = re.findall(
        r'<img alt="([^"]*)" width="\d+" style="max-width: 100%" src="data:image/svg\+xml;base64,([^"]*)">', html
    )
    ((name, drawn),) = found
    assert html.count("<img") == 1
    assert name.startswith("drawing of the attribution graph")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(base64.b64decode(drawn)).iter()}
    assert "path" in tags
    assert "script" not in tags


def test_without_matplotlib_notebooks_get_the_facts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    html = random_graph("p")._repr_html_()
    assert "<img" not in html
    assert html.endswith("</table>")


def test_a_notebook_shows_the_first_prompts_of_a_store_without_reading_any(store: Store) -> None:
    html = store._repr_html_()
    assert f"<td>{store.entry(next(iter(store))).num_edges:,}</td>" in html
    assert "2 of 2 graphs" in html
