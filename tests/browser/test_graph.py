"""The graph page: drawing, keys, sliders, pins, links, undo, pictures, and graphs that lack something."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
import random_stores
from random_graphs import AWKWARD, finite, random_graph
from serving import Server, opened, served, violations

from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.annotations import write_groups
from distributed_tracer.store.format.annotation import PromptGroups
from distributed_tracer.store.reader import Store, open_store

pytestmark = pytest.mark.slow
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def dallas(small_store: Path) -> Graph:
    """The graph of the prompt about Dallas."""
    return open_store(str(small_store)).graph("dallas")


def show(shown: Any) -> None:
    """Wait until a graph is drawn and its panel is there."""
    shown.wait_for_selector(".surface[data-ready]")
    shown.wait_for_selector("#panel h2")


def address(prompt: str, **view: Any) -> str:
    return f"graph?{urlencode({'prompt': prompt, **view}, doseq=True, quote_via=quote)}"


def key_of(graph: Graph, node: int) -> str:
    """Return the name of a node in addresses."""
    kinds = ("feature", "error", "token", "target")
    nodes = graph.nodes
    site = (nodes.layer_N[node], nodes.position_N[node], nodes.feature_N[node])
    return ":".join([kinds[nodes.kind_N[node]], *map(str, site)])


def best_feature(graph: Graph) -> int:
    """Return the most influential feature or error, with which keys begin."""
    return int(np.argmax(np.where(graph.nodes.kind_N < 2, graph.influence_N, -1)))


def asked(shown: Any) -> dict[str, list[str]]:
    """Return the parameters of the page's address."""
    return parse_qs(urlsplit(shown.url).query)


def title(shown: Any) -> str:
    return re.sub(r"\s+", " ", shown.locator("#panel h2").first.text_content()).strip()


def test_keys_walk_select_pin_and_are_announced(server: Server, browser: Any, dallas: Graph) -> None:
    with opened(browser, server, address("dallas")) as shown:
        show(shown)
        shown.locator(".surface").focus()
        best = best_feature(dallas)
        shown.keyboard.press("ArrowUp")
        name = dallas.node_label(best)
        shown.wait_for_function("text => document.getElementById('said').textContent.startsWith(text)", arg=name[:12])
        shown.keyboard.press("Enter")
        shown.wait_for_url(re.compile("node="))
        assert asked(shown)["node"] == [key_of(dallas, best)]
        assert name.split()[1] in title(shown)
        assert "influence" in shown.text_content("#said")
        shown.keyboard.press("p")
        shown.wait_for_selector(".pins button.row")
        assert asked(shown)["pin"] == [key_of(dallas, best)]
        sources, weights = dallas.row(best)
        shown.keyboard.press("i")
        shown.wait_for_function(
            "key => new URLSearchParams(location.search).get('node') !== key", arg=key_of(dallas, best)
        )
        assert asked(shown)["node"] == [key_of(dallas, int(sources[np.argmax(np.abs(weights))]))]
        shown.keyboard.press("Escape")
        shown.wait_for_function("() => !new URLSearchParams(location.search).has('node')")
        assert title(shown) == "No node is selected"


def test_connections_are_the_rows_of_the_graph_by_share(server: Server, browser: Any, dallas: Graph) -> None:
    best = best_feature(dallas)
    sources, weights = dallas.row(best)
    share = weights / dallas.row_abs_sum_N[best]
    with opened(browser, server, address("dallas", node=key_of(dallas, best))) as shown:
        show(shown)
        shown.wait_for_selector(".connections")
        for heading, sign in (("Raised by", 1), ("Lowered by", -1)):
            block = shown.locator(".connections", has=shown.locator("h3", has_text=heading))
            order = [n for n in np.argsort(-sign * share, kind="stable") if sign * share[n] > 0]
            assert block.locator("h3 .count").text_content() == f"{len(order)}"
            said = [text.replace("−", "-") for text in block.locator(".share").all_text_contents()]
            assert said == [f"{100 * share[n]:+.1f}%" for n in order[:10]]
            first = block.locator("button.row").first
            at = int(dallas.nodes.position_N[sources[order[0]]])
            is_elsewhere = at != dallas.nodes.position_N[best]
            assert first.locator(".elsewhere").count() == is_elsewhere
        raised = shown.locator(".connections", has=shown.locator("h3", has_text="Raised by"))
        strong = sources[np.argsort(-share, kind="stable")[0]]
        raised.locator(".more").click()
        assert raised.locator("button.row").count() > 10
        raised.locator("button.row").first.click()
        shown.wait_for_function(
            "key => new URLSearchParams(location.search).get('node') === key", arg=key_of(dallas, int(strong))
        )


def test_clicks_select_ctrl_clicks_pin_and_hovering_tells(server: Server, browser: Any, dallas: Graph) -> None:
    with opened(browser, server, address("dallas")) as shown:
        show(shown)
        x, y = place_of(shown, "target:4:" + str(len(dallas.tokens_P) - 1) + ":0")
        shown.mouse.move(x + 5, y + 4)
        assert dallas.targets[0].label.strip() in shown.text_content(".tip")
        shown.mouse.click(x + 5, y + 4)
        shown.wait_for_function("() => new URLSearchParams(location.search).get('node')?.startsWith('target:')")
        shown.keyboard.down("Control")
        shown.mouse.click(x + 5, y + 4)
        shown.keyboard.up("Control")
        shown.wait_for_selector(".pins button.row")
        assert asked(shown)["pin"][0].startswith("target:")
        shown.mouse.click(x - 300, y)  # nothing is there
        shown.wait_for_function("() => !new URLSearchParams(location.search).has('node')")


def place_of(shown: Any, key: str) -> tuple[float, float]:
    """Return where a node is in the window: of all places, the one where the tip names it is found by the picture."""
    name = {"target": 3, "token": 2}[key.split(":")[0]]
    svg = picture_of(shown)
    marks = [one for one in svg.iter("{http://www.w3.org/2000/svg}path") if one.get("fill") == colour(shown, name)]
    numbers = [float(text) for text in re.findall(r"-?[\d.]+", marks[0].get("d"))]
    box = shown.locator(".surface").bounding_box()
    return box["x"] + 74 + numbers[0] + numbers[2] / 2, box["y"] + numbers[1] + numbers[3] / 2


def colour(shown: Any, kind: int) -> str:
    name = ("feature", "error", "token", "target")[kind]
    return str(shown.evaluate(f"() => getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()"))


def picture_of(shown: Any) -> ElementTree.Element:
    """Return the SVG of what is seen, parsed."""
    shown.evaluate(TWO_FRAMES)
    return ElementTree.fromstring(shown.evaluate(PICTURE + ".svg()"))


TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
PICTURE = "document.querySelector('.graph-page').picture()"


def wait_until_slider_says(shown: Any, number: int, pattern: str) -> None:
    """Wait for the text beside a slider: the page draws a view after the address has it."""
    has = (
        "([number, pattern]) => RegExp(pattern).test(document.querySelectorAll('.controls output')[number].textContent)"
    )
    shown.wait_for_function(has, arg=[number, pattern])


def test_sliders_are_one_command_each_and_undo_takes_them_back(server: Server, browser: Any, dallas: Graph) -> None:
    with opened(browser, server, address("dallas")) as shown:
        show(shown)
        share, edges = (shown.locator(".controls .slider input").nth(number) for number in (0, 1))
        share.fill("500")
        shown.wait_for_url(re.compile(r"share=0\.5"))
        share.fill("300")
        shown.wait_for_url(re.compile(r"share=0\.3"))
        edges.fill("0")
        shown.wait_for_url(re.compile(r"edges=0"))
        wait_until_slider_says(shown, 0, r"^30\.0% · \d+ of")
        wait_until_slider_says(shown, 1, "^0 of")
        shown.keyboard.press("Control+z")
        shown.wait_for_function("() => !location.search.includes('edges=')")
        shown.keyboard.press("Control+z")
        shown.wait_for_function("() => !location.search.includes('share=')")
        wait_until_slider_says(shown, 0, r"100\.0%")
        shown.keyboard.press("Control+Shift+z")
        shown.wait_for_url(re.compile(r"share=0\.3"))
        shown.go_back()
        shown.wait_for_function("() => !location.search.includes('share=')")
        wait_until_slider_says(shown, 0, r"100\.0%")


def test_a_link_shows_the_view_again(server: Server, browser: Any, dallas: Graph) -> None:
    best = key_of(dallas, best_feature(dallas))
    with opened(browser, server, address("dallas", node=best)) as shown:
        show(shown)
        shown.keyboard.press("p")
        shown.keyboard.press("[")
        shown.keyboard.press("[")
        shown.keyboard.press("{")
        shown.keyboard.press("+")
        shown.wait_for_url(re.compile("at="))
        shown.evaluate(TWO_FRAMES)
        link, seen = shown.url, shown.evaluate(PICTURE + ".svg()")
    with opened(browser, server, link.removeprefix(server.root)) as again:
        show(again)
        again.wait_for_selector(".pins button.row")
        again.evaluate(TWO_FRAMES)
        assert again.evaluate(PICTURE + ".svg()") == seen


def test_a_link_with_nodes_that_are_gone_says_so(server: Server, browser: Any) -> None:
    page = address("dallas", node="feature:0:0:99999", pin=[f"{EVIL}:1", "feature:3:1:88888"], share="much", group="{")
    with opened(browser, server, page) as shown:
        show(shown)
        said = shown.text_content(".notes")
        assert "3 nodes that the graph does not have" in said
        assert "share" in said
        assert "a group" in said
        assert EVIL in said
        assert shown.locator(".notes img").count() == 0


def test_groups_and_hidden_nodes_live_in_the_address(server: Server, browser: Any, dallas: Graph) -> None:
    best = key_of(dallas, best_feature(dallas))
    group = json.dumps({"name": EVIL, "members": [best]})
    with opened(browser, server, address("dallas", group=group, node=best)) as shown:
        show(shown)
        assert EVIL in shown.text_content(".groups summary")
        assert EVIL[:21] in "".join(picture_of(shown).itertext())
        shown.keyboard.press("h")
        shown.wait_for_selector(".hidden button.row")
        assert asked(shown)["hide"] == [best]
        shown.locator(".hidden > button").click()
        shown.wait_for_function("() => !location.search.includes('hide=')")


def test_pins_and_groups_of_the_store_are_shown_until_they_are_taken_away(
    small_store: Path, browser: Any, tmp_path: Path
) -> None:
    shutil.copytree(small_store, tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    graph = store.graph("dallas")
    nodes = graph.nodes
    sites = zip(nodes.layer_N.tolist(), nodes.position_N.tolist(), nodes.feature_N.tolist(), strict=True)
    pin, member = [NodeKey("feature", *site) for site, kind in zip(sites, nodes.kind_N, strict=True) if kind == 0][:2]
    said = PromptGroups("dallas", store.entry("dallas").asked, (Group(EVIL, (member,)),), (pin,))
    write_groups(store.root, [said])
    with served(tmp_path / "store", "--read-only") as server, opened(browser, server, address("dallas")) as shown:
        show(shown)
        assert EVIL in shown.text_content(".groups summary")
        shown.locator(".pins button.row").click()
        shown.wait_for_url(re.compile("node="))
        shown.keyboard.press("p")
        shown.wait_for_url(re.compile("pin=none"))
        shown.reload()
        show(shown)
        assert shown.locator(".pins").count() == 0
        assert shown.locator(".groups summary").count() == 1


def test_the_picture_is_svg_with_texts_and_png_of_the_same_size(server: Server, browser: Any, dallas: Graph) -> None:
    with opened(browser, server, address("dallas")) as shown:
        show(shown)
        svg = picture_of(shown)
        texts = ["".join(one.itertext()) for one in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert {"layer 0", "tokens", "targets", "␣Austin"} <= set(texts)
        png = f"{PICTURE}.png().then((blob) => createImageBitmap(blob)).then((made) => [made.width, made.height])"
        assert shown.evaluate(png) == [2 * int(svg.get("width")), 2 * int(svg.get("height"))]


def test_the_page_is_accessible_in_both_themes(server: Server, browser: Any, dallas: Graph) -> None:
    best = key_of(dallas, best_feature(dallas))
    for scheme in ("light", "dark"):
        with opened(browser, server, address("dallas", node=best, pin=best), color_scheme=scheme) as shown:
            show(shown)
            shown.wait_for_selector(".connections")
            shown.locator(".node-list summary").click()
            shown.wait_for_selector(".node-list tbody tr")
            assert violations(shown) == []
    with opened(browser, server, "graph?prompt=nobody") as shown:
        shown.wait_for_selector("[role=alert]")
        assert "nobody" in shown.text_content("[role=alert]")
        assert violations(shown) == []
        shown.problems.clear()  # the browser notes the answer 404


def test_a_new_label_is_in_the_drawing_at_once(small_store: Path, browser: Any, tmp_path: Path, dallas: Graph) -> None:
    shutil.copytree(small_store, tmp_path / "store")
    best = best_feature(dallas)
    site = {"layer": int(dallas.nodes.layer_N[best]), "feature": int(dallas.nodes.feature_N[best])}
    with (
        served(tmp_path / "store") as server,
        opened(browser, server, address("dallas", node=key_of(dallas, best))) as shown,
    ):
        show(shown)
        etag = shown.evaluate("async () => (await fetch('api/v1/graph?prompt=dallas')).headers.get('etag')")
        shown.wait_for_selector(".label-editor")
        status, answer = server.ask("api/v1/labels", {**site, "text": "says Texas", "author": "ana", "parents": []})
        assert status == 200, answer
        detail = {**site, "labels": answer["labels"]}
        shown.evaluate("detail => { dispatchEvent(new CustomEvent('labels', { detail })); }", detail)
        assert "says Texas" in "".join(picture_of(shown).itertext())
        other = shown.evaluate("async () => (await fetch('api/v1/graph?prompt=dallas')).headers.get('etag')")
        assert other != etag
        shown.reload()
        show(shown)
        assert "says Texas" in "".join(picture_of(shown).itertext())


def test_search_finds_nodes_by_all_words(server: Server, browser: Any, dallas: Graph) -> None:
    with opened(browser, server, address("dallas")) as shown:
        show(shown)
        shown.keyboard.press("/")
        shown.keyboard.type("token dallas")
        shown.wait_for_selector(".found button.row")
        assert shown.locator(".found button.row").count() == 1
        assert violations(shown) == []
        shown.keyboard.press("Enter")
        shown.wait_for_url(re.compile("node=token"))
        assert title(shown) == "Token ␣Dallas"
        shown.keyboard.press("/")
        shown.keyboard.type("nothing like this")
        shown.wait_for_function("() => document.querySelector('.found p').textContent === 'no node'")
        shown.keyboard.press("Escape")
        assert title(shown) == "Token ␣Dallas"
        assert shown.locator(".found").count() == 0


def test_neighbouring_prompts_are_one_key_away(server: Server, browser: Any, small_store: Path) -> None:
    ids = sorted(open_store(str(small_store)))
    place = ids.index("dallas")
    with opened(browser, server, address("dallas")) as shown:
        show(shown)
        shown.wait_for_selector(".neighbours a")
        shown.keyboard.press(".")
        shown.wait_for_url(re.compile(f"prompt={ids[place + 1]}"))
        show(shown)
        shown.wait_for_selector(".neighbours a")
        shown.keyboard.press(",")
        shown.wait_for_url(re.compile("prompt=dallas"))
        show(shown)


def whole_weights(graph: Graph) -> Graph:
    return replace(finite(graph), targets=graph.targets[:4])


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Store]]:
    """A server of graphs that lack something or have much of it."""
    unknown = random_graph("unknown", num_active=30)
    nothing = np.full(len(unknown.nodes), np.nan, dtype=np.float32)
    graphs = [
        replace(unknown, influence_N=nothing, row_abs_sum_N=nothing),
        replace(AWKWARD["one token"], prompt_id="one"),
        replace(AWKWARD["without edges"], prompt_id="bare"),
        replace(AWKWARD["without features"], prompt_id="none"),
        replace(AWKWARD["without targets, given as tokens"], prompt_id="tokens"),
        AWKWARD["unicode"],
        replace(whole_weights(random_graph("pair", num_targets=3, seed=11, density=0.6)), prompt_id="pair"),
        random_graph("long", seed=12, num_positions=400, num_active=300, num_layers=12, density=0.02, pruned=True),
    ]
    folder = str(tmp_path_factory.mktemp("odd") / "store")
    store = random_stores.make_store(folder, graphs)
    with served(folder, "--read-only", environment={}) as server:
        yield server, store


def test_odd_graphs_are_shown_with_what_they_have(odd: tuple[Server, Store], browser: Any) -> None:
    server, store = odd
    for prompt in store:
        with opened(browser, server, address(prompt)) as shown:
            show(shown)
            shown.locator(".surface").focus()
            shown.keyboard.press("ArrowDown")
            shown.keyboard.press("Enter")
            shown.wait_for_url(re.compile("node="))
            assert shown.locator("main img").count() == 0
            if prompt == "unknown":
                assert "influence of nodes is not known" in shown.text_content(".notes")
                assert "unknown" in shown.text_content("#panel dl")
            picture_of(shown)


def test_two_targets_are_compared_by_their_difference(odd: tuple[Server, Store], browser: Any) -> None:
    server, store = odd
    graph = store.graph("pair")
    nodes = [int(node) for node in np.flatnonzero(graph.nodes.kind_N == 3)]
    direct = np.zeros((2, len(graph.nodes)))
    for number, node in enumerate(nodes[:2]):
        sources, weights = graph.row(node)
        direct[number, sources] = weights
    difference = direct[0] - direct[1]
    share = difference / np.abs(difference).sum()
    with opened(browser, server, address("pair", a=key_of(graph, nodes[0]), b=key_of(graph, nodes[1]))) as shown:
        show(shown)
        block = shown.locator(".effects .connections").first
        said = [text.replace("−", "-") for text in block.locator(".share").all_text_contents()]
        assert said == [f"{100 * value:+.1f}%" for value in sorted(share[share > 0])[::-1][:10]]
        shown.locator(".targets select").nth(1).select_option("")
        shown.wait_for_function("() => !location.search.includes('&b=')")
        assert "−" not in shown.text_content(".effects h2")


def edges_in(shown: Any) -> set[str]:
    """Return the lines of the picture that are edges: those with two ends."""
    lines = [one.get("d") or "" for one in picture_of(shown).iter("{http://www.w3.org/2000/svg}path")]
    parts = (part for line in lines for part in re.findall(r"M[\d.-]+ [\d.-]+L[\d.-]+ [\d.-]+(?=M|$)", line))
    return set(parts)


def test_another_target_has_other_strongest_edges(odd: tuple[Server, Store], browser: Any) -> None:
    server, store = odd
    graph = store.graph("pair")
    a, b = (key_of(graph, int(node)) for node in np.flatnonzero(graph.nodes.kind_N == 3)[:2])
    seen = []
    for chosen in ({}, {"a": a}, {"a": b}, {"a": a, "b": b}):
        with opened(browser, server, address("pair", edges="30", **chosen)) as shown:
            show(shown)
            seen.append(edges_in(shown))
    assert all(len(edges) >= 30 for edges in seen)
    assert all(one != other for place, one in enumerate(seen) for other in seen[:place])


def test_long_prompts_fold_positions_and_unfold_them(odd: tuple[Server, Store], browser: Any) -> None:
    server, _ = odd
    with opened(browser, server, address("long", share="0.1")) as shown:
        show(shown)
        texts = "".join(picture_of(shown).itertext())
        assert "⋯ " in texts
        shown.keyboard.press("f")
        shown.wait_for_url(re.compile("open="))
        assert "⋯ " not in "".join(picture_of(shown).itertext())
        shown.locator(".zoom button", has_text="Fold").click()
        shown.wait_for_function("() => !location.search.includes('open=')")
        assert "⋯ " in "".join(picture_of(shown).itertext())


def test_fingers_pan_and_pinch(server: Server, browser: Any) -> None:
    with opened(browser, server, address("dallas"), has_touch=True) as shown:
        show(shown)
        box = shown.locator(".surface").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = shown.context.new_cdp_session(shown)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            touches = [{"x": one, "y": other, "id": number} for number, (one, other) in enumerate(points)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

        touch("touchStart", (x - 40, y), (x + 40, y))
        touch("touchMove", (x - 80, y), (x + 80, y))
        touch("touchMove", (x - 120, y), (x + 120, y))
        touch("touchEnd")
        shown.wait_for_url(re.compile("at="))
        scale = float(asked(shown)["at"][0].split(",")[2])
        shown.keyboard.press("0")
        shown.wait_for_function("() => !location.search.includes('at=')")
        shown.keyboard.press("+")
        shown.wait_for_url(re.compile("at="))
        assert scale > 2 * float(asked(shown)["at"][0].split(",")[2]) / 1.25


def test_a_large_graph_says_what_is_left_out_and_moves(tmp_path: Path, browser: Any) -> None:
    graph = random_graph("big", num_layers=20, num_positions=60, num_active=5_000, density=1 / 20)
    random_stores.make_store(str(tmp_path / "store"), [graph])
    with served(tmp_path / "store", "--read-only") as server:
        status, limited = server.ask("api/v1/graph", prompt="big", edges=1000)
        assert status == 200
        assert b"the page has 1,000 of" in limited
        with opened(browser, server, address("big")) as shown:
            show(shown)
            assert f"{graph.num_edges:,} edges" in shown.text_content(".scores")
            shown.locator(".controls .slider input").nth(0).fill("1000")
            shown.locator(".controls .slider input").nth(1).fill("1000")
            shown.wait_for_url(re.compile("edges="))
            shown.mouse.move(600, 400)
            shown.mouse.down()
            shown.mouse.move(660, 430, steps=5)
            shown.mouse.up()
            shown.wait_for_url(re.compile("at="))


def test_a_reply_is_sent_once_and_knows_densities(server: Server, small_store: Path) -> None:
    import struct
    import urllib.request

    asked_ = urllib.request.Request(f"{server.root}api/v1/graph?prompt=dallas")
    asked_.add_header("Authorization", f"Bearer {server.token}")
    with urllib.request.urlopen(asked_) as answer:
        etag, data = answer.headers["ETag"], answer.read()
    status, _ = server.ask("api/v1/graph", headers={"If-None-Match": etag}, prompt="dallas")
    assert status == 304
    size = struct.unpack("<I", data[:4])[0]
    header = json.loads(data[4 : 4 + size])
    arrays = {
        name: np.frombuffer(
            data, {"u1": "u1"}.get(one["dtype"], "<" + one["dtype"]), one["length"], 4 + size + one["offset"]
        )
        for name, one in header["arrays"].items()
    }
    store = open_store(str(small_store))
    graph = store.graph("dallas")
    is_feature = graph.nodes.kind_N == 0
    assert np.isnan(arrays["density"][~is_feature]).all()
    for node in np.flatnonzero(is_feature)[:20]:
        layer, feature = int(graph.nodes.layer_N[node]), int(graph.nodes.feature_N[node])
        prompts = {*store.occurrences(layer, feature)["prompt"]}
        assert arrays["density"][node] == np.float32(len(prompts) / len(store))


def test_the_panels_are_made_wider_with_the_mouse_and_with_keys_and_stay_so(server: Server, browser: Any) -> None:
    wide = "() => document.querySelector('.panels').getBoundingClientRect().width"
    with opened(browser, server, address("dallas")) as shown:
        show(shown)
        usual = shown.evaluate(wide)
        bar = shown.locator("[role=separator]").bounding_box()
        x, y = bar["x"] + bar["width"] / 2, bar["y"] + 200
        shown.mouse.move(x, y)
        shown.mouse.down()
        shown.mouse.move(x - 60, y)
        shown.mouse.move(x - 150, y)
        shown.mouse.up()
        assert abs(shown.evaluate(wide) - usual - 150) <= 1
        divider = shown.locator("[role=separator]")
        assert abs(int(divider.get_attribute("aria-valuenow")) - usual - 150) <= 1
        canvas = "() => document.querySelector('.drawing').clientWidth === document.querySelector('canvas').clientWidth"
        shown.wait_for_function(canvas)
        assert violations(shown) == []
        shown.keyboard.press("ArrowRight")  # the divider has the focus, so the key is not the drawing's
        shown.wait_for_function(f"width => ({wide})() === width", arg=round(usual + 150) - 20)
        assert "node=" not in shown.url
        shown.reload()
        show(shown)
        assert shown.evaluate(wide) == round(usual + 150) - 20
        shown.locator("[role=separator]").focus()
        shown.keyboard.press("End")
        shown.wait_for_function(f"width => ({wide})() === width", arg=1280 - 420)
        shown.set_viewport_size({"width": 1000, "height": 800})
        shown.wait_for_function(f"width => ({wide})() === width", arg=1000 - 420)
        shown.locator("[role=separator]").dblclick()
        shown.set_viewport_size({"width": 1280, "height": 800})
        shown.wait_for_function(f"width => ({wide})() === width", arg=usual)
