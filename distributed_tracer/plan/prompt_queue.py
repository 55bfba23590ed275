"""PromptQueue: the tokenized prompts of a run, in a database on disk, so that memory does not grow with their number.

A million prompts as Python objects take two gigabytes and more. Here they take what SQLite keeps of a temporary
file, which it deletes; `SQLITE_TMPDIR` or `TMPDIR` say where that is.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from typing import Any

from ..prompt import Prompt, TargetSpec

_CLAIMED, _LEFT, _DONE, _CHANGED = range(4)
_TABLE = """
CREATE TABLE prompt (number INTEGER PRIMARY KEY, id TEXT UNIQUE, content BLOB, place TEXT, state INTEGER,
                     length INTEGER, asked TEXT, body TEXT);
CREATE INDEX by_state ON prompt (state, length, number);
CREATE TABLE rejected (number INTEGER PRIMARY KEY, id TEXT, phase TEXT, reason TEXT);
"""
_CLAIM = "INSERT OR IGNORE INTO prompt (id, content, place, state) VALUES (?, ?, ?, ?)"
_FILL = "UPDATE prompt SET state = ?, length = ?, asked = ?, body = ? WHERE id = ?"
_SETTLE = "UPDATE prompt SET state = CASE WHEN ? IN ('', asked) THEN ? ELSE ? END WHERE id = ? AND state = ?"


class PromptQueue:
    """Prompts in the order of the corpus, each left to do, done, or done with other content. For one thread."""

    def __init__(self, prompts: Iterable[Prompt] = ()) -> None:
        self._database = sqlite3.connect("")  # a file of its own, which ends with the connection
        self._database.executescript(_TABLE)
        for prompt in prompts:
            self.register(prompt)
            self.put(prompt)

    def register(self, prompt: Prompt) -> tuple[str, bool] | None:
        """Where the id was given before, and whether with the same content; None if this is the first time."""
        content = _content(prompt)
        if self._database.execute(_CLAIM, (prompt.id, content, prompt.where, _CLAIMED)).rowcount:
            return None
        query = "SELECT place, content FROM prompt WHERE id = ?"
        place, before = self._database.execute(query, (prompt.id,)).fetchone()
        return place, before == content

    def put(self, prompt: Prompt) -> None:
        """Keep a tokenized prompt whose id was claimed."""
        assert prompt.tokens is not None, "prompts are kept tokenized"
        targets = [target.to_json() for target in prompt.targets]
        body = json.dumps([prompt.text, prompt.tokens, targets, dict(prompt.metadata)], ensure_ascii=False)
        self._database.execute(_FILL, (_LEFT, len(prompt.tokens), prompt.content_hash, body, prompt.id))

    def reject(self, prompt_id: str, phase: str, reason: str) -> None:
        """Keep why a prompt cannot be traced, and in which phase that was found."""
        self._database.execute("INSERT INTO rejected (id, phase, reason) VALUES (?, ?, ?)", (prompt_id, phase, reason))

    @property
    def num_rejected(self) -> int:
        (count,) = self._database.execute("SELECT COUNT(*) FROM rejected").fetchone()
        return int(count)

    def rejected(self) -> Iterator[tuple[str, str, str]]:
        """Id, phase and reason of each that cannot be traced, in the order of the corpus."""
        yield from self._database.execute("SELECT id, phase, reason FROM rejected ORDER BY number")

    def mark_done(self, asked: Iterable[tuple[str, str]]) -> None:
        """Take out what is done: ids, and what was asked under each as `Prompt.asked` says it, empty if not known."""
        rows = ((was, _DONE, _CHANGED, id_, _LEFT) for id_, was in asked)
        self._database.executemany(_SETTLE, rows)

    @property
    def num_done(self) -> int:
        return self._count(_DONE)

    def __len__(self) -> int:
        """All prompts, whatever became of them."""
        return self._count(_LEFT) + self._count(_DONE) + self._count(_CHANGED)

    def __iter__(self) -> Iterator[Prompt]:
        """Those left to do, in the order of the corpus."""
        return self._prompts("state = ? ORDER BY number", _LEFT)

    def lengths(self) -> dict[int, int]:
        """How many prompts of each number of tokens are left to do, longest first."""
        query = "SELECT length, COUNT(*) FROM prompt WHERE state = ? GROUP BY length ORDER BY length DESC"
        return dict(self._database.execute(query, (_LEFT,)).fetchall())

    def with_length(self, length: int) -> Iterator[Prompt]:
        """Prompts left to do that have so many tokens, in the order of the corpus."""
        return self._prompts("state = ? AND length = ? ORDER BY number", _LEFT, length)

    def changed(self) -> Iterator[Prompt]:
        """Prompts whose id is done with other tokens or targets."""
        return self._prompts("state = ? ORDER BY number", _CHANGED)

    def _count(self, state: int) -> int:
        (count,) = self._database.execute("SELECT COUNT(*) FROM prompt WHERE state = ?", (state,)).fetchone()
        return int(count)

    def _prompts(self, where: str, *values: int) -> Iterator[Prompt]:
        for id_, place, body in self._database.execute(f"SELECT id, place, body FROM prompt WHERE {where}", values):
            text, tokens, targets, metadata = json.loads(body)
            specs = tuple(TargetSpec.parse(target) for target in targets)
            yield Prompt(id_, text, tuple(tokens), specs, metadata, place)


def _content(prompt: Prompt) -> bytes:
    """A hash of all that was given, but for the place."""
    targets = [astuple(target) for target in prompt.targets]
    given: list[Any] = [prompt.text, prompt.tokens, targets, dict(prompt.metadata), prompt.messages]
    return hashlib.sha256(json.dumps(given, sort_keys=True, ensure_ascii=False).encode()).digest()
