"""The page of results shows every kind of result, hostile texts as texts, and what it leaves out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError, ResultError
from distributed_tracer.graph.labels import Label
from distributed_tracer.labels.in_store import add_labels
from distributed_tracer.mine.columns import Column
from distributed_tracer.mine.findings import KIND_COLUMN, Findings, FindingTable, mine_findings
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import Result
from distributed_tracer.result_page import page as page_module
from distributed_tracer.result_page.kinds import KINDS_OF_RESULTS
from distributed_tracer.result_page.page import write_report
from distributed_tracer.store.reader import Store, open_store

pytest.importorskip("pyarrow")
EVIL = (
    "</script><script>document.title='run'</script>",
    "<!--<script>",
    "<img src=x onerror=\"document.title='run'\">",
    "\u2028\u2029\u202e\x00\x1b[2J",
    "half \udc00 & &lt; ' \" `${1}` {body} {script}",
)
SOURCES = Path(page_module.__file__).parent / "html"
RNG = np.random.default_rng(0)


class Elements(HTMLParser):
    """All elements of a page with their attributes, and all text outside its style and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.code: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.code.setdefault(self.found[-1][0], data)
        else:
            self.text += data

    def number_of(self, tag: str, **attributes: str) -> int:
        return sum(name == tag and attributes.items() <= attrs.items() for name, attrs in self.found)


QUOTED = "after '\" est'"
"""A label that quotes a token, as rules write them."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    graphs = [random_graph(f"p{number}", seed=number, metadata={"family": EVIL[0]}) for number in range(3)]
    opened = make_store(str(tmp_path_factory.mktemp("page") / "a store"), graphs)
    add_labels(opened, [(1, 5, Label(EVIL[2], "me")), (0, 1, Label(QUOTED, "rules"))])
    return open_store(opened.url)


def made(
    store: Store,
    path: Path,
    what: str,
    tables: Mapping[str, Mapping[str, Any]],
    cluster: str | None = None,
    **said: Any,
) -> Result:
    """A result with these tables; the kind of a column follows from its values."""
    found = {}
    for name, rows in tables.items():
        kinds = {column: KIND_COLUMN if column.endswith("kind") else _column(column, rows[column]) for column in rows}
        found[name] = FindingTable(kinds, rows)
    prompts = choose_prompts(store, (), cluster)
    findings = Findings(found, said.get("facts", {}), said.get("warnings", ()))
    return mine_findings(path, what, prompts, said.get("options", {}), lambda: findings)


def _column(name: str, values: Any) -> Column:
    kind = "" if isinstance(values, list) else values.dtype.str[1:]
    return Column(kind, "1" if kind else EVIL[1], f"meaning of {name} {EVIL[2]}")


def contrast_rows(count: int = 40) -> dict[str, Any]:
    g = RNG.normal(0, 1, count)
    p = RNG.random(count)
    return {
        "layer": np.full(count, 1, np.int64),
        "feature": np.arange(count, dtype=np.int64),
        "g": np.where(np.arange(count) == 3, np.nan, g),
        "g_low": g - 1,
        "g_high": g + 1,
        "p": p,
        "q": p,
        "mean_a": g,
        "mean_b": -g,
        "half_1": g,
        "half_2": g + 0.1,
    }


def edge_rows(count: int = 12) -> dict[str, Any]:
    return {
        "source_kind": [2, 0] * (count // 2),
        "source_layer": np.array([-1, 0] * (count // 2), np.int16),
        "source_feature": np.arange(count, dtype=np.int32),
        "target_kind": [0, 3] * (count // 2),
        "target_layer": np.array([0, 3] * (count // 2), np.int16),
        "target_feature": np.arange(count, dtype=np.int32),
        "sum_share": np.linspace(-1, 1, count),
        "prompts": np.arange(count, dtype=np.int64),
    }


def written(results: Any, path: Path, **options: Any) -> Elements:
    write_report(results, path, **options)
    return Elements(path.read_text(encoding="utf-8"))


@pytest.fixture
def evil(store: Store, tmp_path: Path) -> Result:
    """A result whose every text tries to break out of the page."""
    rows = {
        "token": list(EVIL),
        EVIL[0]: list(EVIL),
        "layer": np.full(5, 1),
        "feature": np.full(5, 5),
        "p": RNG.random(5),
    }
    said = {"facts": {EVIL[0]: EVIL[2], "q": 0.5}, "warnings": EVIL, "options": {EVIL[2]: [EVIL[0]]}}
    drawn = {"name": list(EVIL), "share": np.ones(5), "low": np.zeros(5), "high": np.full(5, 2.0)}
    edges = {**edge_rows(), "source_layer": np.array([1, 1] * 6, np.int16), "source_kind": [0] * 12}
    tables = {"a<b>": rows, "intervals": drawn, "edges": {**edges, "target_layer": np.array([2, 3] * 6, np.int16)}}
    return made(store, tmp_path / "<b onclick=x>", EVIL[0], tables, "family", **said)


def test_hostile_texts_stay_texts(store: Store, evil: Result, tmp_path: Path) -> None:
    elements = written(evil, tmp_path / "page.html", store=store)
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"img", "b", "iframe", "object", "link", "form"}
    assert elements.number_of("script") == 1
    for said in (EVIL[0], EVIL[2], "<!--<script>", "\\u202e\\x00\\x1b[2J", "{body} {script}", "<b onclick=x>"):
        assert said in elements.text, said
    assert elements.number_of("svg") == 3
    assert not re.search(r"[\u202e\x00\x1b]|[\ud800-\udfff]", elements.text)
    plain = written(made(store, tmp_path / "plain", "plain", {"t": {"x": np.ones(2)}}), tmp_path / "plain.html")
    assert elements.code == plain.code
    said = [json.dumps(attributes) for _, attributes in elements.found]
    assert any("meaning of token <img src=x onerror" in text.replace('\\"', '"') for text in said)


def test_labels_are_quoted_as_they_are(store: Store, tmp_path: Path) -> None:
    edges = made(store, tmp_path / "edges", "edges", {"edges": edge_rows()})
    page = written(edges, tmp_path / "page.html", store=store)
    assert page.text.count(f"0:1 {QUOTED}") == 2  # the name in the picture, and its hint
    assert "\\" not in page.text.partition("edges")[2].partition("Where this comes from")[0]


def test_the_policy_allows_this_script_and_this_style_and_no_address(evil: Result, tmp_path: Path) -> None:
    elements = written(evil, tmp_path / "page.html")
    (policy,) = (attrs["content"] for tag, attrs in elements.found if attrs.get("http-equiv"))
    parts = dict(part.strip().partition(" ")[::2] for part in str(policy).split(";"))
    for tag, names in (("script", ["script.js"]), ("style", ["style.css", "picture.css"])):
        text = "".join((SOURCES / name).read_text(encoding="utf-8") for name in names)
        assert elements.code[tag] == text
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert parts[f"{tag}-src"] == f"'sha256-{digest}'"
    assert parts["default-src"] == "'none'"
    for tag, attributes in elements.found:
        assert not attributes.keys() & {"src", "srcset", "action", "style", "data", "xlink:href"}, tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#")[0] == "#", tag
    for source in SOURCES.iterdir():
        text = source.read_text(encoding="utf-8")
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|WebSocket|sendBeacon|import\(|https?:", text), source
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|srcdoc", text), (
            source
        )


def test_every_kind_is_shown_with_tests_warnings_tables_and_pictures(store: Store, tmp_path: Path) -> None:
    said = {"facts": {"tested": 40, "found": 2, "q": 0.05}, "warnings": ("few clusters, says the command",)}
    contrast = made(
        store, tmp_path / "c", "contrast", {"features": contrast_rows(), "tokens": {"token": [" a", "b"]}}, **said
    )
    atlas = made(store, tmp_path / "a", "atlas", {"edges": edge_rows()})
    layers = {"layer": np.arange(4), "share": RNG.random(4), "low": np.zeros(4), "high": np.ones(4)}
    places = {"layer": np.repeat([0, 1], 3), "from_end": np.tile([0, 1, 2], 2), "share": RNG.random(6)}
    dark = made(store, tmp_path / "d", "dark-matter", {"layers": layers, "layers_from_end": places}, "family")
    elements = written([contrast, atlas, dark], tmp_path / "page.html", store=store)
    assert elements.number_of("section") == 3
    assert "3 results of mining; 40 tests were made for them" in elements.text
    assert elements.text.count("What the data cannot say") == 3
    assert "Few clusters, says the command" in elements.text
    assert elements.text.count("tests madenone") == 2, "an atlas and shares of errors describe"
    unknown = written(made(store, tmp_path / "u", "of tomorrow", {"t": layers}), tmp_path / "unknown.html")
    assert "tests madenot recorded" in unknown.text
    assert elements.text.count("No clusters were named") == 2
    assert "␣a" in elements.text
    captions = [str(attrs["aria-label"]) for tag, attrs in elements.found if tag == "svg"]
    for caption in (
        "against its p-value",
        "All 40 values of p",
        "with its interval",
        "half 2 against half 1",
        "edges of the table",
    ):
        assert sum(caption in text for text in captions) == 1, (caption, captions)
    assert sum("share by layer" in text for text in captions) == 2
    assert elements.number_of("table") == 5
    assert "<img src=x onerror" in elements.text, "the label of feature 1:5"


@pytest.mark.parametrize("what", [*KINDS_OF_RESULTS, "a kind of tomorrow"])
@pytest.mark.parametrize("is_empty", [False, True])
def test_no_kind_needs_a_column_or_a_row(what: str, is_empty: bool, store: Store, tmp_path: Path) -> None:
    rows: dict[str, Any] = {"some_text": ["x", "y"], "number": np.array([1.5, np.inf]), "layer": np.array([1, 1])}
    if is_empty:
        rows = {name: values[:0] for name, values in rows.items()}
    view = KINDS_OF_RESULTS.get(what)
    names = dict.fromkeys([*(view.tables if view else ()), *(["other"] if not view or view.has_more_tables else [])])
    elements = written(made(store, tmp_path / "r", what, dict.fromkeys(names, rows)), tmp_path / "page.html")
    assert elements.number_of("table") == (0 if is_empty else len(names))
    assert ("The table has no rows." in elements.text) == is_empty


def test_a_table_has_its_strongest_rows_and_says_what_it_leaves_out(store: Store, tmp_path: Path) -> None:
    atlas = made(store, tmp_path / "a", "atlas", {"edges": edge_rows(40)})
    elements = written(atlas, tmp_path / "page.html", top=3)
    assert elements.number_of("tr") == 1 + 3
    cells = [attrs["data-v"] for tag, attrs in elements.found if tag == "td" and "data-v" in attrs]
    shares = [float(str(value)) for value in cells[2::4]]
    rows = edge_rows(40)
    kept = rows["sum_share"][(rows["prompts"] >= 2) & (rows["source_layer"] >= 0)]
    assert shares == sorted(kept, key=lambda share: -abs(share))[:3]
    assert "3 of 40 rows of the table edges, largest absolute sum_share first; 21 rows with" in elements.text
    for top in (0, 2_001):
        with pytest.raises(ConfigError, match="between 1 and 2,000 rows"):
            write_report(atlas, tmp_path / "page.html", top=top)


def test_a_page_does_not_say_on_whose_machine_it_was_made(store: Store, tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "facts": {"atlas": str(tmp_path / "secret" / "atlas")},
        "options": {"atlas": "s3://bucket/secret/x?key=1"},
    }
    page = written(
        made(store, tmp_path / "r", "vectors", {"t": {"x": np.ones(2)}}, **said), tmp_path / "page.html"
    ).text
    assert "secret" not in page
    assert str(tmp_path) not in page
    assert "of the store “a store”" in page


def test_what_cannot_be_shown_is_refused_before_anything_is_written(store: Store, tmp_path: Path) -> None:
    result = made(store, tmp_path / "r", "vectors", {"t": {"x": np.ones(2)}})
    with pytest.raises(ConfigError, match="no result"):
        write_report([], tmp_path / "page.html")
    with pytest.raises(ConfigError, match="no directory"):
        write_report(result, tmp_path / "none" / "page.html")
    with pytest.raises(ResultError, match="no result of mining"):
        write_report([result, tmp_path / "nothing"], tmp_path / "page.html")
    damaged = next((tmp_path / "r" / "tables").iterdir())
    damaged.write_bytes(b"x")
    with pytest.raises(ResultError):
        write_report(tmp_path / "r", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_the_command_writes_a_page(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(store, tmp_path / "r", "atlas", {"edges": edge_rows()})
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "r"), "--out", str(page), "--store", store.url, "--top", "5"]) == 0
    assert "wrote 1 result to" in capsys.readouterr().out
    assert Elements(page.read_text(encoding="utf-8")).number_of("tr") == 1 + 5
    assert main(["report", "--out", str(page)]) == 1
    assert "name at least one folder" in capsys.readouterr().err


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright.sync_api", reason="the page in a browser: playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("the page in a browser: there is no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def test_a_browser_sorts_and_filters_asks_for_nothing_and_fits_a_tablet(
    browser: Any, store: Store, evil: Result, tmp_path: Path
) -> None:
    rows = {"name": ["b", "a", "c"], "value": np.array([2.0, np.nan, 10.0])}
    plain = made(store, tmp_path / "plain", "plain", {"t": rows, "edges": edge_rows(40)})
    path = tmp_path / "page.html"
    write_report([plain, evil, made(store, tmp_path / "c", "contrast", {"features": contrast_rows()})], path, store)
    context = browser.new_context(offline=True, viewport={"width": 820, "height": 1180})
    problems: list[str] = []
    shown = context.new_page()
    shown.on("console", lambda message: problems.append(message.text))
    shown.on("pageerror", lambda error: problems.append(str(error)))
    shown.on("dialog", lambda dialog: problems.append(dialog.message))
    shown.on("request", lambda asked: None if asked.url == path.as_uri() else problems.append(asked.url))
    shown.goto(path.as_uri())
    shown.wait_for_selector("html[data-ready]")
    assert shown.title() != "run"
    assert shown.evaluate("document.documentElement.scrollWidth") == 820
    table = shown.locator("table").filter(has_text="value")
    names = table.locator("tbody tr td:first-child")
    table.locator("th button", has_text="value").focus()
    shown.keyboard.press("Enter")
    assert names.all_text_contents() == ["c", "b", "a"], "what is not known is last"
    shown.keyboard.press("Enter")
    assert names.all_text_contents() == ["b", "c", "a"]
    table.locator("th button", has_text="name").click()
    assert names.all_text_contents() == ["a", "b", "c"]
    assert table.locator("th").first.get_attribute("aria-sort") == "ascending"
    shown.locator("input[type=search]").nth(1).fill("B")
    assert table.locator("tbody tr:visible").count() == 1
    context.close()
    assert problems == []
