"""The map of prompts on the first page: planted circuits are apart, a region filters, a point leads to its graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from planted_graphs import planted_graph, random_edges
from random_stores import make_store
from serving import Server, opened, served, violations

pytestmark = pytest.mark.slow
NUM_PROMPTS = 40
HOSTILE = "<b>capitals</b>\u202e"
MATCHING = "count => document.querySelector('canvas[data-painted]')?.dataset.painted === String(count)"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of prompts of two planted circuits, in turn; the first group has a hostile name."""
    rng = np.random.default_rng(0)
    graphs = []
    for number in range(NUM_PROMPTS):
        first = 900 + 10 * (number % 2)
        circuit = {((layer, first + step), (layer + 1, first + step)): 2.0 for layer in (0, 1) for step in (0, 1)}
        edges = random_edges(rng, 6) | circuit
        about = {"family": (HOSTILE, "other")[number % 2], "rank": number}
        graphs.append(planted_graph(f"p{number:02d}", rng.integers(0, 9, 5).tolist(), edges, **about))
    url = str(tmp_path_factory.mktemp("planted") / "store")
    make_store(url, graphs[:15], graphs[15:])
    with served(url, "--read-only") as found:
        yield found


def wait_for_counts(shown: Any, text: str) -> None:
    shown.wait_for_function("text => document.querySelector('.counts')?.textContent.includes(text)", arg=text)


def drag(shown: Any, *places: tuple[float, float]) -> None:
    """Drag over the map, through places given as shares of its width and height."""
    box = shown.locator(".surface-of-map").bounding_box()
    for number, (x, y) in enumerate(places):
        shown.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            shown.mouse.down()
    shown.mouse.up()


def ids(shown: Any) -> list[int]:
    """Return the numbers of the prompts in the table."""
    return [int(text[1:]) for text in shown.locator("table.prompts tbody th a").all_inner_texts()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_region_of_the_map_filters_table_and_distributions(scheme: str, planted: Server, browser: Any) -> None:
    with opened(browser, planted, color_scheme=scheme) as shown:
        wait_for_counts(shown, "40 prompts")
        assert shown.locator("canvas").count() == 0
        shown.locator("details.prompt-map").scroll_into_view_if_needed()
        shown.click("details.prompt-map > summary")
        shown.wait_for_function(MATCHING, arg=NUM_PROMPTS)
        assert "map=open" in shown.url
        said = shown.inner_text(".facts-of-map")
        assert "of the variance" in said
        assert "if all 39 dimensions held the same, two would hold 5.1%" in said
        assert violations(shown) == []
        drag(shown, (0.5, 0.01), (0.75, 0.5), (0.995, 0.99))  # the half on the right is one circuit
        wait_for_counts(shown, "20 of 40 prompts")
        shown.wait_for_function(MATCHING, arg=20)
        chosen = ids(shown)
        assert len({number % 2 for number in chosen}) == 1
        assert "a region of the map" in shown.inner_text("ul.chips")
        card = shown.locator("section.card[aria-label='Distribution of family']")
        card.locator(".count:text-is('0')").wait_for()  # distributions come by themselves, before or after the table
        assert sorted(card.locator(".count").all_inner_texts()) == ["0", "20"]
        assert violations(shown) == []
        shown.click("text=Zoom to the region")
        shown.reload()
        wait_for_counts(shown, "20 of 40 prompts")
        shown.wait_for_function(MATCHING, arg=20)
        assert ids(shown) == chosen
        shown.click(".tools-of-map >> text=Clear the region")
        wait_for_counts(shown, "40 prompts")
        shown.keyboard.press("Control+z")
        wait_for_counts(shown, "20 of 40 prompts")


def test_a_lasso_chooses_what_it_encloses(planted: Server, browser: Any) -> None:
    with opened(browser, planted, "?map=open&where=rank%3E%3D10") as shown:
        shown.wait_for_function(MATCHING, arg=30)
        shown.check(".tools-of-map >> text=lasso")
        drag(shown, (0.01, 0.01), (0.5, 0.02), (0.49, 0.5), (0.5, 0.98), (0.02, 0.97))  # the half on the left
        wait_for_counts(shown, "15 of 40 prompts")
        shown.wait_for_function(MATCHING, arg=15)
        assert len({number % 2 for number in ids(shown)}) == 1
        drag(shown, (0.5, 0.3), (0.5, 0.3))  # a click on no point changes nothing
        wait_for_counts(shown, "15 of 40 prompts")


def test_colours_have_a_legend_that_filters_and_a_point_opens_its_graph(planted: Server, browser: Any) -> None:
    with opened(browser, planted, "?map=open") as shown:
        shown.wait_for_function(MATCHING, arg=NUM_PROMPTS)
        legend = shown.locator("ul.legend button", has_text="<b>capitals</b>·")
        legend.click()
        wait_for_counts(shown, "20 of 40 prompts")
        assert all(number % 2 == 0 for number in ids(shown))
        legend.click()
        wait_for_counts(shown, "40 prompts")
        shown.select_option(".tools-of-map select", "rank")
        shown.wait_for_selector(".ramp svg rect")
        assert "colour=rank" in shown.url
        map_id = planted.ask("api/v1/map")[1]
        assert isinstance(map_id, bytes)
        x, y = _place_of_first(shown)
        shown.mouse.move(x, y)
        shown.wait_for_selector(".said strong")
        assert shown.inner_text(".said strong") in {
            f"p{number:02d}" for number in range(0, NUM_PROMPTS, 2)
        }  # or one on top of it
        assert "rank:" in shown.inner_text(".said")
        prompt = shown.inner_text(".said strong")
        shown.mouse.down()
        shown.mouse.up()
        shown.wait_for_url(f"**/graph?prompt={prompt}")
        shown.go_back()
        shown.wait_for_function(MATCHING, arg=NUM_PROMPTS)


def _place_of_first(shown: Any) -> tuple[float, float]:
    """Return where the point of the first row is on the screen, from the ring that it has as the current row."""
    shown.keyboard.press("j")
    found = """async () => {
      const canvas = document.querySelector("canvas.marks"), pen = canvas.getContext("2d");
      const end = performance.now() + 20_000;
      let right = 0, left = Infinity, top = Infinity, bottom = 0;
      while (!right && performance.now() < end) {
        await new Promise(requestAnimationFrame);
        const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
        for (let place = 3; place < data.length; place += 4) if (data[place]) {
          const x = ((place - 3) / 4) % canvas.width, y = Math.floor((place - 3) / 4 / canvas.width);
          [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
        }
      }
      const box = canvas.getBoundingClientRect();
      return [box.left + (left + right + 1) / 2, box.top + (top + bottom + 1) / 2];
    }"""
    x, y = shown.evaluate(found)
    return x, y


def test_a_store_of_too_few_prompts_says_so_and_the_rest_of_the_page_works(
    tmp_path_factory: pytest.TempPathFactory, browser: Any
) -> None:
    url = str(tmp_path_factory.mktemp("few") / "store")
    make_store(
        url, [planted_graph(f"p{number}", [1, 2], random_edges(np.random.default_rng(0), 4)) for number in (1, 2)]
    )
    with served(url, "--read-only") as server, opened(browser, server, "?map=open") as shown:
        shown.wait_for_selector("details.prompt-map p.failed >> text=a map needs 3 prompts at least")
        wait_for_counts(shown, "2 prompts")
        shown.problems[:] = [problem for problem in shown.problems if "400" not in problem]
