"""Every page reports what is damaged or unreadable, until it is dismissed or repaired."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from serving import opened, served, violations

pytestmark = pytest.mark.slow
LOOK = "() => document.dispatchEvent(new Event('visibilitychange'))"


def damage_a_part(store: Path) -> None:
    for chunk in (store / "parts").glob("*/prompts/text/c/*"):
        chunk.write_bytes(b"\x00" * chunk.stat().st_size)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_damage_is_said_on_every_page_until_it_is_dismissed(
    small_store: Path, tmp_path: Path, browser: Any, scheme: str
) -> None:
    store = Path(shutil.copytree(small_store, tmp_path / "store"))
    damage_a_part(store)
    (store / "annotations" / "notes").mkdir(parents=True)
    (store / "annotations" / "notes" / f"{'0' * 32}.json").write_text("<b>no annotation</b>")
    with served(store, "--read-only") as server, opened(browser, server, color_scheme=scheme) as shown:
        shown.wait_for_selector(".troubles p.failed:has-text('only sizes and scores are known')")
        shown.wait_for_selector("table.prompts tbody tr")
        assert shown.locator("main p.failed").count() == 0  # it is said once
        assert violations(shown) == []
        shown.click("nav[aria-label=Pages] >> text=About")
        shown.wait_for_selector("dl.words")
        assert "only sizes and scores are known" in shown.inner_text(".troubles")
        shown.click(".troubles summary")
        assert "an annotation is left out" in shown.inner_text(".troubles")
        assert shown.locator(".troubles b").count() == 0
        assert violations(shown) == []
        shown.click(".troubles button")
        assert shown.locator(".troubles").count() == 0
        shown.keyboard.press("g")
        shown.wait_for_selector("table.prompts tbody tr")
        assert shown.locator(".troubles").count() == 0
        shown.reload()
        shown.wait_for_selector(".troubles p.failed:has-text('only sizes and scores are known')")


def test_a_server_that_has_gone_is_said_and_the_page_stays(small_store: Path, browser: Any) -> None:
    with served(small_store, "--read-only") as server, opened(browser, server, "graph?prompt=dallas") as shown:
        shown.wait_for_selector(".surface[data-ready]")
        assert shown.locator(".troubles").count() == 0
        server.process.send_signal(signal.SIGINT)
        server.process.wait(30)
        shown.evaluate(LOOK)
        shown.wait_for_selector(".troubles p.failed:has-text('the server does not answer')")
        assert shown.locator(".surface[data-ready]").count() == 1
        shown.problems.clear()  # the browser notes that nobody answered
