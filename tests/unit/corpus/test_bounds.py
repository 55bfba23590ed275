"""Hostile prompt files: what would take memory or time without limit is refused, and only the prompt that it is in."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distributed_tracer.config import CorpusConfig
from distributed_tracer.corpus.open_input import MAX_BLANK_LINES
from distributed_tracer.corpus.reader import BadPrompt, read_prompts
from distributed_tracer.errors import CorpusError, PromptError
from distributed_tracer.plain_values import MAX_METADATA_BYTES
from distributed_tracer.prompt import Prompt


@pytest.fixture(autouse=True)
def soon() -> object:
    """What is quadratic takes minutes."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 60


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


HOSTILE = {
    "metadata nested 900 levels": (lambda: json.dumps({"text": "a", "m": nested(900)}), "nested too deeply"),
    "metadata nested 100 levels": (lambda: json.dumps({"text": "a", "m": nested(100)}), "at most 64 levels"),
    "a number of 5,000 digits": (lambda: '{"text": "a", "m": %s}' % ("9" * 5000), "an integer of 5,000 digits"),
    "a token of 400 digits": (lambda: '{"tokens": [%s]}' % ("9" * 400), "an integer of 400 digits"),
    "300,000 keys, one twice": (
        lambda: "{" + ",".join(f'"k{n % 299_999}":1' for n in range(300_000)) + "}",
        "duplicate key 'k0': found it 2 times",
    ),
    "a million targets": (lambda: json.dumps({"text": "a", "targets": [1] * 10**6}), "found 1,000,000, expected at"),
    "large metadata": (lambda: json.dumps({"text": "a", "m": "x" * 2**20}), f"at most {MAX_METADATA_BYTES:,}"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_line_is_one_bad_prompt(what: str, tmp_path: Path) -> None:
    line, reason = HOSTILE[what]
    (tmp_path / "p.jsonl").write_text('{"text": "before"}\n' + line() + '\n{"text": "after"}\n')
    before, bad, after = read_prompts(CorpusConfig(str(tmp_path / "p.jsonl"), on_bad_prompt="record"))
    assert isinstance(bad, BadPrompt)
    assert reason in bad.reason
    assert bad.where.endswith("p.jsonl:2")
    assert [getattr(prompt, "text", None) for prompt in (before, after)] == ["before", "after"]


def test_metadata_may_be_nested_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps({"text": "a", "m": nested(62)}))
    (prompt,) = read_prompts(CorpusConfig(str(tmp_path / "p.jsonl")))
    assert isinstance(prompt, Prompt)
    assert prompt.metadata == {"m": nested(62)}
    for metadata in ({"m": nested(100)}, {"m": nested(5000)}):
        with pytest.raises(PromptError, match="wrong metadata 'm': nested too deeply, expected at most 64 levels"):
            Prompt("a", "a", metadata=metadata)


def many_blank_lines() -> bytes:
    return b'{"text": "a"}\n' + b"\n" * (MAX_BLANK_LINES + 1)


BOMBS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "one line of zeros": ("p.jsonl.gz", lambda: bytes(2**25), "1: found a line longer than 16 MiB"),
    "blank lines": ("p.txt.gz", many_blank_lines, "found 1,000,000 blank lines in a row"),
    "a record without end": ("p.csv.gz", lambda: b'text\n"a\n' + b'","\n' * 2**23, "2: found a record longer than 16"),
    "a million columns": (
        "p.csv.gz",
        lambda: b",".join(b"c%d" % n for n in range(10**6)) + b"\n",
        "missing column: found columns 'c0'",
    ),
    "a million columns, one twice": (
        "p.tsv.gz",
        lambda: b"\t".join(b"c%d" % n for n in range(10**6)) + b"\tc0\ttext\n",
        "duplicate column 'c0': found columns 'c0'",
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_small_file_that_unpacks_to_a_large_one_is_refused(what: str, tmp_path: Path) -> None:
    name, content, reason = BOMBS[what]
    (tmp_path / name).write_bytes(gzip.compress(content(), 1))
    with pytest.raises(CorpusError) as caught:
        list(read_prompts(CorpusConfig(str(tmp_path / name), on_bad_prompt="record")))
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 1000
