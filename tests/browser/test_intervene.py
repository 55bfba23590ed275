"""The panel of interventions: settings, results, undo, links, kept results; with the demo's model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from serving import DEMO, Server, opened, served, violations

from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.serve.node_names import key_text
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow
NAME = "<b>Texas</b> & more"


@pytest.fixture(scope="module")
def writable(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    copy = tmp_path_factory.mktemp("intervene") / "store"
    shutil.copytree(small_store, copy)
    model = ("--model", str(DEMO / "model"), "--transcoders", str(DEMO / "transcoders" / "plt"))
    with served(copy, *model, "--author", "Ann") as found:
        yield found


def page_of(store: Path) -> str:
    """The address of a graph whose strongest features of the last layers are a supernode."""
    graph = open_store(str(store)).graph("dallas")
    every = node_keys(graph)
    nodes = [node for node in graph.nodes.where(NodeKind.FEATURE).tolist() if graph.nodes.layer_N[node] >= 2]
    nodes.sort(key=lambda node: -graph.influence_N[node])
    group = {"name": NAME, "members": [key_text(every[node]) for node in nodes[:8]]}
    return "graph?" + urlencode({"prompt": "dallas", "panel": "intervene", "group": json.dumps(group)})


def test_turning_a_supernode_off_shows_the_answer_before_and_after(
    writable: Server, browser: Any, small_store: Path
) -> None:
    with opened(browser, writable, page_of(small_store)) as shown:
        shown.wait_for_selector(".iv-settings select")
        shown.select_option(".iv-settings select", "off")
        shown.keyboard.press("Escape")
        shown.click(".iv-run")
        shown.wait_for_selector(".iv-tokens tbody tr", timeout=120_000)
        row = shown.locator(".iv-tokens tbody tr", has_text="Austin")
        before, after = (float(row.locator("td.number").nth(place).inner_text()) for place in (0, 1))
        assert after < before
        assert shown.locator(".iv-states tbody tr td").nth(2).inner_text() == "0%"
        assert NAME in shown.inner_text(".iv-states")
        assert shown.locator(".iv-diagram .iv-set").count() == 1
        assert violations(shown) == []
        assert shown.input_value(".iv-kept .sg-author") == "Ann"  # the server's, until this browser has a name
        shown.fill(".iv-kept .sg-author", "Bob <b>")
        shown.click("text=Keep this result")
        shown.wait_for_selector(".iv-kept li")
        kept = shown.inner_text(".iv-kept li")
        assert NAME in kept
        assert "×0" in kept
        assert "Bob <b>" in kept
        (result,) = writable.ask("api/v1/kept_results", prompt="dallas")[1]["results"]
        assert result["author"] == "Bob <b>"
        shown.click("#tab-notes")
        shown.click("button:has-text('Add a note')")
        assert shown.input_value("input[name=author]") == "Bob <b>"  # one name for all that this browser writes
        shown.click("#tab-intervene")
        shown.wait_for_selector(".iv-kept li")
        shown.click("header button:has-text('Undo')")
        shown.wait_for_selector(".iv-kept li", state="detached")
        shown.click("header button:has-text('Redo')")
        shown.wait_for_selector(".iv-kept li")


def test_settings_are_in_the_address_and_are_undone(writable: Server, browser: Any, small_store: Path) -> None:
    with opened(browser, writable, page_of(small_store)) as shown:
        shown.wait_for_selector(".iv-settings select")
        shown.select_option(".iv-settings select", "times")
        shown.fill(".iv-settings input[type=number]", "-1.5")
        shown.keyboard.press("Tab")
        shown.wait_for_function("() => new URLSearchParams(location.search).get('set')?.includes('-1.5')")
        shown.goto(shown.url)
        shown.wait_for_selector(".iv-settings input[type=number]")
        assert shown.input_value(".iv-settings input[type=number]") == "-1.5"
        shown.select_option(".iv-settings select", "value")
        shown.wait_for_function("() => new URLSearchParams(location.search).get('set').includes('value')")
        shown.locator("h1, .strip").first.click()
        shown.keyboard.press("Control+z")
        shown.wait_for_function("() => new URLSearchParams(location.search).get('set').includes('times')")


def test_without_a_model_the_panel_is_absent(server: Server, browser: Any, small_store: Path) -> None:
    with opened(browser, server, page_of(small_store)) as shown:
        shown.wait_for_selector("[role=tablist]")
        assert shown.locator("#tab-subgraph").count() == 1
        assert shown.locator("#tab-intervene").count() == 0
