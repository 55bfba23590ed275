"""The page of a graph: it holds the graph exactly, asks no other host for anything, and takes no text for markup."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_graphs import AWKWARD, random_graph
from rounding import of_roundings

from distributed_tracer.export import page as page_module
from distributed_tracer.export.formats import export_graph
from distributed_tracer.graph.context import GraphContext, Group, NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.graph.node_keys import node_keys

EVIL = (
    "</script><script>document.title='run'</script>",
    "<!--<script>",
    "<img src=x onerror=\"document.title='run'\">",
    "\u2028\u2029\u202e\x00\x1b[2J",
    "\ud800 half \udc00 & &lt; ' \" `${1}`",
)
SOURCES = Path(page_module.__file__).parent / "html"


class Elements(HTMLParser):
    """All elements of a page with their attributes, and the text of those that hold text alone."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self.is_inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.is_inside = True

    def handle_endtag(self, tag: str) -> None:
        self.is_inside = False

    def handle_data(self, data: str) -> None:
        if self.is_inside:
            here = len(self.found) - 1
            self.texts[here] = self.texts.get(here, "") + data

    def text_of(self, tag: str, **attributes: str) -> str:
        (found,) = (
            self.texts[number]
            for number, (name, attrs) in enumerate(self.found)
            if name == tag and attributes.items() <= attrs.items()
        )
        return found


@pytest.fixture
def evil() -> Graph:
    """A graph whose every text tries to break out of the page."""
    graph = random_graph(EVIL[0], text="".join(EVIL), num_targets=2)
    targets = tuple(replace(target, label=label) for target, label in zip(graph.targets, EVIL, strict=False))
    return replace(graph, token_strings=EVIL, targets=targets)


def context_of(graph: Graph) -> GraphContext:
    """Labels, groups and pins with texts of the same kind."""
    nodes = graph.nodes
    keys = [
        NodeKey("feature", *(int(c[n]) for c in (nodes.layer_N, nodes.position_N, nodes.feature_N))) for n in (0, 1)
    ]
    site = (keys[0].layer, keys[0].feature)
    return GraphContext(
        labels=Labels.of([(*site, Label(EVIL[2], EVIL[0])), (99, 5, Label("elsewhere", "x"))]),
        groups=(Group(EVIL[1], (*keys, NodeKey("feature", 7, 0, 1))), Group(EVIL[1], ())),
        pins=(keys[1], NodeKey("error", 9, 9, -1)),
        model=EVIL[4],
    )


def exported(graph: Graph, context: GraphContext, path: Path) -> tuple[Elements, Any]:
    export_graph(graph, path, context=context)
    elements = Elements(path.read_text(encoding="utf-8"))
    return elements, json.loads(elements.text_of("script", type="application/json"))


def array(text: str, dtype: str) -> Any:
    return np.frombuffer(base64.b64decode(text), dtype)


def test_hostile_texts_stay_texts_and_come_back_whole(evil: Graph, tmp_path: Path) -> None:
    elements, data = exported(evil, context_of(evil), tmp_path / "g.html")
    assert data["tokens"] == list(EVIL)
    assert data["text"] == evil.text
    assert data["prompt"] == EVIL[0]
    assert [target["label"] for target in data["targets"]] == list(EVIL[:2])
    assert data["labels"][0][2] == [[EVIL[2], EVIL[0]]]
    assert len(data["labels"]) == 1, "labels of features that the graph does not have are left out"
    assert data["groups"][0] == {"name": EVIL[1], "members": [0, 1], "missing": 1}
    assert data["groups"][1] == {"name": EVIL[1], "members": [], "missing": 0}
    assert data["pins"] == [1]
    assert data["notes"] == ["1 pinned node not in the page"]
    plain, _ = exported(random_graph("p"), GraphContext(), tmp_path / "plain.html")
    assert [tag for tag, _ in elements.found] == [tag for tag, _ in plain.found]
    assert "onerror" in elements.text_of("title") or "script" in elements.text_of("title")


@pytest.mark.parametrize("case", [name for name in AWKWARD if name != "wide"])
def test_nodes_and_edges_are_in_the_page_bit_for_bit_strongest_edges_first(case: str, tmp_path: Path) -> None:
    graph = AWKWARD[case]
    _, data = exported(graph, GraphContext(), tmp_path / "g.html")
    for name, column, dtype in (
        ("kind", graph.nodes.kind_N, "u1"),
        ("layer", graph.nodes.layer_N, "<i2"),
        ("position", graph.nodes.position_N, "<i4"),
        ("feature", graph.nodes.feature_N, "<i4"),
        ("activation", graph.nodes.activation_N, "<f4"),
        ("influence", graph.influence_N, "<f4"),
    ):
        assert array(data[name], dtype).tobytes() == column.tobytes(), name
    found = zip(*(array(data[name], d).tolist() for name, d in (("source", "<i4"), ("target", "<i4"))), strict=True)
    order = {edge: number for number, edge in enumerate(found)}
    true = list(graph.edges())
    assert len(order) == len(true)
    at = [order[source, target] for source, target, _ in true]
    assert array(data["weight"], "<f4")[at].tobytes() == graph.weight_E.tobytes()
    row_N, weight_E = array(data["row"], "<f4"), np.nan_to_num(array(data["weight"], "<f4"))
    start_N = graph.influence_N + graph.target_weights_N()
    passed = [abs(w) / row_N[t] * start_N[t] for w, t in zip(weight_E, array(data["target"], "<i4"), strict=True)]
    slack = 1 - of_roundings(torch.float32, 3)  # rows are float32 here, and of float64 before
    assert all(a >= b * slack for a, b in itertools.pairwise(passed))


def test_what_is_beyond_the_limits_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    graph = random_graph("p", seed=3)
    monkeypatch.setattr(page_module, "MOST_NODES", 20)
    monkeypatch.setattr(page_module, "MOST_EDGES", 30)
    notes = export_graph(graph, tmp_path / "g.html")
    _, data = exported(graph, GraphContext(), tmp_path / "g.html")
    assert (
        notes
        == data["notes"]
        == [
            f"the page has 20 of {len(graph.nodes)} nodes, the most influential",
            f"the page has 30 of {graph.num_edges} edges, those that pass on most influence",
        ]
    )
    assert len(array(data["kind"], "u1")) == 20
    assert (array(data["kind"], "u1") == 3).sum() == len(graph.targets)
    assert len(array(data["source"], "<i4")) == 30


@pytest.mark.parametrize(
    ("place", "said"),
    [("org/name@main", "org/name@main"), ("/home/somebody/secret/model", "model"), ("../secret/model", "model")],
)
def test_a_page_does_not_say_on_whose_machine_it_was_made(place: str, said: str, tmp_path: Path) -> None:
    _, data = exported(random_graph("p"), GraphContext(model=place, transcoders=place), tmp_path / "g.html")
    assert data["facts"][-2:] == [f"model {said}", f"transcoders {said}"]


def test_the_policy_allows_this_script_and_this_style_and_nothing_else(evil: Graph, tmp_path: Path) -> None:
    elements, _ = exported(evil, context_of(evil), tmp_path / "g.html")
    ((_, meta),) = (item for item in elements.found if item[1].get("http-equiv") == "Content-Security-Policy")
    policy = dict(part.strip().partition(" ")[::2] for part in str(meta["content"]).split(";"))
    script = next(elements.texts[n] for n, (tag, attrs) in enumerate(elements.found) if tag == "script" and not attrs)
    for text, rule in ((script, "script-src"), (elements.text_of("style"), "style-src")):
        assert policy.pop(rule) == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert policy == {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}
    order = [tag for tag, attrs in elements.found if attrs.get("http-equiv") or tag in ("script", "style")]
    assert order == ["meta", "style", "script", "script"], "the policy comes before what it governs"


def test_no_part_of_the_page_names_an_address_or_makes_markup_of_text(tmp_path: Path) -> None:
    elements, _ = exported(random_graph("p"), GraphContext(), tmp_path / "g.html")
    for tag, attributes in elements.found:
        assert not attributes.keys() & {"src", "href", "srcset", "action", "data", "poster", "style", "onclick"}, tag
        assert not any(name.startswith("on") for name in attributes), tag
    for source in SOURCES.iterdir():
        text = source.read_text(encoding="utf-8")
        assert "//" not in re.sub(r"(?m)(^| )// .*$", "", text), source
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|WebSocket|sendBeacon|import\(", text), source
    script = (SOURCES / "script.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|srcdoc", script)
    assert "</" not in script
    assert "<!--" not in script


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """A function that opens a file without any network. Nothing but the file is asked for, and no error is shown."""
    context = browser.new_context(offline=True)
    problems: list[str] = []

    def open_(path: Path) -> Any:
        shown = context.new_page()
        shown.on("console", lambda message: problems.append(message.text))
        shown.on("pageerror", lambda error: problems.append(str(error)))
        shown.on("dialog", lambda dialog: problems.append(dialog.message))
        shown.on("request", lambda asked: None if asked.url == path.as_uri() else problems.append(asked.url))
        shown.goto(path.as_uri())
        shown.wait_for_selector("html[data-ready]")
        return shown

    yield open_
    context.close()
    assert problems == []


def test_a_browser_shows_hostile_texts_as_texts(opened: Any, evil: Graph, tmp_path: Path) -> None:
    export_graph(evil, tmp_path / "g.html", context=context_of(evil))
    shown = opened(tmp_path / "g.html")
    assert shown.title() != "run"
    assert shown.text_content("#title").startswith(EVIL[0])
    assert shown.locator("#groups button").count() == 2
    shown.click("#pinned button")
    assert shown.text_content("#selected dt") == "kind"
    shown.fill("#search", f"{evil.nodes.layer_N[0]}:{evil.nodes.feature_N[0]}")
    shown.click("#found button")
    assert EVIL[2] in shown.text_content("#selected .label")
    assert shown.locator("img").count() == 0


def test_a_browser_shows_communities_as_colours(opened: Any, evil: Graph, tmp_path: Path) -> None:
    keys = [key for key in node_keys(evil) if key.kind == "feature"]
    absent = NodeKey("feature", 7, 0, 1)
    communities = [Group(f"one {place}", (key,)) for place, key in enumerate(keys[1:], 1)]
    communities = [Group(EVIL[1], (keys[0], absent)), *communities[:-1], Group("elsewhere", (absent,))]
    context = replace(context_of(evil), communities=tuple(communities))
    _, data = exported(evil, context, tmp_path / "g.html")
    assert {one["name"] for one in data["communities"]} == {one.name for one in communities[:-1]}
    assert sorted(node for one in data["communities"] for node in one["members"]) == [*range(len(keys) - 1)]
    shown = opened(tmp_path / "g.html")
    listed = shown.locator("#communities li").all_text_contents()
    assert len(listed) == len(communities)
    assert listed[-1] == "● features without one (1)"
    assert shown.locator("img").count() == 0
    plain = tmp_path / "plain.html"
    export_graph(evil, plain, context=context_of(evil))
    assert opened(plain).locator("#communities *").count() == 0


def test_a_browser_answers_clicks_keys_search_and_sliders(opened: Any, tmp_path: Path) -> None:
    graph = replace(random_graph("p", num_active=30), token_strings=tuple(f" w{n}" for n in range(5)))
    graph = replace(graph, weight_E=np.nan_to_num(graph.weight_E))
    export_graph(graph, tmp_path / "g.html")
    shown = opened(tmp_path / "g.html")
    best = int(np.argmax(np.where(graph.nodes.kind_N < 2, graph.influence_N, -1)))
    shown.focus("#canvas")
    shown.keyboard.press("ArrowUp")
    expected = graph.node_label(best).removeprefix("feature ").replace("error of layer", "error")
    assert shown.text_content("#selected h2").startswith(expected)
    sources, weights = graph.row(best)
    if len(sources):
        order = np.argsort(-np.abs(weights), kind="stable")
        share = float(weights[order[0]]) / float(graph.row_abs_sum_N[best])
        first = shown.locator("#selected ul").first.locator("button").first
        assert first.locator(".share").text_content().replace("−", "-") == f"{100 * share:+.1f}%"
    shown.keyboard.press("p")
    assert shown.locator("#pinned button").count() == 1
    shown.keyboard.press("Escape")
    assert shown.text_content("#selected h2") == "No node is selected"
    shown.keyboard.press("/")
    shown.keyboard.type("token ␣w3")
    shown.keyboard.press("Enter")
    assert shown.text_content("#selected h2").startswith("token ␣w3")
    shown.locator("#share").fill("100")
    said = shown.text_content("#share-said")
    assert said.startswith("10.0%")
    inner = int((graph.nodes.kind_N < 2).sum())
    assert 0 < int(re.findall(r", (\d+) of", said)[0]) < inner / 2
    shown.locator("#edges").fill("0")
    assert shown.text_content("#edges-said").startswith("0 of ")
    box = shown.locator("#canvas").bounding_box()
    shown.keyboard.press("Escape")
    for x, up in itertools.product(range(80, int(box["width"]), 24), range(90, 200, 24)):  # near the lower edge
        shown.mouse.click(box["x"] + x, box["y"] + box["height"] - up)
        if "token" in shown.text_content("#selected h2"):
            break
    assert "token" in shown.text_content("#selected h2")


def test_a_browser_shows_a_graph_whose_influence_is_not_known(opened: Any, tmp_path: Path) -> None:
    graph = random_graph("p", num_active=400)
    unknown = np.full(len(graph.nodes), np.nan, dtype=np.float32)
    targets = tuple(replace(target, weight=float("nan")) for target in graph.targets)
    export_graph(replace(graph, influence_N=unknown, row_abs_sum_N=unknown, targets=targets), tmp_path / "g.html")
    shown = opened(tmp_path / "g.html")
    assert re.search(r", 300 of \d+ features", shown.text_content("#share-said"))
    shown.focus("#canvas")
    shown.keyboard.press("ArrowUp")
    assert "unknown" in shown.text_content("#selected dl")


def test_a_browser_shows_thousands_of_nodes_and_a_hundred_thousand_edges(opened: Any, tmp_path: Path) -> None:
    graph = random_graph("p", num_layers=20, num_positions=60, num_active=5_000, density=1 / 244)
    export_graph(graph, tmp_path / "g.html")
    shown = opened(tmp_path / "g.html")
    assert "of 100,000, strongest first" in shown.text_content("#edges-said")
    assert f"the page has 100,000 of {graph.num_edges:,} edges" in shown.text_content("#notes")
    shown.locator("#edges").fill("1000")
    shown.locator("#share").fill("1000")
    assert shown.text_content("#edges-said").startswith("100,000 of")
    frame = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    shown.evaluate(frame)


def test_every_file_of_the_package_goes_into_its_wheel() -> None:
    package = SOURCES.parents[1]
    settings = tomllib.loads((package.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["distributed_tracer"]
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert SOURCES / "script.js" in files
    assert files <= packed
