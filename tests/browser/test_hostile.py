"""Prompts, notes and results that mean harm, on every page: shown as text, run nowhere, and no other host is asked."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest
from serving import opened, served

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>"


def test_a_hostile_prompt_and_a_hostile_note_are_text_on_every_page(
    small_store: Path, tmp_path: Path, browser: object
) -> None:
    store = shutil.copytree(small_store, tmp_path / "store")
    with served(store) as server:
        note = {"prompt": HOSTILE, "text": f"{HOSTILE}\nhttps://evil.example/ \u202ereversed", "author": "<b>Ada</b>"}
        assert server.ask("api/v1/notes", note)[0] == 200
        prompt = urlencode({"prompt": HOSTILE})
        with opened(browser, server, f"graph?{prompt}&panel=notes") as shown:
            shown.wait_for_selector(".notes-panel .note")
            said = shown.text_content(".notes-panel .note")
            assert HOSTILE in said
            assert "\u202e" not in said
            assert "<b>Ada</b>" in said
            assert shown.locator(".notes-panel img, .notes-panel b").count() == 0
            shown.click("#tab-share")
            shown.wait_for_selector(".formats a")
        for page in ("", f"compare?{urlencode({'a': HOSTILE, 'b': 'dallas'})}", "feature?layer=2&feature=46", "about"):
            with opened(browser, server, page) as shown:
                shown.wait_for_selector("main h1")
                assert shown.locator("img[src='x']").count() == 0


def test_notes_are_written_undone_and_done_again(small_store: Path, tmp_path: Path, browser: object) -> None:
    store = shutil.copytree(small_store, tmp_path / "store")
    with served(store) as server, opened(browser, server, "graph?prompt=dallas&panel=notes") as shown:
        shown.click(".notes-panel button:has-text('Add a note')")
        shown.fill(".notes-panel textarea", "a note")
        shown.fill(".notes-panel input[name=author]", "Ada")
        shown.click(".notes-panel form button[type=submit]")
        shown.wait_for_selector(".notes-panel .note")
        shown.click("header button:has-text('Undo')")
        shown.wait_for_selector(".notes-panel .note", state="detached")
        shown.click("header button:has-text('Redo')")
        shown.wait_for_selector(".notes-panel .note")
        found = server.ask("api/v1/notes", prompt="dallas")[1]
        assert [one["content"]["text"] for one in found["notes"]] == ["a note"]
        assert found["num_records"] == 3
