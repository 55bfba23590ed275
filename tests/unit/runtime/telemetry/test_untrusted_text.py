"""What others wrote, on a terminal: as it would look, and nothing that steers it."""

from __future__ import annotations

import pytest

from distributed_tracer.runtime.telemetry.untrusted_text import in_short, plain_line, plain_lines, shortened


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("\x1b[36m(Worker pid=7)\x1b[0m loaded", "(Worker pid=7) loaded"),
        ("\x1b[1;38;5;196mred\x1b[m and \x9b32mgreen", "red and green"),
        ("\x1b]0;a title\x07text \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "text link"),
        ("\x1b]52;c;bWFsaWNl", ""),
        ("\x1bPq#0;2;0;0;0\x1b\\sixel", "sixel"),
        ("\x1b[2J\x1b[H\x1bcgone", "gone"),
        (" 10% |#   |\r 50% |##  |\r100% |####|\r", "100% |####|"),
        ("a\tb\x00\x07\x08c", "a       bc"),
        ("\u202eabc", "\\u202eabc"),
        ("Dallas, 北京, é 🙂", "Dallas, 北京, é 🙂"),
        ("\x1b", ""),
    ],
)
def test_a_line_is_shown_without_what_steers_a_terminal(line: str, seen: str) -> None:
    assert plain_line(line) == seen
    assert plain_line(line).isprintable()


def test_lines_stay_lines() -> None:
    assert plain_lines("Traceback:\n  \x1b[31mline 1\x1b[0m\n") == "Traceback:\n  line 1\n"


def test_a_message_is_its_first_line_that_says_something() -> None:
    assert in_short(ValueError("\n  \x1b[31mno such thing\x1b[0m\nat line 3")) == "no such thing"
    assert in_short(ValueError()) == "ValueError"
    assert in_short(ValueError("x" * 1000)) == "x" * 299 + "…"
    assert shortened("abcdef", 3) == "ab…"
