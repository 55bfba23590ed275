"""Who gets in: the token, the cookie, the host's name, the origin of changes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from serving import Server, opened, violations

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", ["", "graph?prompt=dallas", "api/v1/store", "api/v1/graph?prompt=dallas"])
def test_without_the_token_nothing_of_the_store_is_seen(path: str, server: Server) -> None:
    status, content = server.ask(path, bearer=False)
    assert status == 401
    assert b"dallas" not in content
    assert server.ask(path, bearer=False, headers={"Authorization": "Bearer wrong"})[0] == 401


def test_a_name_of_another_site_is_not_answered(server: Server) -> None:
    status, content = server.ask("api/v1/store", headers={"Host": "evil.example:80"})
    assert status == 421
    assert b"--allow-host" in content


def test_a_wrong_token_and_a_foreign_next_page_lead_nowhere(server: Server, browser: Any) -> None:
    assert server.ask("enter", bearer=False, token="wrong")[0] == 403
    for to in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
        shown = browser.new_page()
        shown.route(re.compile("^https?://evil"), lambda route: route.abort())
        shown.goto(f"{server.root}enter?token={server.token}&next={to}")
        assert shown.url.split("?")[0] == server.root
        shown.close()


def test_the_page_that_asks_for_the_token_takes_it(server: Server, browser: Any) -> None:
    shown = browser.new_page()
    shown.goto(server.root)
    assert violations(shown) == []
    shown.fill("input[name=token]", server.token)
    shown.click("button")
    shown.wait_for_selector("header.top nav")
    shown.close()


def test_what_the_address_asks_is_refused_with_words(server: Server) -> None:
    for path, said in (
        ("api/v1/graph", "the parameter prompt is missing"),
        ("api/v1/graph?prompt=nobody", "no prompt 'nobody'"),
        ("api/v1/graph?promt=dallas", "Did you mean 'prompt'"),
        ("api/v1/graph?prompt=dallas&edges=-1", "edges is a number from 0"),
        ("api/v1/nothing", "no such address"),
        ("static/../settings.py", ""),
        ("static/%2e%2e/settings.py", ""),
    ):
        status, content = server.ask(path)
        assert status in (400, 404), path
        assert said in str(content), path


def test_the_frame_of_the_pages_is_accessible(server: Server, browser: Any) -> None:
    with opened(browser, server, "about") as shown:
        shown.wait_for_selector("header.top nav")
        shown.keyboard.press("?")
        shown.wait_for_selector("dialog[open]")
        assert violations(shown) == []
