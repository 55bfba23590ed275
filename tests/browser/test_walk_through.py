"""The walk of docs/serve.md: from the list of prompts to a named diagram of supernodes, counted in clicks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from serving import opened, served

pytestmark = pytest.mark.slow

CLICKS = 6
"""The number that docs/serve.md gives: the prompt, the panel, suggestions, all of them, a box, saving."""


def test_why_does_it_say_austin(small_store: Path, browser: Any, tmp_path: Path) -> None:
    shutil.copytree(small_store, tmp_path / "store")
    with served(tmp_path / "store", "--author", "Ann") as server:
        with opened(browser, server) as shown:
            clicks = 0

            def click(selector: str) -> None:
                nonlocal clicks
                shown.click(selector)
                clicks += 1

            click("a:text-is('dallas')")
            click("#tab-subgraph")
            click("button:has-text('Suggest supernodes')")
            click("button:has-text('Accept all')")
            shown.wait_for_selector(".sg-box.sg-kind-group")
            assert shown.locator(".sg-box.sg-kind-group").count() > 1
            click(".sg-box.sg-kind-group >> nth=0")
            shown.wait_for_selector(".sg-box.sg-chosen")
            shown.keyboard.press("F2")
            shown.wait_for_selector(".sg-name input:focus")
            shown.fill(".sg-name input", "what says Austin")
            shown.keyboard.press("Enter")
            shown.wait_for_selector(".sg-title:has-text('what says')")
            click(".sg-saving button:has-text('Save')")
            shown.wait_for_selector(".sg-state:has-text('Saved by Ann')")
            assert clicks == CLICKS
        with opened(browser, server, "graph?prompt=dallas&panel=subgraph") as shown:
            shown.wait_for_selector(".sg-title:has-text('what says')")
