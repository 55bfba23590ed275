"""The page of prompts: searched, filtered, sorted, and live while a run goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from random_graphs import AWKWARD, random_graph
from random_stores import RUN_INFO, make_store, write_part
from serving import Server, opened, served, violations

from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of 250 prompts of random graphs in two parts, with metadata of several kinds."""
    url = str(tmp_path_factory.mktemp("many") / "store")
    graphs = [
        random_graph(
            f"p{number:03d}",
            seed=number,
            num_active=4 + number % 7,
            text=f"Text number {number}",
            metadata={"group": f"g{number % 10}", "rank": number, "even": number % 2 == 0},
        )
        for number in range(250)
    ]
    make_store(url, graphs[:100], graphs[100:])
    with served(url, "--read-only") as found:
        yield found


def ids(shown: Any) -> list[str]:
    """Return the ids of the rows on the page."""
    return shown.locator("table.prompts tbody th a").all_inner_texts()


def wait_for_counts(shown: Any, text: str) -> None:
    shown.wait_for_function("text => document.querySelector('.counts')?.textContent.includes(text)", arg=text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_page_shows_prompts_and_what_a_row_is(scheme: str, server: Server, browser: Any) -> None:
    with opened(browser, server, color_scheme=scheme) as shown:
        shown.wait_for_selector("table.prompts tbody tr")
        wait_for_counts(shown, "5 prompts")
        assert ids(shown) == sorted(["dallas", "oakland", "miami", "texas", HOSTILE])
        assert shown.get_attribute("table.prompts tbody th a >> text=dallas", "href") == "graph?prompt=dallas"
        row = shown.locator("table.prompts tbody tr", has_text="containing Dallas")
        assert "␣Austin" in row.inner_text()
        shown.wait_for_selector("section.card svg.bars")
        shown.wait_for_selector("section.card ul.values button")
        shown.click("details.chooser >> text=Columns")
        assert violations(shown) == []
        shown.click("aside.explained button")
        assert shown.locator("aside.explained").count() == 0
        shown.reload()
        shown.wait_for_selector("table.prompts tbody tr")
        assert shown.locator("aside.explained").count() == 0


def test_text_from_outside_is_shown_and_not_obeyed(tmp_path: Path, browser: Any) -> None:
    url = str(tmp_path / "store")
    make_store(url, [graph for name, graph in AWKWARD.items() if name != "wide"])
    with served(url, "--read-only") as server, opened(browser, server) as shown:
        shown.wait_for_selector("table.prompts tbody tr")
        wait_for_counts(shown, "8 prompts")
        text = shown.inner_text("main")
        assert not {"\x1b", "\u202e", "\x07"} & set(text)
        assert "given as tokens" in text
        assert "(empty id)" in text


def test_a_search_is_in_the_address_and_can_be_undone(many: Server, browser: Any) -> None:
    with opened(browser, many) as shown:
        wait_for_counts(shown, "250 prompts")
        shown.keyboard.press("/")
        shown.keyboard.type("NUMBER 24")
        wait_for_counts(shown, "11 of 250 prompts")
        assert ids(shown)[:2] == ["p024", "p240"]
        assert "search=NUMBER+24" in shown.url
        shown.keyboard.press("Escape")
        shown.keyboard.press("Control+z")
        wait_for_counts(shown, "250 prompts")
        assert "search" not in shown.url
        shown.goto(f"{many.root}?search=NUMBER+24&where=even%3Dtrue")
        wait_for_counts(shown, "6 of 250 prompts")
        shown.click("ul.chips >> text=contains")
        wait_for_counts(shown, "125 of 250 prompts")
        shown.go_back()
        wait_for_counts(shown, "6 of 250 prompts")


def test_conditions_are_typed_as_on_the_command_line_and_wrong_ones_are_explained(many: Server, browser: Any) -> None:
    with opened(browser, many) as shown:
        wait_for_counts(shown, "250 prompts")
        shown.fill("form.condition input", "rank>=240")
        shown.keyboard.press("Enter")
        wait_for_counts(shown, "10 of 250 prompts")
        shown.problems.clear()
        shown.fill("form.condition input", "rnak>=240")
        shown.keyboard.press("Enter")
        shown.wait_for_selector("p.failed >> text=Did you mean 'rank'")
        shown.wait_for_function("() => document.querySelectorAll('ul.chips li').length === 3")
        shown.wait_for_load_state("networkidle")
        assert all("400" in problem for problem in shown.problems)
        shown.problems.clear()
        shown.click("ul.chips >> text=rnak")
        wait_for_counts(shown, "10 of 250 prompts")
        shown.fill("form.condition input", "rank<=3")
        shown.keyboard.press("Enter")
        shown.wait_for_selector("text=No prompt meets all conditions")


def test_distributions_filter_each_other(many: Server, browser: Any) -> None:
    with opened(browser, many) as shown:
        wait_for_counts(shown, "250 prompts")
        group = shown.locator("section.card[aria-label='Distribution of group']")
        group.locator("button", has_text="g3").click()
        wait_for_counts(shown, "25 of 250 prompts")
        assert "where=group%3Dg3" in shown.url
        assert group.locator("button[aria-pressed=true]").inner_text().split() == ["g3", "25"]
        shown.select_option("label.add select", "rank")
        rank = shown.locator("section.card[aria-label='Distribution of rank']")
        least = rank.locator("input").first
        least.focus()
        shown.keyboard.press("ArrowRight")
        shown.keyboard.press("ArrowRight")
        wait_for_counts(shown, "23 of 250 prompts")
        box = rank.locator("svg.bars").bounding_box()
        shown.mouse.move(box["x"] + 2, box["y"] + 20)
        shown.mouse.down()
        shown.mouse.move(box["x"] + box["width"] * 0.499, box["y"] + 20)
        shown.mouse.up()
        shown.wait_for_function(
            "() => !location.search.includes('rank%3E%3D') && location.search.includes('rank%3C%3D')"
        )
        wait_for_counts(shown, "13 of 250 prompts")
        group.locator("button[aria-pressed=true]").click()
        wait_for_counts(shown, "130 of 250 prompts")
        shown.click("table.prompts tbody tr:first-child button.value >> text=g0")
        wait_for_counts(shown, "13 of 250 prompts")


def test_headers_sort_and_columns_are_chosen(many: Server, browser: Any) -> None:
    store = open_store(str(Path(many.process.args[4])))  # type: ignore[index]
    table = store.prompts
    with opened(browser, many) as shown:
        wait_for_counts(shown, "250 prompts")
        shown.click("table.prompts thead >> text=replacement")
        shown.wait_for_selector("th[aria-sort=descending] >> text=replacement")
        best = sorted(range(250), key=lambda row: (-table["replacement"][row], table["id"][row]))
        shown.wait_for_function(
            "id => document.querySelector('table.prompts tbody th').innerText === id", arg=table["id"][best[0]]
        )
        assert ids(shown) == [table["id"][row] for row in best[:100]]
        shown.click("nav.paging >> text=Next")
        shown.wait_for_selector("text=rows 101 to 200 of 250")
        assert ids(shown) == [table["id"][row] for row in best[100:200]]
        shown.click("details.chooser >> text=Columns")
        shown.click("fieldset >> label:has-text('rank')")
        shown.wait_for_function(
            "() => ![...document.querySelectorAll('.prompts thead th')].some((th) => th.innerText.trim() === 'rank')"
        )
        shown.click("header.top >> text=Undo")
        shown.wait_for_selector("table.prompts thead >> text=rank")
        assert violations(shown) == []


def test_keys_move_the_row_open_it_and_pick_two_to_compare(many: Server, browser: Any) -> None:
    with opened(browser, many) as shown:
        wait_for_counts(shown, "250 prompts")
        for key in ("j", "j", "x", "ArrowDown", "k", "j", "x"):
            shown.keyboard.press(key)
        shown.wait_for_function("() => document.activeElement.getAttribute('href') === 'graph?prompt=p002'")
        shown.wait_for_selector("p.picked >> text=Compare p001 with p002")
        shown.keyboard.press("n")
        shown.wait_for_selector("text=rows 101 to 200 of 250")
        assert shown.locator("p.picked a").get_attribute("href") == "compare?a=p001&b=p002"
        shown.keyboard.press("p")
        shown.wait_for_selector("text=rows 1 to 100 of 250")
        shown.evaluate("() => { window.seen = []; history.pushState = (...given) => { seen.push(given[2]); }; }")
        shown.keyboard.press("c")
        shown.locator("table.prompts tbody tr td.prompt").nth(4).click()
        assert shown.evaluate("seen") == ["compare?a=p001&b=p002", "graph?prompt=p004"]


def test_the_graph_page_follows_filter_and_order_of_the_table(many: Server, browser: Any) -> None:
    where = "?where=group%3Dg1&where=rank>%3D30&sort=rank&descending=true"
    with opened(browser, many, where) as shown:
        wait_for_counts(shown, "22 of 250 prompts")
        assert ids(shown)[:3] == ["p241", "p231", "p221"]
        shown.click("a:text-is('p231')")
        shown.wait_for_selector(".neighbours .of:has-text('2 of 22 with group=g1 and rank>=30, by rank')")
        shown.keyboard.press(".")
        shown.wait_for_url("**/graph?prompt=p221&**")
        shown.wait_for_selector(".neighbours .of:has-text('3 of 22')")
        shown.keyboard.press("i")  # what is seen of the graph changes the address, and the filter stays in it
        shown.wait_for_function("() => new URLSearchParams(location.search).has('node')")
        shown.click(".neighbours a[aria-label='Previous prompt']")
        shown.wait_for_selector(".neighbours .of:has-text('2 of 22')")
        assert violations(shown) == []
        shown.click(".neighbours a.of")
        wait_for_counts(shown, "22 of 250 prompts")
        assert ids(shown)[:3] == ["p241", "p231", "p221"]
        shown.problems.clear()
        shown.goto(f"{many.root}graph?prompt=p002&where=group%3Dg1&search=<b>text")
        shown.wait_for_selector(".neighbours .of:has-text('not among the 0 with group=g1 and “<b>text”')")
        shown.goto(f"{many.root}graph?prompt=p002&where=gruop%3Dg1")
        shown.wait_for_selector(".neighbours .failed:has-text('gruop')")
        shown.problems[:] = [problem for problem in shown.problems if "400" not in problem]


def test_a_set_keeps_its_name_for_the_next_visit(many: Server, browser: Any) -> None:
    with opened(browser, many, "?where=group%3Dg1&where=even%3Dfalse&search=text") as shown:
        wait_for_counts(shown, "25 of 250 prompts")
        shown.click("details.sets summary")
        shown.fill("details.sets form input", "<b>odd ones</b>")
        shown.keyboard.press("Enter")
        shown.wait_for_selector("details.sets summary >> text=<b>odd ones</b>")
        assert violations(shown) == []
        shown.goto(many.root)
        wait_for_counts(shown, "250 prompts")
        shown.click("details.sets summary")
        shown.click("details.sets li >> text=odd ones")
        wait_for_counts(shown, "25 of 250 prompts")
        assert "set=%3Cb%3Eodd" in shown.url
        shown.click("details.sets li button.close")
        shown.keyboard.press("Control+z")
        wait_for_counts(shown, "250 prompts")


def test_a_run_is_followed_and_failed_prompts_have_reasons(small_store: Path, tmp_path: Path, browser: Any) -> None:
    url = str(tmp_path / "store")
    Ledger(url).create_or_check(RUN_INFO)
    ledger = Ledger(url)
    ledger.start_run(5, 0, 60.0, {})
    with served(url) as server, opened(browser, server) as shown:
        shown.wait_for_selector("text=This store has no prompts yet")
        shown.wait_for_selector("section.run >> text=0 of 5 prompts done")
        assert violations(shown) == []
        ledger.commit(write_part(url, [random_graph("one", num_active=4), random_graph("two", seed=1, num_active=4)]))
        ledger.record_failures([("three", "trace", "<b>no memory</b>\x1b[31m", 2)])
        shown.wait_for_selector("section.run >> text=2 of 5 prompts done")
        wait_for_counts(shown, "2 prompts")
        assert ids(shown) == ["one", "two"]
        shown.wait_for_selector("header.top .facts:has-text('2 prompts')")  # which were none when the page was opened
        shown.click("details.failures summary")
        shown.wait_for_selector("details.failures td >> text=<b>no memory</b>·[31m")
        assert violations(shown) == []
        ledger.end("failed", "a disk was full")
        shown.wait_for_selector("section.run >> text=a disk was full")


def test_a_damaged_part_is_said_on_the_page(small_store: Path, tmp_path: Path, browser: Any) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_store, store)
    for chunk in (store / "parts").glob("*/prompts/text/c/*"):
        chunk.write_bytes(b"\x00" * chunk.stat().st_size)
    with served(str(store), "--read-only") as server, opened(browser, server) as shown:
        shown.wait_for_selector("p.failed >> text=only sizes and scores are known")
        assert "dallas" in ids(shown)


def test_narrow_and_wide_windows_show_the_whole_page(many: Server, browser: Any) -> None:
    for width in (820, 1280, 2560):
        with opened(browser, many, viewport={"width": width, "height": 900}) as shown:
            shown.wait_for_selector("table.prompts tbody tr")
            assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
