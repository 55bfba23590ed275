"""Identifiers and messages use the words of the field, not former private ones: reads every file of the package by
`ast`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("distributed_tracer", "benchmarks", "demo", "examples", "jobs")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

PRIVATE = {
    "assist": "help",
    "assistant": "helper",
    "assistants": "helpers",
    "assisting": "helping",
    "beacon": "marker",
    "bereft": "orphaned",
    "brief": "shortened",
    "checker": "evaluation worker",
    "figures": "results",
    "grain": "tiling",
    "holder": "owner",
    "holders": "owners",
    "intake": "inputs",
    "keeper": "owner",
    "keepers": "owners",
    "lead": "prefix",
    "likeness": "similarity",
    "mend": "fix",
    "mended": "fixed",
    "noted": "expected",
    "patiently": "with retries",
    "receipt": "part manifest",
    "receipts": "part manifests",
    "rehearsal": "dry run",
    "rehearse": "dry run",
    "seal": "checksum",
    "sealed": "checksummed",
    "spool": "queue",
    "stretch": "part range",
    "survey": "cluster report",
    "tally": "tracker",
    "tape": "cache",
    "tapes": "caches",
    "told": "reported",
    "unsealed": "checked",
    "unwritten": "pending",
    "watcher": "hooks",
}
"""Private words, and words of the field that say the same."""
IN_MESSAGES = ("assistants", "bereft", "mend", "mended", "noted", "rehearsal", "seal", "tape", "told", "whoever")
IN_MESSAGES += ("by lot", "goes by", "so many")
"""Words and phrases that no text for users contains: private words that have no other meaning there."""
EXCEPTIONS = {
    "distributed_tracer/moved.py": {"tape"},  # the former name of a module
    "distributed_tracer/cli/inspect.py": {"brief"},  # the noun: what `show --brief` prints
    "distributed_tracer/report/brief.py": {"brief"},
}
"""Words that a file may use because they stand for a name of others, or for a former name."""


def words(name: str) -> list[str]:
    """Return the words of an identifier: its pieces between underscores and capitals."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that a module defines or assigns to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and value of every string, docstrings and pieces of f-strings included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def private_identifiers(tree: ast.AST) -> list[tuple[int, str, str]]:
    """Return (line, identifier, private word) for each identifier that contains one."""
    return [(line, name, word) for line, name in identifiers(tree) for word in words(name) if word in PRIVATE]


def private_texts(tree: ast.AST) -> list[tuple[int, str, str]]:
    """Return (line, phrase, phrase) for each phrase in a string that users should not have to read."""
    pattern = re.compile(rf"\b({'|'.join(IN_MESSAGES)})\b", re.IGNORECASE)
    return [
        (line, found[0], found[0].lower())
        for line, text in texts(tree)
        for found in pattern.finditer(" ".join(text.split()))
    ]


def test_identifiers_and_messages_are_without_private_words() -> None:
    assert len(FILES) > 200
    wrong = []
    for path in FILES:
        name, tree = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
        for line, found, word in (*private_identifiers(tree), *private_texts(tree)):
            if word not in EXCEPTIONS.get(name, ()):
                wrong.append(f"{name}:{line}: {found!r}: use {PRIVATE.get(word, 'a plain word')!r}")
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_needed() -> None:
    for name, allowed in EXCEPTIONS.items():
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        assert allowed <= {word for *_, word in (*private_identifiers(tree), *private_texts(tree))}, name


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("def keep(part, tape): ...", "tape"),
        ("self._held_receipts = []", "receipts"),
        ("class PartReceipt: ...", "receipt"),
        ("_SEAL_SIZE = 3", "seal"),
        ("with opened() as bereft: ...", "bereft"),
        ("raise ValueError(f'mend {path} first')", "mend"),
        ('"""Graphs are drawn\nby lot."""', "by lot"),
    ],
)
def test_a_private_word_is_found_wherever_it_stands(code: str, word: str) -> None:
    tree = ast.parse(code)
    assert [found for *_, found in (*private_identifiers(tree), *private_texts(tree))] == [word]


@pytest.mark.parametrize("code", ["leads_I = mislead = 3", "'recommend an amended, unfolded seaplane'", "tape_of.x()"])
def test_words_that_only_contain_one_are_free(code: str) -> None:
    tree = ast.parse(code)
    assert not [*private_identifiers(tree), *private_texts(tree)]
