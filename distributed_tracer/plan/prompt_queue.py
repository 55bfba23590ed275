"""PromptQueue: the tokenized prompts of a run, in a database on disk, so that memory does not grow with their number.

A million prompts as Python objects take two gigabytes and more. Here they take only the memory in which SQLite caches a
temporary file. SQLite deletes the file at the end; `SQLITE_TMPDIR` or `TMPDIR` sets its folder.
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
    """Prompts in the order of the corpus, each with a state: left to do, done, or done with other content.

    A queue may be used by one thread only.
    """

    def __init__(self, prompts: Iterable[Prompt] = ()) -> None:
        self._database = sqlite3.connect("")  # a temporary file, which SQLite deletes with the connection
        self._database.executescript(_TABLE)
        for prompt in prompts:
            self.register(prompt)
            self.put(prompt)

    def register(self, prompt: Prompt) -> tuple[str, bool] | None:
        """Register a prompt's id. Return None if the id is new.

        Otherwise return where the id occurred before, and whether its content was the same there.
        """
        content = _content(prompt)
        if self._database.execute(_CLAIM, (prompt.id, content, prompt.where, _CLAIMED)).rowcount:
            return None
        query = "SELECT place, content FROM prompt WHERE id = ?"
        place, before = self._database.execute(query, (prompt.id,)).fetchone()
        return place, before == content

    def put(self, prompt: Prompt) -> None:
        """Store a tokenized prompt whose id is registered, as left to do."""
        assert prompt.tokens is not None, "prompts are kept tokenized"
        targets = [target.to_json() for target in prompt.targets]
        body = json.dumps([prompt.text, prompt.tokens, targets, dict(prompt.metadata)], ensure_ascii=False)
        self._database.execute(_FILL, (_LEFT, len(prompt.tokens), prompt.content_hash, body, prompt.id))

    def reject(self, prompt_id: str, phase: str, reason: str) -> None:
        """Record why a prompt cannot be traced, and the phase in which that was found."""
        self._database.execute("INSERT INTO rejected (id, phase, reason) VALUES (?, ?, ?)", (prompt_id, phase, reason))

    @property
    def num_rejected(self) -> int:
        """Number of prompts that cannot be traced."""
        (count,) = self._database.execute("SELECT COUNT(*) FROM rejected").fetchone()
        return int(count)

    def rejected(self) -> Iterator[tuple[str, str, str]]:
        """Yield id, phase and reason of each prompt that cannot be traced, in the order of the corpus."""
        yield from self._database.execute("SELECT id, phase, reason FROM rejected ORDER BY number")

    def mark_done(self, content_hashes: Iterable[tuple[str, str]]) -> None:
        """Mark prompts as done, given pairs of an id and the `Prompt.content_hash` under which it was traced.

        If the hash differs from that of the prompt in this queue, the prompt is marked as changed instead. An empty
        hash means that it is not known; such a prompt is marked as done.
        """
        rows = ((was, _DONE, _CHANGED, id_, _LEFT) for id_, was in content_hashes)
        self._database.executemany(_SETTLE, rows)

    @property
    def num_done(self) -> int:
        """Number of prompts that are done with the same tokens and targets."""
        return self._count(_DONE)

    def __len__(self) -> int:
        """Number of all prompts that were stored, in any state."""
        return self._count(_LEFT) + self._count(_DONE) + self._count(_CHANGED)

    def __iter__(self) -> Iterator[Prompt]:
        """Yield the prompts left to do, in the order of the corpus."""
        return self._prompts("state = ? ORDER BY number", _LEFT)

    def lengths(self) -> dict[int, int]:
        """Return the number of prompts left to do by their number of tokens, the longest first."""
        query = "SELECT length, COUNT(*) FROM prompt WHERE state = ? GROUP BY length ORDER BY length DESC"
        return dict(self._database.execute(query, (_LEFT,)).fetchall())

    def with_length(self, length: int) -> Iterator[Prompt]:
        """Yield the prompts left to do that have `length` tokens, in the order of the corpus."""
        return self._prompts("state = ? AND length = ? ORDER BY number", _LEFT, length)

    def changed(self) -> Iterator[Prompt]:
        """Yield the prompts whose id was traced with other tokens or targets."""
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
    """Return a SHA-256 hash of everything that the corpus says of a prompt, except for its id and its location."""
    targets = [astuple(target) for target in prompt.targets]
    given: list[Any] = [prompt.text, prompt.tokens, targets, dict(prompt.metadata), prompt.messages]
    return hashlib.sha256(json.dumps(given, sort_keys=True, ensure_ascii=False).encode()).digest()
