"""The page that compares two graphs: lists, drawings linked by feature, the choice of prompts, and their exchange."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from serving import Server, opened, violations

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror=alert(1)>"


def page_of(a: str, b: str, **more: str) -> str:
    return f"compare?{urlencode({'a': a, 'b': b, **more})}"


def ready(shown: Any) -> None:
    shown.wait_for_selector(".drawings svg >> nth=1")
    shown.wait_for_selector("table.edges")
    shown.wait_for_function("() => !document.querySelector('.waiting')")


def asked(shown: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(shown.url).query)


def test_the_page_says_what_the_api_says(server: Server, browser: Any) -> None:
    found = server.ask("api/v1/compare", a="dallas", b=HOSTILE)[1]
    with opened(browser, server, page_of("dallas", HOSTILE)) as shown:
        ready(shown)
        text = shown.inner_text("main")
        for title, side in (("In both", "both"), ("Only in A", "a"), ("Only in B", "b")):
            assert f"{title}: {found['num_features'][side]} feature" in text
        assert HOSTILE in text
        assert shown.locator("main img").count() == 0
        row = found["features"]["both"][0]
        first = shown.locator(".compare-lists table >> nth=0").locator("tbody tr >> nth=0")
        assert f"{row['layer']}:{row['feature']}" in first.inner_text()
        links = first.locator("a").evaluate_all("all => all.map((link) => link.href)")
        for link, side in zip(links[1:], ("a", "b"), strict=True):
            query = parse_qs(urlsplit(link).query)
            key = f"feature:{row['layer']}:{row[f'position_{side}']}:{row['feature']}"
            assert (query["prompt"], query["node"]) == ([found[side]["prompt"]], [key])
        assert violations(shown) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pointing_at_a_feature_marks_it_in_both_graphs(server: Server, browser: Any, scheme: str) -> None:
    with opened(browser, server, page_of("dallas", "oakland"), color_scheme=scheme) as shown:
        ready(shown)
        assert shown.locator("svg .marked").count() == 0
        row = shown.locator(".compare-lists table >> nth=0").locator("tbody tr >> nth=0")
        name = row.locator(".feature-link").inner_text()
        row.hover()
        for side in range(2):
            shown.wait_for_selector(f".small-graph >> nth={side} >> circle.marked")
        assert name in shown.inner_text(".marked-said")
        assert shown.locator(".small-graph .edge.up, .small-graph .edge.down").count() > 0
        assert violations(shown) == []


def test_a_click_in_a_drawing_keeps_the_mark_in_the_address(server: Server, browser: Any) -> None:
    with opened(browser, server, page_of("dallas", "oakland")) as shown:
        ready(shown)
        shown.locator(".small-graph >> nth=0 >> circle.feature >> nth=0").click(force=True)
        shown.wait_for_function("() => location.search.includes('mark=')")
        (mark,) = asked(shown)["mark"]
        shown.mouse.move(5, 5)
        assert mark in shown.inner_text(".marked-said")
        shown.reload()
        ready(shown)
        assert mark in shown.inner_text(".marked-said")
        shown.keyboard.press("Escape")
        shown.wait_for_function("() => !location.search.includes('mark=')")
        assert shown.locator("svg .marked").count() == 0
        shown.keyboard.press("Control+z")
        shown.wait_for_function("() => location.search.includes('mark=')")


def test_a_and_b_are_exchanged_and_back(server: Server, browser: Any) -> None:
    with opened(browser, server, page_of("dallas", "texas")) as shown:
        ready(shown)
        shown.keyboard.press("x")
        shown.wait_for_function("() => document.querySelector('.compared h2').textContent.includes('texas')")
        ready(shown)
        assert asked(shown) == {"a": ["texas"], "b": ["dallas"]}
        shown.keyboard.press("Control+z")
        shown.wait_for_function("() => document.querySelector('.compared h2').textContent.includes('dallas')")
        assert asked(shown) == {"a": ["dallas"], "b": ["texas"]}


def test_another_prompt_is_chosen_by_its_text(server: Server, browser: Any) -> None:
    with opened(browser, server, "compare?a=dallas") as shown:
        shown.wait_for_selector(".picker")
        assert violations(shown) == []
        shown.keyboard.press("b")
        shown.keyboard.type("california")
        shown.wait_for_selector(".picker ul a")
        assert shown.inner_text(".picker ul a") == HOSTILE
        assert violations(shown) == []
        shown.keyboard.press("Tab")
        shown.keyboard.press("Enter")
        ready(shown)
        assert asked(shown) == {"a": ["dallas"], "b": [HOSTILE]}


def test_the_order_by_difference_is_that_of_the_numbers(server: Server, browser: Any) -> None:
    found = server.ask("api/v1/compare", a="dallas", b="oakland")[1]
    rows = sorted(found["features"]["both"], key=lambda row: -abs(row["influence_b"] - row["influence_a"]))
    with opened(browser, server, page_of("dallas", "oakland")) as shown:
        ready(shown)
        shown.select_option(".row-tools select", "difference")
        best = f"{rows[0]['layer']}:{rows[0]['feature']}"
        shown.wait_for_function(
            "name => document.querySelector('.compare-lists .feature-link').textContent === name", arg=best
        )
        assert asked(shown)["sort"] == ["difference"]


def test_prompts_that_are_not_there_are_named(server: Server, browser: Any) -> None:
    with opened(browser, server, page_of("dallas", "nobody")) as shown:
        shown.wait_for_selector("main [role=alert]")
        assert "no prompt 'nobody'" in shown.inner_text("main [role=alert]")
        shown.problems[:] = [problem for problem in shown.problems if "404" not in problem]
