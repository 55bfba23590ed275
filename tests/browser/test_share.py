"""The panels Share and Notes: pictures are saved as files, and a note has the name that its author gave."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from serving import Server, opened, served, violations

pytestmark = pytest.mark.slow


def test_pictures_of_what_is_seen_are_saved_as_files(server: Server, browser: Any, tmp_path: Path) -> None:
    with opened(browser, server, "graph?prompt=dallas&panel=share") as shown:
        for button, name, begin in (("Picture (PNG)", "dallas.png", b"\x89PNG"), ("Picture (SVG)", "dallas.svg", b"<")):
            with shown.expect_download() as coming:
                shown.click(f"button:has-text('{button}')")
            assert coming.value.suggested_filename == name
            coming.value.save_as(tmp_path / name)
            assert (tmp_path / name).read_bytes().startswith(begin)
        assert violations(shown) == []


def test_a_note_has_its_author_who_is_known_the_next_time(small_store: Path, browser: Any, tmp_path: Path) -> None:
    shutil.copytree(small_store, tmp_path / "store")
    with served(tmp_path / "store", "--author", "the server's") as server:
        with opened(browser, server, "graph?prompt=dallas&panel=notes") as shown:
            shown.click("button:has-text('Add a note')")
            assert shown.input_value("input[name=author]") == "the server's"
            shown.fill("input[name=author]", "Ann")
            shown.fill("textarea", "why Austin? <b>look</b>")
            shown.click("form button:has-text('Save')")
            shown.wait_for_selector("text=why Austin? <b>look</b>")
            shown.reload()
            shown.wait_for_selector("text=why Austin? <b>look</b>")
            shown.click("button:has-text('Add a note')")
            assert shown.input_value("input[name=author]") == "Ann"
            assert violations(shown) == []
        (note,) = server.ask("api/v1/prompt_notes", prompt="dallas")[1]["notes"]
        assert (note["author"], note["content"]["text"]) == ("Ann", "why Austin? <b>look</b>")
