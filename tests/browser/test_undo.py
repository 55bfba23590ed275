"""Undo and redo where a step fails: it is said, and every other command can still be undone, in its order."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from serving import opened, served, violations

pytestmark = pytest.mark.slow

MODULE = """async () => {
  const at = (name) => import(new URL(`static/${name}`, location.href).href);
  const { perform, undo, redo, forget } = await at("undo.js"), { ApiError } = await at("api.js");
  forget();
  const log = [], failing = new Map(), waiting = new Map();
  const step = (name) => async () => {
    log.push(name);
    if (waiting.has(name)) await waiting.get(name);
    if (failing.has(name)) throw failing.get(name);
  };
  const command = (name) => perform({ label: name, run: step(`+${name}`), revert: step(`-${name}`) });
  const taken = () => log.splice(0).join(" ");
  const hold = (name) => {
    let release;
    waiting.set(name, new Promise((done) => { release = done; }));
    return release;
  };
  const begun = async (name) => { while (!log.includes(name)) await null; };
  const said = [];
  %s
  forget();
  return said;
}"""


def run(shown: Any, script: str) -> list[Any]:
    """Run a script with undo.js on a page, and return what it says."""
    found: list[Any] = shown.evaluate(MODULE % script)
    return found


@pytest.fixture
def page(server: Any, browser: Any) -> Any:
    with opened(browser, server, "about") as shown:
        shown.wait_for_selector("header.top nav")
        yield shown


def test_a_step_that_fails_can_be_tried_again(page: Any) -> None:
    script = """
    await command("a"); await command("b"); taken();
    failing.set("-b", new ApiError(503, "StoreUnavailable", "the disk is away"));
    said.push(await undo(), await undo(), taken());
    failing.clear();
    said.push(await undo(), await undo(), await undo(), taken());
    failing.set("+a", new ApiError(0, "NoServer", "gone"));
    said.push(await redo(), taken());
    failing.clear();
    said.push(await redo(), await redo(), await redo(), taken());
    """
    found = run(page, script)
    assert found[:3] == [False, False, "-b -b"]
    assert found[3:] == [True, True, False, "-b -a", False, "+a", True, True, False, "+a +b"]


def test_a_step_that_the_server_refuses_does_not_stand_in_the_way(page: Any) -> None:
    script = """
    await command("a"); await command("b"); taken();
    failing.set("-b", new ApiError(400, "ConfigError", "somebody has changed it"));
    said.push(await undo(), await undo(), await undo(), taken(), await redo(), await redo(), taken());
    """
    assert run(page, script) == [False, True, False, "-b -a", True, False, "+a"]


def test_quick_steps_wait_for_each_other_and_new_commands_are_kept(page: Any) -> None:
    script = """
    await command("a"); await command("b"); taken();
    const release = hold("-b"), both = [undo(), undo()];
    await begun("-b");
    await command("c");
    release();
    said.push(await Promise.all(both), taken(), await undo(), taken(), await redo(), taken());
    """
    # Undoing b waits while c is done: c is then taken back, and a after it.
    assert run(page, script) == [[True, True], "-b +c -c", True, "-a", True, "+a"]


def test_a_step_that_ends_on_another_page_changes_nothing_there(page: Any) -> None:
    script = """
    await command("a"); taken();
    const release = hold("-a"), slow = undo();
    await begun("-a");
    forget();
    await command("b");
    release();
    said.push(await slow, await redo(), await undo(), taken());
    """
    assert run(page, script) == [True, False, True, "-a +b -b"]


def test_an_undo_that_no_server_answers_is_said(store: Path, browser: Any) -> None:
    with served(store) as server, opened(browser, server, "feature?layer=2&feature=46") as shown:
        shown.click(".add-label")
        shown.fill(".label-form textarea", "a label")
        shown.keyboard.press("Enter")
        shown.wait_for_selector(".label-text:has-text('a label')")
        server.process.send_signal(signal.SIGINT)
        server.process.wait(30)
        shown.click("header button:has-text('Undo')")  # an unhandled rejection would be among the problems
        trouble = "[aria-label='Trouble of undo']"
        shown.wait_for_selector(f"{trouble} p:has-text('not undone: add label of 2:46: the server does not answer')")
        assert shown.locator("header button:has-text('Undo')").is_enabled()
        assert violations(shown) == []
        shown.click(f"{trouble} button")
        shown.wait_for_selector(trouble, state="detached")
        problems = [one for one in shown.problems if "ERR_CONNECTION" not in one]  # the browser's own notes
        shown.problems.clear()
        assert problems == []
