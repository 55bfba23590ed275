"""Configurations, indexes and headers from strangers: bounded memory and time, and one kind of error."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from distributed_tracer.documents.json_text import is_deep, parse_json
from distributed_tracer.documents.text import read_text
from distributed_tracer.documents.yaml_text import MAX_YAML_BYTES, parse_yaml
from distributed_tracer.errors import TranscoderError

ORDINARY = """
model_kind: transcoder_set
transcoders: [a.safetensors, "b c.npz"]
k: 32
hex: 0x1f
ratio: 1.5e-3
nothing: ~
yes_or_no: [true, no]
day: 2024-05-31
time: 1:30
tags: !!set {a, b}
base: &base {x: 1, y: [2]}
derived: {<<: *base, x: 3}
nested: {inner: &inner {<<: {q: 1}, q: 3}}
last: {<<: *inner}
"""


def merge_bomb(levels: int) -> str:
    """Each level merges the one before nine times: 9 ** levels pairs."""
    names = "abcdefghijklmnop"[: levels + 1]
    lines = [f"{name}: &{name} {{<<: [{','.join([f'*{before}'] * 9)}]}}" for before, name in pairwise(names)]
    return "\n".join(["a: &a {k: 1}", *lines])


def test_ordinary_yaml_means_what_the_library_says() -> None:
    assert parse_yaml(ORDINARY, TranscoderError) == yaml.safe_load(ORDINARY)
    assert parse_yaml("", TranscoderError) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (merge_bomb(8), "more than 100,000 values"),
        (
            "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30))]),
            "more than 100,0",
        ),
        ("a: &a [*a]", "an alias stands for what holds it"),
        ("x: " + ":".join(["59"] * 80_000), "an integer of"),
        ("x: 0x" + "f" * 400, "an integer of 402 characters"),
        ("[" * 5000, "nested too deeply, expected at most 64 levels"),
        ("- " * 100, "nested too deeply, expected at most 64 levels"),
        ("x" * (MAX_YAML_BYTES + 1), f"expected at most {MAX_YAML_BYTES:,}"),
        ("k: 1\nk: 2", "duplicate key 'k'"),
        ("!!bool x", "does not fit its tag"),
        ("!!int ''", "does not fit its tag"),
        ("!!timestamp x", "does not fit its tag"),
        ("!!float x", "could not convert"),
        ("x: 2024-13-45", "month must be in 1..12"),
        ("? {a: 1}\n: 1", "unhashable key"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: 1\n---\nb: 1", "expected a single document"),
        ("a: \x1b[2J", "special characters are not allowed"),
    ],
)
def test_hostile_yaml_is_refused_soon(text: str, says: str) -> None:
    started = time.monotonic()
    with pytest.raises(TranscoderError) as caught:
        parse_yaml(text, TranscoderError)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply, expected at most 64 levels"),
        ("[" * 65 + "]" * 65, "nested too deeply, expected at most 64 levels"),
        ('{"a":' * 65 + "1" + "}" * 65, "nested too deeply, expected at most 64 levels"),
        ("-" + "9" * 5000, "an integer of 5,001 digits"),
        ("1e999", "number out of range: found '1e999'"),
        ('{"a": 1, "a": 2}', "duplicate key 'a': found it 2 times"),
        (b"\xff", "can't decode byte 0xff"),
        (b'"\xff\xfe"', "can't decode byte 0xff"),
        ("NaN", "not JSON: found NaN"),
        ("{", "bad JSON at column 2"),
    ],
)
def test_hostile_json_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(TranscoderError) as caught:
        parse_json(text, TranscoderError)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_json_up_to_the_limits_is_read_and_configurations_may_hold_nan() -> None:
    deepest = "[" * 64 + "]" * 64
    assert is_deep([parse_json(deepest, TranscoderError)])
    assert not is_deep(parse_json(deepest, TranscoderError))
    assert parse_json("1" + "0" * 308, TranscoderError) == 10**308
    assert str(parse_json("[NaN]", TranscoderError, strict=False)) == "[nan]"


def test_a_file_that_is_too_long_absent_or_no_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(b"x" * 11)
    assert read_text(tmp_path / "c.json", TranscoderError, 11) == "x" * 11
    with pytest.raises(TranscoderError, match=r"c\.json: cannot be read: it has more than 10 bytes"):
        read_text(tmp_path / "c.json", TranscoderError, 10)
    (tmp_path / "c.json").write_bytes(b"\xff")
    for path in (tmp_path / "c.json", tmp_path / "absent", tmp_path, Path("a\0b")):
        with pytest.raises(TranscoderError, match="cannot be read"):
            read_text(path, TranscoderError)
