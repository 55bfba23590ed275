"""Names of files and slugs, made of ids of prompts that somebody chose to do harm."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from distributed_tracer.export.safe_names import is_safe, safe_name

HOSTILE = (
    *("", ".", "..", "../../etc/passwd", "/etc/passwd", "C:\\x", "a/b", "a\\b", ".hidden", "-rf", "a b", "x" * 5000),
    *(
        "con",
        "CON",
        "nul.txt",
        "com1",
        "LPT9.json",
        "a.",
        "a ",
        "\x00",
        "\n",
        "首都",
        "🧑‍🚀",
        "\ud800",
        "a:b",
        "<b>",
        "a?b#c%2e",
    ),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_becomes_a_name_that_every_file_system_and_server_accepts(text: str) -> None:
    name = safe_name(text)
    assert is_safe(name)
    assert re.fullmatch(r"\w[\w.-]*[\w-]", name, re.ASCII), "neither hidden nor a flag, and no final dot"
    assert len(name) <= 100
    assert PurePosixPath(name).name == name == PureWindowsPath(name).name
    assert not PureWindowsPath(name).is_reserved()
    assert not PureWindowsPath(f"{name}.json").is_reserved()
    assert safe_name(text) == name


def test_a_safe_text_stays_as_it_is() -> None:
    for text in ("two-hop-dallas", "A.b_c-1", "console", "x" * 100):
        assert safe_name(text) == text


def test_different_texts_have_different_names() -> None:
    names = [safe_name(text) for text in HOSTILE]
    assert len({name.lower() for name in names}) == len(HOSTILE)


def test_a_name_that_is_taken_is_not_given_again_even_in_another_case() -> None:
    assert safe_name("Dallas", {"dallas"}).startswith("Dallas-")
    digest = safe_name("Dallas", {"dallas"})
    longer = safe_name("Dallas", {"dallas", digest.lower()})
    assert longer.startswith(digest)
    assert len(longer) > len(digest)
