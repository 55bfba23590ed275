"""Named sets of prompts: kept in the store for everyone, with author, undo and removal; in the browser otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server, opened, served, violations

from distributed_tracer.store.annotation_log import AnnotationCache
from distributed_tracer.store.format.annotation_entry import VIEWS
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow
CAPITALS, STATES = "?where=topic%3Dcapitals", "?where=topic%3Dstates"
HOSTILE = "<b>odd</b> & “ones” \u202e"


@pytest.fixture
def writing(store: Path) -> Iterator[Server]:
    with served(store, "--author", "the server's") as found:
        yield found


def kept(store: Path) -> list[tuple[str, str, str]]:
    """Name, address and author of each view of the store that counts, as any reader finds them."""
    cache = AnnotationCache(open_store(str(store)).root)
    cache.refresh([VIEWS])
    heads = cache.heads(VIEWS, Subject.of_store())
    return [(one.content["name"], one.content["address"], one.author) for one in heads if one.content]


def count(shown: Any, text: str) -> None:
    shown.wait_for_function("text => document.querySelector('.counts')?.textContent.includes(text)", arg=text)


def open_list(shown: Any) -> None:
    shown.wait_for_selector("details.sets summary")
    if not shown.locator("details.sets[open]").count():
        shown.click("details.sets summary")


def keep(shown: Any, name: str, author: str = "") -> None:
    open_list(shown)
    shown.fill("details.sets input[name=set]", name)
    if author:
        shown.fill("details.sets input[name=author]", author)
    shown.click("details.sets form button")


def names(shown: Any) -> list[str]:
    found: list[str] = shown.locator("details.sets li button[aria-pressed]").all_inner_texts()
    return found


def wait_for_names(shown: Any, *wanted: str) -> None:
    shown.wait_for_function(
        "wanted => JSON.stringify([...document.querySelectorAll('details.sets li button[aria-pressed]')]"
        ".map((one) => one.textContent)) === JSON.stringify(wanted)",
        arg=list(wanted),
    )


def test_a_set_is_seen_by_others_with_its_author_and_can_be_taken_back(
    writing: Server, store: Path, browser: Any
) -> None:
    with opened(browser, writing, CAPITALS) as ann:
        count(ann, "3 of 5 prompts")
        open_list(ann)
        assert ann.input_value("details.sets input[name=author]") == "the server's"
        keep(ann, HOSTILE, "Ann")
        ann.wait_for_function("() => new URLSearchParams(location.search).has('set')")
        wait_for_names(ann, HOSTILE.replace("\u202e", "·").strip())
        assert violations(ann) == []
        ((name, address, author),) = kept(store)
        assert (name, author) == (HOSTILE, "Ann")
        assert address.startswith("?where=topic%3Dcapitals&set=%3Cb%3E")
    with opened(browser, writing) as bob:
        count(bob, "5 prompts")
        open_list(bob)
        assert "Ann, 20" in bob.inner_text("details.sets li .said")
        bob.click("details.sets li button[aria-pressed]")
        count(bob, "3 of 5 prompts")
        assert bob.locator("details.sets b").count() == 0
        bob.click("details.sets li button.close")
        wait_for_names(bob)
        assert kept(store) == []
        bob.click("header button:has-text('Undo')")
        wait_for_names(bob, HOSTILE.replace("\u202e", "·").strip())
        assert [one[0] for one in kept(store)] == [HOSTILE]


def test_keeping_is_undone_and_done_again(writing: Server, store: Path, browser: Any) -> None:
    with opened(browser, writing, STATES) as shown:
        count(shown, "1 of 5 prompts")
        keep(shown, "states")
        shown.wait_for_function("() => location.search.includes('set=states')")
        shown.click("header button:has-text('Undo')")
        shown.wait_for_function("() => !location.search.includes('set=')")
        wait_for_names(shown)
        assert kept(store) == []
        shown.click("header button:has-text('Redo')")
        shown.wait_for_function("() => location.search.includes('set=states')")
        wait_for_names(shown, "states")
        assert [one[0] for one in kept(store)] == ["states"]


def test_two_people_who_keep_at_once_lose_nothing(writing: Server, store: Path, browser: Any) -> None:
    with opened(browser, writing, CAPITALS) as ann, opened(browser, writing, STATES) as bob:
        for shown, said in ((ann, "3 of 5"), (bob, "1 of 5")):
            count(shown, said)
            open_list(shown)
        # Both have read that there is no set; each keeps another filter under the same name.
        keep(ann, "mine", "Ann")
        ann.wait_for_function("() => location.search.includes('set=mine')")
        keep(bob, "mine", "Bob")
        bob.wait_for_function("() => location.search.includes('set=mine')")
        wait_for_names(bob, "mine", "mine")
        assert {(name, author) for name, _, author in kept(store)} == {("mine", "Ann"), ("mine", "Bob")}
        # Who has seen both may replace them: one is left, and undo brings both back.
        assert bob.inner_text("details.sets form button") == "Keep"
        bob.fill("details.sets input[name=set]", "mine")
        bob.click("details.sets form button:has-text('Replace')")
        wait_for_names(bob, "mine")
        assert [(name, address.partition("&")[0]) for name, address, _ in kept(store)] == [("mine", STATES)]
        bob.click("header button:has-text('Undo')")
        wait_for_names(bob, "mine", "mine")
        assert {address.partition("&")[0] for _, address, _ in kept(store)} == {CAPITALS, STATES}


def test_a_store_that_cannot_be_written_leaves_the_set_to_the_browser(
    server: Server, writing: Server, store: Path, browser: Any
) -> None:
    with opened(browser, server, STATES) as shown:
        count(shown, "1 of 5 prompts")
        open_list(shown)
        assert "read-only" in shown.inner_text("details.sets .list")
        keep(shown, "local")
        wait_for_names(shown, "local")
        assert "in this browser" in shown.inner_text("details.sets li")
        shown.click("header button:has-text('Undo')")
        wait_for_names(shown)
        shown.click("header button:has-text('Redo')")
        wait_for_names(shown, "local")
        shown.goto(server.root)
        count(shown, "5 prompts")
        open_list(shown)
        wait_for_names(shown, "local")
        shown.click("details.sets li button.close")
        shown.wait_for_selector("details.sets", state="detached")
    # Sets that a browser kept before the store could be written are shared with one click.
    with opened(browser, writing, STATES) as shown:
        count(shown, "1 of 5 prompts")
        shown.evaluate(
            "async () => { const { url } = await (await fetch('api/v1/store')).json();"
            "const old = [{ name: 'old', where: ['topic=states'], search: '' }];"
            "localStorage.setItem(`sets ${url}`, JSON.stringify(old)); }"
        )
        shown.reload()
        count(shown, "1 of 5 prompts")
        open_list(shown)
        shown.click("details.sets li button.share")
        shown.wait_for_selector("details.sets li button.share", state="detached")
        wait_for_names(shown, "old")
        assert [one[0] for one in kept(store)] == ["old"]
        assert shown.evaluate("Object.entries(localStorage).find(([key]) => key.startsWith('sets '))[1]") == "[]"
