"""The panel of pinned nodes and supernodes: drawing, grouping, moving, saving, suggestions, pictures, keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from serving import Server, opened, served, violations

from distributed_tracer.graph.context import Group
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.subgraph_scores import subgraph_scores
from distributed_tracer.query.merged_edges import merged_edges
from distributed_tracer.serve.node_names import key_text, parse_key
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow
HOSTILE = '<img src=x onerror=alert(1)>, "a"\u202e'


@pytest.fixture
def writing(store: Path) -> Iterator[Server]:
    with served(store, "--author", "ann") as found:
        yield found


@pytest.fixture(scope="module")
def dallas(small_store: Path) -> Graph:
    return open_store(str(small_store)).graph("dallas")


def keys(graph: Graph, kind: NodeKind = NodeKind.FEATURE) -> list[str]:
    """Keys of the nodes of one kind, the most influential first."""
    every, nodes = node_keys(graph), graph.nodes.where(kind)
    return [key_text(every[node]) for node in sorted(nodes, key=lambda node: -graph.influence_N[node])]


def page(pins: list[str], groups: list[dict[str, Any]] | None = None, **more: Any) -> str:
    written = [json.dumps(group) for group in groups or []]
    query = {"prompt": "dallas", "panel": "subgraph", "pin": pins, "group": written, **more}
    return f"graph?{urlencode(query, doseq=True)}"


def ids(shown: Any) -> list[str]:
    found: list[str] = shown.eval_on_selector_all(".sg-box", "boxes => boxes.map((box) => box.dataset.id)")
    return found


def box(shown: Any, key: str) -> Any:
    return shown.locator(f'.sg-box[data-id="{key}"] .sg-frame').first


def state(shown: Any) -> dict[str, Any]:
    """Groups, pins and places of the address."""
    found: dict[str, Any] = shown.evaluate(
        "() => { const has = new URLSearchParams(location.search); return { sg: has.getAll('sg'), "
        "pins: has.getAll('pin'), groups: has.getAll('group').filter((one) => one !== 'none').map(JSON.parse) }; }"
    )
    return found


def wait_for_groups(shown: Any, *names: str) -> None:
    shown.wait_for_function(
        "names => JSON.stringify(new URLSearchParams(location.search).getAll('group').filter((one) => one !== 'none')"
        ".map((one) => JSON.parse(one).name)) === names",
        arg=json.dumps(names, separators=(",", ":"), ensure_ascii=False),
    )


def test_pins_and_supernodes_are_drawn_with_the_edges_between_them(server: Server, browser: Any, dallas: Graph) -> None:
    features, tokens, targets = keys(dallas), keys(dallas, NodeKind.TOKEN), keys(dallas, NodeKind.TARGET)
    group = {"name": HOSTILE, "members": features[:5]}
    pins = [*features[5:8], *tokens, *targets, keys(dallas, NodeKind.ERROR)[0]]
    with opened(browser, server, page(pins, [group], sgleast="0")) as shown:
        shown.wait_for_selector(".sg-box")
        assert ids(shown) == [features[0], *pins]
        assert shown.locator(".sg-kind-group").get_attribute("aria-label").startswith("supernode <img src=x")
        assert shown.locator(".sg-title img").count() == 0
        rows = merged_edges(
            dallas, [Group("", tuple(map(parse_key, features[:5])))], list(map(parse_key, pins)), "whole"
        ).rows()
        expected = [row for row in rows if row["share"] != 0]
        assert shown.locator(".sg-edge").count() == len(expected)
        assert f"{len(expected)} of " in shown.inner_text(".sg-shown")
        strongest = max(abs(row["share"]) for row in expected)
        shown.fill(".sg-shown input[type=range]", "0.3")
        shown.wait_for_function(
            "count => document.querySelectorAll('.sg-edge').length === count",
            arg=sum(abs(row["share"]) >= 0.3 for row in expected),
        )
        assert strongest >= 0.3
        # Tokens stand at the bottom in the order of the text, the target on top.
        places = {key: box(shown, key).bounding_box() for key in pins}
        order = sorted(tokens, key=lambda key: parse_key(key).position)
        assert [*sorted(tokens, key=lambda key: places[key]["x"])] == order
        assert max(places[key]["y"] for key in features[5:8]) < places[tokens[0]]["y"]
        assert min(places.values(), key=lambda place: place["y"]) == places[targets[0]]


def test_the_diagram_and_the_graph_are_linked(server: Server, browser: Any, dallas: Graph) -> None:
    a, b, c, d, *_ = keys(dallas)
    with opened(browser, server, page([c, d], [{"name": "two", "members": [a, b]}])) as shown:
        box(shown, c).click()
        shown.wait_for_function("key => new URLSearchParams(location.search).get('node') === key", arg=c)
        shown.wait_for_selector(f'.sg-current[data-id="{c}"]')
        # A member of a supernode is a dot, which selects the member alone.
        shown.locator(f'.sg-box[data-id="{a}"] .sg-dot').nth(1).click()
        shown.wait_for_function("key => new URLSearchParams(location.search).get('node') === key", arg=b)
        shown.wait_for_selector(f'.sg-current[data-id="{a}"]')
        # The other way round: what the mouse is on in the drawing is lit here.
        shown.evaluate("() => { document.activeElement.blur(); }")
        shown.mouse.move(5, 5)
        canvas = shown.locator(".graph-left canvas").first.bounding_box()
        for step in range(0, int(canvas["width"]), 8):
            for down in range(0, int(canvas["height"]), 16):
                shown.mouse.move(canvas["x"] + step, canvas["y"] + down)
                if shown.locator(".sg-hovered").count():
                    return
        raise AssertionError("no node of the drawing lights a box")


def test_boxes_are_chosen_with_shift_grouped_renamed_changed_and_ungrouped(
    server: Server, browser: Any, dallas: Graph
) -> None:
    a, b, c, d, *_ = keys(dallas)
    with opened(browser, server, page([a, b, c, d])) as shown:
        box(shown, a).click()
        box(shown, b).click(modifiers=["Shift"])
        shown.keyboard.press("g")
        name = shown.locator(".sg-name input")
        name.wait_for()
        shown.wait_for_function("() => document.activeElement.closest('.sg-name') !== null")
        name.fill('capital, "of"')
        name.press("Enter")
        wait_for_groups(shown, 'capital, "of"')
        assert state(shown)["groups"] == [{"name": 'capital, "of"', "members": [a, b]}]
        assert sorted(ids(shown)) == sorted([a, c, d])
        # A node that is selected in the graph is added; a member is removed and stays pinned.
        box(shown, c).click()
        box(shown, a).click(position={"x": 8, "y": 8})
        shown.click("text=Add ", strict=False) if False else shown.locator(
            ".sg-chosen-unit button", has_text="Add"
        ).click()
        shown.wait_for_function("() => document.querySelectorAll('.sg-chosen-unit li').length === 3")
        assert state(shown)["groups"][0]["members"] == [a, b, c]
        shown.locator(".sg-chosen-unit li", has_text="Remove").nth(1).get_by_text("Remove").click()
        shown.wait_for_function("() => document.querySelectorAll('.sg-chosen-unit li').length === 2")
        assert state(shown)["groups"][0]["members"] == [a, c]
        assert b in ids(shown)
        shown.click(".sg-row button:has-text('Ungroup')")
        wait_for_groups(shown)
        assert sorted(ids(shown)) == sorted([a, b, c, d])
        # Every step can be taken back: ungroup, remove, add, rename, group, with the selections between them.
        for _ in range(12):
            if shown.locator("header button:has-text('Undo')").is_enabled():
                shown.click("header button:has-text('Undo')")
        shown.wait_for_function("() => !new URLSearchParams(location.search).has('group')")
        assert state(shown)["pins"] == [a, b, c, d]
        shown.click("header button:has-text('Redo')")


def test_g_is_held_to_choose_and_a_rectangle_chooses_too(server: Server, browser: Any, dallas: Graph) -> None:
    a, b, c, d, *_ = keys(dallas)
    with opened(browser, server, page([a, b, c, d])) as shown:
        box(shown, a).hover()
        shown.keyboard.down("g")
        box(shown, a).click()
        box(shown, c).click()
        assert shown.locator(".sg-chosen").count() == 2
        shown.keyboard.up("g")
        shown.wait_for_selector(".sg-kind-group")
        assert state(shown)["groups"][0]["members"] == [a, c]
        assert shown.url.startswith(f"{server.root}graph")  # and not the page of prompts, where g leads elsewhere
        shown.keyboard.press("Escape")
        diagram = shown.locator(".sg-diagram").bounding_box()
        shown.mouse.move(diagram["x"] + 2, diagram["y"] + 2)
        shown.mouse.down()
        shown.mouse.move(diagram["x"] + 60, diagram["y"] + 60)
        shown.mouse.move(diagram["x"] + diagram["width"] - 3, diagram["y"] + diagram["height"] - 3)
        assert shown.locator(".sg-band").count() == 1
        shown.mouse.up()
        shown.wait_for_function("() => document.querySelectorAll('.sg-chosen').length === 3")
        shown.keyboard.press("Delete")
        shown.wait_for_selector("text=Nothing is pinned")
        shown.keyboard.press("Control+z")
        shown.wait_for_function("() => document.querySelectorAll('.sg-box').length === 3")


def test_a_box_is_dragged_and_the_address_keeps_its_place(server: Server, browser: Any, dallas: Graph) -> None:
    a, b, *_ = keys(dallas)
    with opened(browser, server, page([a, b, *keys(dallas, NodeKind.TOKEN)])) as shown:
        before = box(shown, a).bounding_box()
        shown.mouse.move(before["x"] + 10, before["y"] + 10)
        shown.mouse.down()
        shown.mouse.move(before["x"] + 40, before["y"] + 30)
        shown.mouse.move(before["x"] + 50, before["y"] + 45)
        shown.mouse.up()
        shown.wait_for_function("() => new URLSearchParams(location.search).getAll('sg').length === 1")
        (kept,) = state(shown)["sg"]
        assert kept.startswith(f"{a}@")
        shown.reload()
        shown.wait_for_selector(".sg-box")
        assert state(shown)["sg"] == [kept]
        transform = (
            "key => { const box = [...document.querySelectorAll('.sg-box')].find((one) => one.dataset.id === key)"
        )
        place = shown.evaluate(
            f"{transform}.querySelector('.sg-frame'); return [box.x, box.width].map((one) => one.baseVal.value); }}", a
        )
        assert round(place[0] + place[1] / 2) == int(kept.partition("@")[2].partition(",")[0])
        shown.click("text=Lay out again")
        shown.wait_for_function("() => !new URLSearchParams(location.search).has('sg')")
        shown.keyboard.press("Control+z")
        shown.wait_for_function("() => new URLSearchParams(location.search).getAll('sg').length === 1")


def x_of(shown: Any, key: str) -> float:
    """Return the middle of a box in units of the diagram."""
    found: float = shown.evaluate(
        "key => { const frame = document.querySelector(`.sg-box[data-id='${key}'] .sg-frame`);"
        "return frame.x.baseVal.value + frame.width.baseVal.value / 2; }",
        key,
    )
    return found


def test_places_of_boxes_are_saved_with_the_groups(writing: Server, store: Path, browser: Any, dallas: Graph) -> None:
    a, b, c, *_ = keys(dallas)
    with opened(browser, writing, page([c], [{"name": "two", "members": [a, b]}])) as shown:
        shown.click(".sg-saving button:text-is('Save')")
        shown.wait_for_selector("text=Saved by ann")
        laid_out = x_of(shown, a)
        shown.locator(f'.sg-box[data-id="{a}"]').focus()
        shown.keyboard.press("Shift+ArrowRight")
        shown.keyboard.press("Shift+ArrowRight")
        shown.wait_for_selector("text=Unsaved changes")
        moved = x_of(shown, a)
        assert round(moved - laid_out) == 20
        shown.click(".sg-saving button:text-is('Save')")
        shown.wait_for_selector("text=Saved by ann")
        ((key, place),) = writing.ask("api/v1/groups", prompt="dallas")[1]["places"].items()
        assert (key, place[0]) == (a, round(moved))
        shown.click("header button:has-text('Undo')")  # the save, and not the move
        shown.wait_for_selector("text=Unsaved changes")
        assert writing.ask("api/v1/groups", prompt="dallas")[1]["places"] == {}
        assert x_of(shown, a) == moved
        shown.click("header button:has-text('Redo')")
        shown.wait_for_selector("text=Saved by ann")
    # Another person who opens the prompt sees the boxes there, and can lay them out again.
    with opened(browser, writing, "graph?prompt=dallas&panel=subgraph") as shown:
        shown.wait_for_selector("text=Saved by ann")
        assert round(x_of(shown, a)) == round(moved)
        assert state(shown)["sg"] == []
        shown.click("text=Lay out again")
        shown.wait_for_selector("text=Unsaved changes")
        assert round(x_of(shown, a)) == round(laid_out)
        assert state(shown)["sg"] == ["none"]
        shown.click("text=Go back to what is saved")
        shown.wait_for_selector("text=Saved by ann")
        assert round(x_of(shown, a)) == round(moved)
        assert state(shown)["sg"] == []


def test_keys_that_come_before_the_next_frame_each_count(server: Server, browser: Any, dallas: Graph) -> None:
    a = keys(dallas)[0]
    with opened(browser, server, page([a])) as shown:
        shown.locator(f'.sg-box[data-id="{a}"]').focus()
        laid_out = x_of(shown, a)
        shown.evaluate(
            """async () => {
              const key = { key: "ArrowRight", shiftKey: true, bubbles: true, cancelable: true };
              for (let pressed = 0; pressed < 5; pressed++) {
                document.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
                await null;
              }
            }"""
        )
        assert round(x_of(shown, a) - laid_out) == 50


def test_everything_is_done_with_keys(server: Server, browser: Any, dallas: Graph) -> None:
    a, b, *_ = keys(dallas)
    token, target = keys(dallas, NodeKind.TOKEN)[0], keys(dallas, NodeKind.TARGET)[0]
    with opened(browser, server, page([a, b, token, target])) as shown:
        shown.wait_for_selector(".sg-box")
        focused = "() => document.activeElement.dataset.id"
        shown.locator(".sg-box[tabindex='0']").focus()
        assert shown.locator(".sg-box[tabindex='0']").count() == 1
        for _ in range(4):
            shown.keyboard.press("ArrowDown")
        assert shown.evaluate(focused) == token
        for _ in range(4):
            shown.keyboard.press("ArrowUp")
        assert shown.evaluate(focused) == target
        shown.locator(f'.sg-box[data-id="{a}"]').focus()
        shown.keyboard.press("Space")
        shown.keyboard.press("Shift+ArrowRight")
        shown.wait_for_function("() => new URLSearchParams(location.search).getAll('sg').length === 1")
        shown.locator(f'.sg-box[data-id="{b}"]').focus()
        shown.keyboard.press("Space")
        assert shown.locator("[aria-selected=true].sg-box").count() == 2
        shown.keyboard.press("g")
        shown.wait_for_function("() => document.activeElement.closest('.sg-name') !== null")
        shown.keyboard.press("Escape")  # leaves the name, with the focus on the box
        shown.wait_for_function("key => document.activeElement.dataset.id === key", arg=a)
        shown.keyboard.press("F2")
        shown.wait_for_function("() => document.activeElement.closest('.sg-name') !== null")
        shown.keyboard.type("both")
        shown.keyboard.press("Enter")
        wait_for_groups(shown, "both")
        shown.wait_for_function("key => document.activeElement.dataset.id === key", arg=a)
        shown.keyboard.press("u")
        wait_for_groups(shown)
        shown.keyboard.press("Escape")
        shown.locator(f'.sg-box[data-id="{b}"]').focus()
        shown.keyboard.press("Delete")
        shown.wait_for_function("() => document.querySelectorAll('.sg-box').length === 3")
        assert state(shown)["pins"] == [a, token, target]
        shown.keyboard.press("?")
        listed = shown.inner_text("dialog.keys")
        assert "subgraph" in listed
        assert "rename the supernode" in listed


def test_scores_are_those_of_the_function(server: Server, browser: Any, dallas: Graph) -> None:
    features = keys(dallas)
    with opened(browser, server, page(features[:4], [{"name": "x", "members": features[4:12]}])) as shown:
        shown.wait_for_selector(".sg-score")
        found = subgraph_scores(dallas, [parse_key(key) for key in features[:12]])
        text = shown.inner_text(".sg-scores")
        assert f"{found.replacement:.2f} of " in text
        assert f"{found.completeness:.2f} of " in text
        assert f"12 of {len(features)} features" in text


def test_suggestions_are_accepted_and_refused(server: Server, browser: Any) -> None:
    _, answer = server.ask("api/v1/suggested_groups", prompt="dallas")
    first, _, *others = answer["groups"]
    with opened(browser, server, page([])) as shown:
        shown.click("text=Suggest supernodes")
        shown.wait_for_selector(".sg-suggestions li")
        assert shown.locator(".sg-suggestions li").count() == len(answer["groups"])
        assert violations(shown) == []
        shown.click(".sg-suggestions li >> nth=0 >> text=Accept")
        wait_for_groups(shown, first["name"])
        assert state(shown)["groups"] == [first]
        shown.click(".sg-suggestions li >> nth=0 >> text=Refuse")
        shown.wait_for_function(
            "count => document.querySelectorAll('.sg-suggestions li').length === count", arg=len(others)
        )
        shown.keyboard.press("Control+z")
        shown.wait_for_function(
            "count => document.querySelectorAll('.sg-suggestions li').length === count", arg=len(others) + 1
        )
        shown.keyboard.press("Control+Shift+z")
        shown.click("text=Accept all")
        wait_for_groups(shown, first["name"], *(one["name"] for one in others))
        shown.wait_for_selector("text=No suggestion is left")
        shown.click("text=Add tokens and targets")
        shown.wait_for_selector(".sg-kind-target")
        assert shown.locator(".sg-kind-token").count() > 0


def test_a_save_is_an_annotation_that_can_be_taken_back(
    writing: Server, store: Path, browser: Any, dallas: Graph
) -> None:
    a, b, c, *_ = keys(dallas)
    with opened(browser, writing, page([c], [{"name": HOSTILE, "members": [a, b]}])) as shown:
        shown.wait_for_selector("text=Unsaved changes")
        assert shown.input_value(".sg-author") == "ann"
        shown.click(".sg-saving button:text-is('Save')")
        shown.wait_for_selector("text=Saved by ann")
        context = open_store(str(store)).context("dallas")
        assert context.groups == (Group(HOSTILE, (parse_key(a), parse_key(b))),)
        assert context.pins == (parse_key(c),)
        shown.click("header button:has-text('Undo')")
        shown.wait_for_selector("text=Unsaved changes")
        assert open_store(str(store)).context("dallas").groups == ()
        shown.click("header button:has-text('Redo')")
        shown.wait_for_selector("text=Saved by ann")
        assert open_store(str(store)).context("dallas").groups == context.groups
    # A new page begins with what is saved, and a link without groups shows them.
    with opened(browser, writing, "graph?prompt=dallas&panel=subgraph") as shown:
        shown.wait_for_selector(".sg-kind-group")
        assert ids(shown) == [a, c]
        shown.wait_for_selector("text=Saved by ann")
        box(shown, c).click()
        shown.click(".sg-row button:has-text('Unpin')")
        shown.wait_for_selector("text=Unsaved changes")
        shown.click("text=Go back to what is saved")
        shown.wait_for_selector("text=Saved by ann")
        assert ids(shown) == [a, c]


def test_two_people_who_save_at_once_lose_nothing(writing: Server, store: Path, browser: Any, dallas: Graph) -> None:
    a, b, _c, _d, *_ = keys(dallas)
    writing.ask("api/v1/groups?prompt=dallas", {"groups": [{"name": "first", "members": [a, b]}]})
    begin = "graph?prompt=dallas&panel=subgraph"
    with opened(browser, writing, begin) as ann, opened(browser, writing, begin) as bob:
        for shown in (ann, bob):
            shown.wait_for_selector("text=Saved by ann")
        bob.fill(".sg-author", "bob")
        for shown, name in ((ann, "ann's"), (bob, "bob's")):
            box(shown, a).click(position={"x": 8, "y": 8})
            shown.fill(".sg-name input", name)
            shown.press(".sg-name input", "Enter")
            shown.wait_for_selector("text=Unsaved changes")
        ann.click(".sg-saving button:text-is('Save')")
        ann.wait_for_selector("text=Saved by ann")
        bob.click(".sg-saving button:text-is('Save')")
        bob.wait_for_selector("text=Saved by bob")
        # What ann saved is shown to bob, too, and both count; the first one is replaced by either.
        names = [group.name for group in open_store(str(store)).context("dallas").groups]
        assert names == ["ann's", "bob's"]
        wait_for_groups(bob, "ann's", "bob's")


def test_a_link_from_before_does_not_overwrite_what_was_saved_since(
    writing: Server, store: Path, browser: Any, dallas: Graph
) -> None:
    a, b, _c, d, *_ = keys(dallas)
    link = page([d])
    writing.ask("api/v1/groups?prompt=dallas", {"groups": [{"name": "since", "members": [a, b]}], "author": "bob"})
    with opened(browser, writing, link) as shown:
        shown.wait_for_selector("text=1 annotation of others (bob)")
        shown.click("text=Show them")
        shown.wait_for_selector(".sg-kind-group")
        assert ids(shown) == [a, d]
        shown.click("header button:has-text('Undo')")
        shown.click(".sg-saving button:text-is('Save')")
        shown.wait_for_selector("text=Saved by ann")
        context = open_store(str(store)).context("dallas")
        assert [group.name for group in context.groups] == ["since"]
        assert context.pins == (parse_key(d),)


def test_a_read_only_server_says_so_and_refuses(server: Server, browser: Any, dallas: Graph) -> None:
    with opened(browser, server, page(keys(dallas)[:1])) as shown:
        shown.wait_for_selector("text=This server is read-only")
        assert shown.locator(".sg-saving button:text-is('Save')").count() == 0
    status, answer = server.ask("api/v1/groups?prompt=dallas", {"pins": []})
    assert (status, answer["error"]["kind"]) == (403, "ReadOnly")


def test_bodies_that_are_too_large_or_of_another_origin_are_refused(writing: Server, store: Path) -> None:
    many = {"pins": [f"feature:0:0:{number}" for number in range(70_000)]}
    assert writing.ask("api/v1/groups?prompt=dallas", many)[0] == 413
    status, answer = writing.ask("api/v1/groups?prompt=dallas", {"pins": ["feature:0:0:987654"]})
    assert (status, answer["error"]["kind"]) == (400, "ConfigError")
    foreign = {"Origin": "https://evil.example"}
    assert writing.ask("api/v1/groups?prompt=dallas", {"pins": []}, foreign, bearer=False)[0] == 403
    assert writing.ask("api/v1/groups?prompt=nobody", {"pins": []})[0] == 404
    assert open_store(str(store)).context("dallas").pins == ()


def test_the_picture_has_all_boxes_as_text_and_nothing_of_the_page(
    server: Server, browser: Any, dallas: Graph, tmp_path: Path
) -> None:
    a, b, c, *_ = keys(dallas)
    with opened(
        browser, server, page([c, *keys(dallas, NodeKind.TOKEN)], [{"name": HOSTILE + "\ufffe\x07", "members": [a, b]}])
    ) as shown:
        shown.wait_for_selector(".sg-box")
        with shown.expect_download() as kept:
            shown.click(".sg-shown button:has-text('SVG')")
        plain = Path(kept.value.path()).read_text("utf-8")
        box(shown, c).click()
        shown.wait_for_selector(".sg-chosen")
        with shown.expect_download() as kept:
            shown.click(".sg-shown button:has-text('SVG')")
        assert shown.locator(".sg-chosen").count() == 1
        frames = [line.count("<rect") for line in (plain, Path(kept.value.path()).read_text("utf-8"))]
        assert frames[0] == frames[1]
        selected = shown.evaluate("() => getComputedStyle(document.querySelector('.sg-chosen .sg-frame')).stroke")
        assert selected not in Path(kept.value.path()).read_text("utf-8")
        assert kept.value.suggested_filename == "subgraph-dallas.svg"
        text = Path(kept.value.path()).read_text("utf-8")
        root = ElementTree.fromstring(text)
        shapes = [element.tag.rpartition("}")[2] for element in root.iter()]
        assert set(shapes) <= {"svg", "g", "rect", "path", "text", "title", "circle"}
        assert "<img src=x" in "".join(root.itertext())
        assert "var(" not in text
        assert "class=" not in text
        with shown.expect_download() as kept:
            shown.click(".sg-shown button:has-text('PNG')")
        assert Path(kept.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_panel_is_accessible_and_says_the_diagram_in_words(
    server: Server, browser: Any, dallas: Graph, scheme: str
) -> None:
    a, b, c, *_ = keys(dallas)
    pins = [c, *keys(dallas, NodeKind.TOKEN), *keys(dallas, NodeKind.TARGET)]
    with opened(browser, server, page(pins, [{"name": "two", "members": [a, b]}]), color_scheme=scheme) as shown:
        shown.wait_for_selector(".sg-score")
        box(shown, a).click(position={"x": 8, "y": 8})
        shown.click(".sg-words summary")
        items = shown.locator(".sg-words > ul > li")
        assert items.count() == 1 + len(pins)
        assert "2 nodes" in items.nth(0).inner_text()
        assert shown.locator(".sg-words li li").count() == shown.locator(".sg-edge").count()
        assert violations(shown) == []
