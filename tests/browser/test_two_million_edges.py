"""A graph of two million edges in the page: read, sent, drawn and moved within a bounded time."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import random_stores
from serving import opened, served

from distributed_tracer.serve.settings import ServeSettings

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from synthetic_graphs import Corpus

pytestmark = [pytest.mark.slow, pytest.mark.thorough]
EDGES = 2_000_000
SECONDS = 120.0
"""Many times what it takes on two cores, as other processes may use them, too."""


def test_a_graph_of_two_million_edges_opens_and_moves(tmp_path: Path, browser: Any) -> None:
    corpus = Corpus(nodes=6_000.0, edges=1.1 * EDGES / 0.9, spread=0.0, active_per_site=40)
    graph = replace(corpus.graph(0), prompt_id="large")
    assert graph.num_edges >= EDGES
    random_stores.make_store(str(tmp_path / "store"), [graph])
    shown_edges = ServeSettings(str(tmp_path)).most_edges
    with served(tmp_path / "store", "--read-only") as server, opened(browser, server, "about") as shown:
        begin = time.monotonic()
        shown.goto(f"{server.root}graph?prompt=large")
        shown.wait_for_selector(".surface[data-ready]", timeout=1000 * SECONDS)
        assert time.monotonic() - begin < SECONDS
        assert f"{shown_edges:,}" in shown.inner_text("main"), "the page says how many edges it has"
        shown.keyboard.press("ArrowRight")
        shown.wait_for_selector("#panel h2", timeout=1000 * SECONDS)
        before = shown.url
        sliders = shown.locator(".controls .slider input")
        sliders.first.focus()
        shown.keyboard.press("ArrowLeft")
        shown.wait_for_function("before => location.href !== before", arg=before, timeout=1000 * SECONDS)
        assert time.monotonic() - begin < 2 * SECONDS
