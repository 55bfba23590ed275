"""Communities on the page of a graph: as colours with a legend, of a feature, and as supernodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from community_results import HOSTILE, Chosen, write_communities
from serving import Server, opened, served, violations

from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow
MOST = 20
"""Communities of the second level, each of one feature: more than there are looks."""


@pytest.fixture(scope="module")
def with_roles(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the small store with communities of its graph about Dallas."""
    store = open_store(str(small_store))
    nodes, influence_N = store.graph("dallas").nodes, store.graph("dallas").influence_N
    order = sorted(nodes.where(NodeKind.FEATURE).tolist(), key=lambda node: -influence_N[node])
    sites = list(dict.fromkeys((int(nodes.layer_N[node]), int(nodes.feature_N[node])) for node in order))
    folder = tmp_path_factory.mktemp("mined") / "roles"
    coarse = [Chosen(0, HOSTILE, sites[:4]), Chosen(0, "second", sites[4:6], "unstable")]
    write_communities(store, folder, [*coarse, *(Chosen(1, f"one {n}", [sites[n]]) for n in range(MOST))])
    with served(small_store, "--read-only", "--mined", str(folder)) as server:
        yield server


def show(shown: Any) -> None:
    shown.wait_for_selector(".surface[data-ready]")
    shown.wait_for_selector(".colours select")


def colours(shown: Any) -> dict[str, int]:
    """Return how many pixels of the drawing of nodes have each colour."""
    data = shown.evaluate(
        """() => {
          const { width, height } = document.querySelector("canvas.nodes");
          return [...document.querySelector("canvas.nodes").getContext("2d").getImageData(0, 0, width, height).data];
        }"""
    )
    pixels, counts = np.unique(np.array(data).reshape(-1, 4)[:, :3], axis=0, return_counts=True)
    return {"#" + bytes(pixel.astype(np.uint8)).hex(): int(count) for pixel, count in zip(pixels, counts, strict=True)}


def wait_for_colour(shown: Any, colour: str) -> None:
    """Wait until the drawing of nodes has pixels of a colour."""
    shown.wait_for_function(
        """(wanted) => {
          const canvas = document.querySelector("canvas.nodes"), { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          for (let at = 0; at < data.length; at += 4)
            if (data[at] === wanted[0] && data[at + 1] === wanted[1] && data[at + 2] === wanted[2]) return true;
          return false;
        }""",
        arg=list(bytes.fromhex(colour[1:])),
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_features_are_coloured_by_community(with_roles: Server, browser: Any, scheme: str) -> None:
    with opened(browser, with_roles, "graph?prompt=dallas", color_scheme=scheme) as shown:
        show(shown)
        variable = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
        first, second, third, none = (
            shown.evaluate(variable, f"--{name}")
            for name in ("community-0", "community-1", "community-2", "no-community")
        )
        before = colours(shown)
        assert not {first, second} & before.keys()
        shown.select_option(".colours select", "0:0")
        wait_for_colour(shown, first)
        found = colours(shown)
        assert min(found[first], found[second]) > 10
        assert found[none] > before.get(none, 0) + 100  # texts have some grey, too
        assert third not in found
        assert "communities=0%3A0" in shown.url
        legend = shown.locator(".community-legend")
        assert legend.locator("img").count() == 0
        assert "role 0: ·[2J<img src=x onerror=alert(1)>" in legend.inner_text()
        assert "role 1: second 2, unstable" in legend.inner_text()
        assert violations(shown) == []
        shown.click("header button:has-text('Undo')")
        shown.wait_for_selector(".community-legend", state="detached")
        assert "communities" not in shown.url


def test_a_link_has_the_colours_and_repeated_looks_are_said(with_roles: Server, browser: Any) -> None:
    with opened(browser, with_roles, "graph?prompt=dallas&communities=0:1") as shown:
        show(shown)
        shown.wait_for_selector(".community-legend")
        legend = shown.locator(".community-legend").inner_text()
        assert legend.count("▲") == 6
        assert legend.count("▼") == 6
        assert f"Colours and forms repeat after the 18 most influential of {MOST}." in legend
        assert shown.locator(".colours select").input_value() == "0:1"
        svg = shown.evaluate("document.querySelector('.graph-page').picture().svg()")
        assert "#2f55ff" in svg
    with opened(browser, with_roles, "graph?prompt=dallas&communities=evil") as shown:
        show(shown)
        assert "left out: communities" in shown.locator("ul.notes").inner_text()


def test_an_unknown_level_is_said(with_roles: Server, browser: Any) -> None:
    with opened(browser, with_roles, "graph?prompt=dallas&communities=0:7") as shown:
        show(shown)
        shown.wait_for_selector(".legend.failed")
        assert "has the levels [0, 1], not 7" in shown.locator(".legend.failed").inner_text()
        shown.problems[:] = [one for one in shown.problems if "400" not in one]


def test_a_feature_names_its_communities_which_lead_to_the_findings(with_roles: Server, browser: Any) -> None:
    with opened(browser, with_roles, "graph?prompt=dallas") as shown:
        show(shown)
        shown.click("ul.rows button >> nth=0")
        shown.wait_for_selector("ul.communities a")
        assert shown.locator("ul.communities a").all_text_contents() == [
            "role 0: ·[2J<img src=x onerror=alert(1)>",
            "role 2: one 0",
        ]
        shown.click("ul.communities a >> nth=1")
        shown.wait_for_selector("table.rows tbody tr")
        assert "Rows 1 to 1 of 1 row" in shown.locator(".rows-said").inner_text()
        assert "one 0" in shown.locator("table.rows tbody tr").inner_text()


def test_a_community_becomes_a_supernode_with_one_click(with_roles: Server, browser: Any) -> None:
    with opened(browser, with_roles, "graph?prompt=dallas&panel=subgraph&communities=0:0") as shown:
        show(shown)
        shown.click("button:has-text('Communities (roles)')")
        shown.wait_for_selector(".sg-list li")
        assert shown.locator(".sg-list li").count() == 2
        shown.click("button[aria-label='Accept role 1: second']")
        shown.wait_for_selector(".sg-frame")
        assert "group=" in shown.url
        assert shown.locator(".sg-list li").count() == 1


def test_without_communities_there_is_no_choice(server: Server, browser: Any) -> None:
    with opened(browser, server, "graph?prompt=dallas&panel=subgraph") as shown:
        shown.wait_for_selector("button:has-text('Suggest supernodes')")
        assert shown.locator(".colours").count() == 0
        assert shown.locator("button:has-text('Communities')").count() == 0
