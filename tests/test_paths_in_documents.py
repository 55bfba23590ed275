"""Paths of files that the documents send a reader to exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)
PATH = re.compile(r"`((?:[\w-]+/)+[\w-]+\.(?:py|md|sh|yaml|sbatch))`")


def missing(text: str) -> list[str]:
    """Paths in backquotes that are neither below the root, nor below the package, nor below `tests/`."""
    places = (ROOT, ROOT / "distributed_tracer", ROOT / "tests")
    return [path for path in PATH.findall(text) if not any((place / path).is_file() for place in places)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_path_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    assert missing(text) == []


def test_a_path_that_is_gone_is_noticed() -> None:
    assert missing("see `trace/attribute.py`, `tests/tiny.py`, `trace/gone.py`") == ["trace/gone.py"]
