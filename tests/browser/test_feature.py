"""The page of a feature: contexts, lists, search, labels that are edited, and the ways to graphs and other features."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from serving import Server, opened, served, violations

from distributed_tracer.cli.main import main
from distributed_tracer.graph.labels import Label
from distributed_tracer.query.feature_counts import feature_counts
from distributed_tracer.store.annotations import write_labels
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\u202egnp.exe\x1b[31mred\x00'


@pytest.fixture(scope="module")
def site(small_store: Path) -> tuple[int, int]:
    """The feature that is a node of the most graphs."""
    best = feature_counts(open_store(str(small_store)), top=1)
    return int(best["layer"][0]), int(best["feature"][0])


@pytest.fixture(scope="module")
def profile(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("profiled") / "profile"
    assert main(["profile", "--store", str(small_store), "--out", str(out), "--local", "--no-progress"]) == 0
    return out


@pytest.fixture
def writable(small_store: Path, site: tuple[int, int], tmp_path: Path) -> Iterator[Server]:
    """A server of a store of its own, in which the feature has a hostile label, and nobody else's may go."""
    shutil.copytree(small_store, tmp_path / "store")
    write_labels(open_store(str(tmp_path / "store")).root, [(*site, Label(HOSTILE, "<b>file</b>"))])
    with served(tmp_path / "store", "--author", "me") as found:
        yield found


def page_of(site: tuple[int, int], more: str = "") -> str:
    return f"feature?layer={site[0]}&feature={site[1]}{more}"


def ready(shown: Any) -> None:
    """Wait until nothing of the page is being loaded."""
    shown.wait_for_selector("main section")
    shown.wait_for_function("() => !document.querySelector('.waiting')")


def labels_of(server: Server, site: tuple[int, int]) -> list[str]:
    found = server.ask("api/v1/labels", layer=site[0], feature=site[1])[1]
    return [label["text"] for label in found["labels"]]


def test_the_page_says_what_the_api_says(server: Server, browser: Any, site: tuple[int, int]) -> None:
    facts = server.ask("api/v1/feature", layer=site[0], feature=site[1])[1]
    with opened(browser, server, page_of(site)) as shown:
        ready(shown)
        assert f"{site[0]}:{site[1]}" in shown.inner_text("h1")
        assert f"of {facts['nodes']['prompts_in_store']} graphs" in shown.inner_text(".feature-facts")
        assert "started without --profile" in shown.inner_text(".feature-facts")
        assert "from this store's own graphs" in shown.inner_text("main")
        assert shown.locator("li.context").count() == len(facts["contexts"])
        rows = shown.locator("table.occurrences tbody tr")
        assert rows.count() == min(25, facts["nodes"]["num_nodes"])
        assert shown.locator(".add-label").count() == 0
        assert "read-only" in shown.inner_text(".label-editor")
        assert violations(shown) == []


def test_each_occurrence_leads_to_the_graph_at_its_node(server: Server, browser: Any, site: tuple[int, int]) -> None:
    with opened(browser, server, page_of(site)) as shown:
        ready(shown)
        links = shown.locator("table.occurrences tbody a").evaluate_all("all => all.map((link) => link.href)")
        asked = [parse_qs(urlsplit(link).query) for link in links]
        prompts = {query["prompt"][0] for query in asked}
        assert len(prompts) > 1
        assert "<img src=x onerror=alert(1)>" in prompts
        for query in asked:
            kind, layer, position, feature = query["node"][0].split(":")
            assert (kind, int(layer), int(feature)) == ("feature", *site)
            nodes = open_store(server.ask("api/v1/store")[1]["url"]).graph(query["prompt"][0]).nodes
            here = (nodes.layer_N == site[0]) & (nodes.feature_N == site[1]) & (nodes.position_N == int(position))
            assert (here & (nodes.kind_N == 0)).any()


def test_from_a_feature_to_another_and_back(server: Server, browser: Any, site: tuple[int, int]) -> None:
    with opened(browser, server, page_of(site)) as shown:
        ready(shown)
        link = shown.locator("table.features .feature-link").first
        other = link.inner_text()
        link.click()
        shown.wait_for_function(
            "name => document.querySelector('h1')?.textContent.includes(`Feature ${name}`)", arg=other
        )
        ready(shown)
        shown.go_back()
        shown.wait_for_function(
            "name => document.querySelector('h1')?.textContent.includes(`Feature ${name}`)", arg=f"{site[0]}:{site[1]}"
        )


def test_the_order_of_occurrences_is_in_the_address(server: Server, browser: Any, site: tuple[int, int]) -> None:
    with opened(browser, server, page_of(site)) as shown:
        ready(shown)
        shown.select_option(".row-tools select", "prompt")
        shown.wait_for_function(
            """() => {
              const shown = [...document.querySelectorAll("table.occurrences tbody a")].map((link) => link.textContent);
              return JSON.stringify(shown) === JSON.stringify([...shown].sort());
            }"""
        )
        assert "sort=prompt" in shown.url


def test_a_profile_adds_contexts_histogram_and_neighbours_of_tokens(
    small_store: Path, profile: Path, browser: Any, site: tuple[int, int]
) -> None:
    with served(small_store, "--read-only", "--profile", str(profile)) as server:
        facts = server.ask("api/v1/feature", layer=site[0], feature=site[1])[1]
        assert facts["contexts_of"] == "profile"
        with opened(browser, server, page_of(site), color_scheme="dark") as shown:
            ready(shown)
            assert "from the profile's texts" in shown.inner_text("main")
            assert shown.locator("li.context").count() == len(facts["contexts"])
            heat = shown.locator("li.context mark.token").first.evaluate(
                "mark => getComputedStyle(mark).backgroundColor"
            )
            assert heat.startswith("rgba(")
            assert "Active at" in shown.locator("li.context .unseen").first.inner_text()
            bars = shown.locator(".histogram rect").count()
            assert bars == sum(count > 0 for count in facts["histogram"]["counts"])
            assert shown.locator(".histogram svg").get_attribute("aria-label").startswith("Histogram")
            assert violations(shown) == []


def test_hostile_labels_are_text(writable: Server, browser: Any, site: tuple[int, int]) -> None:
    with opened(browser, writable, page_of(site)) as shown:
        ready(shown)
        said = shown.inner_text(".label-editor .label-text")
        assert "<script>alert(1)</script>" in said
        for hidden in ("\u202e", "\x1b", "\x00"):
            assert hidden not in shown.content()
        assert shown.locator("main script, main img, main b").count() == 0
        shown.fill(".feature-search input", "<script>")
        shown.press(".feature-search input", "Enter")
        shown.wait_for_selector(".found li")
        assert "<script>alert(1)</script>" in shown.inner_text(".found")
        assert violations(shown) == []


def test_a_label_is_added_edited_removed_and_undone_by_keys(
    writable: Server, browser: Any, site: tuple[int, int]
) -> None:
    with opened(browser, writable, page_of(site)) as shown:
        ready(shown)
        shown.keyboard.press("l")
        shown.wait_for_selector(".label-form textarea:focus")
        assert violations(shown) == []
        shown.keyboard.type("cities of Texas")
        shown.keyboard.press("Enter")
        shown.wait_for_function("() => document.querySelector('h1').textContent.includes('cities of Texas')")
        assert labels_of(writable, site) == [HOSTILE, "cities of Texas"]
        shown.click('button[aria-label="Edit the label cities of Texas"]')
        shown.fill(".label-form textarea", "towns of Texas")
        shown.click(".label-form button[type=submit]")
        shown.wait_for_function("() => document.querySelector('h1').textContent.includes('towns of Texas')")
        assert labels_of(writable, site) == [HOSTILE, "towns of Texas"]
        shown.click('button[aria-label="Remove the label towns of Texas"]')
        shown.wait_for_function("() => !document.querySelector('h1').textContent.includes('towns of Texas')")
        assert labels_of(writable, site) == [HOSTILE]
        for expected in ("towns of Texas", "cities of Texas", None):
            shown.keyboard.press("Control+z")
            shown.wait_for_function(
                "text => (text === null) !== document.querySelector('h1').textContent.includes(text ?? 'of Texas')",
                arg=expected,
            )
        assert labels_of(writable, site) == [HOSTILE]
        shown.keyboard.press("Control+y")
        shown.wait_for_function("() => document.querySelector('h1').textContent.includes('cities of Texas')")
        assert labels_of(writable, site) == [HOSTILE, "cities of Texas"]
        shown.click(".label-history summary")
        shown.wait_for_selector(".label-history li")
        assert shown.locator(".label-history li").count() == 8


def test_a_label_of_somebody_else_comes_back_from_its_removal(
    writable: Server, browser: Any, site: tuple[int, int]
) -> None:
    with opened(browser, writable, page_of(site)) as shown:
        ready(shown)
        shown.locator(".label-editor button", has_text="Remove").click()
        shown.wait_for_function(
            "() => document.querySelector('.label-editor').textContent.includes('Nobody has labelled')"
        )
        assert labels_of(writable, site) == []
        shown.click("header button:has-text('Undo')")
        shown.wait_for_selector(".label-editor .label-text")
        assert labels_of(writable, site) == [HOSTILE]
        found = writable.ask("api/v1/labels", layer=site[0], feature=site[1])[1]["labels"]
        assert [(label["source"], label["author"]) for label in found] == [("<b>file</b>", "me")]


def test_what_the_server_refuses_is_said_and_nothing_is_kept(
    writable: Server, browser: Any, site: tuple[int, int]
) -> None:
    with opened(browser, writable, page_of(site)) as shown:
        ready(shown)
        shown.click(".add-label")
        shown.fill(".label-form textarea", "a label\x07 that rings")
        shown.click(".label-form button[type=submit]")
        shown.wait_for_selector(".label-form [role=alert]")
        assert "control character" in shown.inner_text(".label-form [role=alert]")
        shown.problems[:] = [problem for problem in shown.problems if "400" not in problem]
        shown.press(".label-form textarea", "Escape")
        shown.wait_for_selector(".add-label")
        assert shown.locator("header button:has-text('Undo')").is_disabled()
        assert labels_of(writable, site) == [HOSTILE]


def test_an_unknown_feature_is_refused_with_words(server: Server, browser: Any) -> None:
    with opened(browser, server, "feature?layer=99&feature=1") as shown:
        shown.wait_for_selector("main [role=alert]")
        assert "layer 99 is not among" in shown.inner_text("main [role=alert]")
        shown.problems[:] = [problem for problem in shown.problems if "400" not in problem]


def test_a_page_without_a_feature_finds_one_by_its_number(server: Server, browser: Any, site: tuple[int, int]) -> None:
    with opened(browser, server, "feature") as shown:
        shown.wait_for_selector("h1")
        shown.keyboard.press("/")
        shown.keyboard.type(f"{site[0]}:{site[1]}")
        shown.keyboard.press("Enter")
        shown.click(".found .feature-link")
        shown.wait_for_selector("table.occurrences")
        assert violations(shown) == []


def test_a_read_only_server_writes_no_label(server: Server, site: tuple[int, int]) -> None:
    body = {"layer": site[0], "feature": site[1], "text": "x"}
    status, content = server.ask("api/v1/labels", body)
    assert status == 403
    assert "read-only" in json.dumps(content)
    assert labels_of(server, site) == []


def test_from_a_graph_by_a_feature_to_another_graph_at_its_node(
    server: Server, browser: Any, site: tuple[int, int]
) -> None:
    found = server.ask("api/v1/occurrences", layer=site[0], feature=site[1], limit=200)[1]["rows"]
    first = found[0]
    other = next(row for row in found if row["prompt"] != first["prompt"])
    with opened(browser, server, f"graph?{urlencode({'prompt': first['prompt'], 'node': first['key']})}") as shown:
        shown.wait_for_selector(".feature-slot .label-editor")
        shown.click(".feature-slot > details > summary")
        shown.wait_for_selector(".feature-panel .places a")
        assert violations(shown) == []
        shown.click("text=Other prompts with this feature")
        ready(shown)
        shown.click(f'table.occurrences a:has-text("{other["prompt"]}")')
        shown.wait_for_selector(".node-panel .feature-slot")
        query = parse_qs(urlsplit(shown.url).query)
        assert (query["prompt"], query["node"]) == ([other["prompt"]], [other["key"]])
        assert f"{site[0]}:{site[1]}" in shown.inner_text(".node-panel h2")


def test_a_label_is_edited_beside_a_graph(writable: Server, browser: Any, site: tuple[int, int]) -> None:
    row = writable.ask("api/v1/occurrences", layer=site[0], feature=site[1])[1]["rows"][0]
    page = f"graph?{urlencode({'prompt': row['prompt'], 'node': row['key']})}"
    with opened(browser, writable, page) as shown:
        shown.wait_for_selector(".label-editor .label-text")
        shown.click(".add-label")
        shown.fill(".label-form textarea", "seen beside a graph")
        shown.press(".label-form textarea", "Enter")
        shown.wait_for_selector(".label-editor li >> nth=1")
        assert labels_of(writable, site) == [HOSTILE, "seen beside a graph"]
        shown.reload()
        shown.wait_for_function(
            "() => document.querySelector('.node-panel')?.textContent.includes('seen beside a graph')"
        )
