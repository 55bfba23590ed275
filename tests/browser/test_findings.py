"""The page of findings: results, tables, pictures, links to graphs, and texts that mean harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Server, opened, served, violations

from distributed_tracer.cli.main import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def with_results(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the small store with an atlas, its chains, and similar prompts."""
    folder, store = tmp_path_factory.mktemp("mined"), str(small_store)
    atlas, chains, similar = (str(folder / name) for name in ("atlas", "chains", "similar"))
    assert main(["mine", "atlas", store, "--out", atlas]) == 0
    assert main(["mine", "chains", store, "--atlas", atlas, "--out", chains]) == 0
    assert main(["mine", "similar", store, "--out", similar]) == 0
    with served(small_store, "--read-only", "--mined", atlas, chains, similar) as server:
        yield server


def test_an_edge_of_the_atlas_leads_to_its_graphs(with_results: Server, browser: object) -> None:
    with opened(browser, with_results, "findings") as shown:
        shown.wait_for_selector("table.rows tbody tr")
        shown.wait_for_function(
            "() => [...document.images].length && [...document.images].every((one) => one.naturalWidth > 0)"
        )
        assert violations(shown) == []
        shown.click("tbody tr:first-child button")
        shown.wait_for_selector(".witnesses a")
        address = shown.get_attribute(".witnesses a", "href")
        assert address.startswith("graph?prompt=")
        assert "pin=" in address


def test_sorting_and_searching_can_be_undone(with_results: Server, browser: object) -> None:
    with opened(browser, with_results, "findings?result=0&table=edges") as shown:
        shown.wait_for_selector("table.rows tbody tr")
        shown.click("thead button:has-text('lift')")
        shown.wait_for_function("() => document.querySelector('.rows-said').textContent.includes('largest lift first')")
        assert "sort=lift" in shown.url
        shown.fill("input[name=find]", "dallas")
        shown.click("form.filter button[type=submit]")
        shown.wait_for_function(
            "() => document.querySelector('.rows-said').textContent.includes('that meet the conditions')"
        )
        assert "find=dallas" in shown.url
        shown.click("header button:has-text('Undo')")
        shown.click("header button:has-text('Undo')")
        shown.wait_for_function("() => !location.search.includes('sort=')")


def test_texts_are_sorted_from_a_to_z_and_back(with_results: Server, browser: object) -> None:
    with opened(browser, with_results, "findings?result=2&table=neighbours") as shown:
        shown.wait_for_selector("table.rows tbody tr")
        heads = shown.locator("thead th").all_inner_texts()
        column = f"tbody tr td:nth-child({heads.index('neighbour') + 1})"
        shown.click("thead button:text-is('neighbour')")
        shown.wait_for_selector(".rows-said:has-text('by neighbour, from A to Z')")
        assert shown.get_attribute("th:has-text('neighbour')", "aria-sort") == "ascending"
        texts = shown.locator(column).all_inner_texts()
        assert texts == sorted(texts, key=str.casefold)
        assert len(set(texts)) > 2
        shown.click("thead button:has-text('neighbour')")
        shown.wait_for_selector(".rows-said:has-text('by neighbour, from Z to A')")
        assert shown.locator(column).all_inner_texts() == sorted(texts, key=str.casefold, reverse=True)
        shown.click("thead button:has-text('neighbour')")
        shown.wait_for_function("() => !location.search.includes('sort=')")


def test_chains_are_boxes_and_hostile_prompts_are_text(with_results: Server, browser: object) -> None:
    with opened(browser, with_results, "findings?result=1", color_scheme="dark") as shown:
        shown.wait_for_selector(".chain .box.target")
        assert violations(shown) == []
    with opened(browser, with_results, "findings?result=2&table=neighbours") as shown:
        shown.wait_for_selector("table.rows tbody tr")
        assert shown.locator("td a", has_text="<img src=x onerror=alert(1)>").count() > 0
        assert shown.locator("table.rows img").count() == 0
        assert shown.locator("a[href^='compare?a=']").count() > 0
