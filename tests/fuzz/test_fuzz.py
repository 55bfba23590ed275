"""No input from outside, however it was damaged, is answered by anything but one error of this package, and soon."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # tests are imported by path, and share this module with fuzz.py

from readers import FAILED, READERS, checked, mutated

_SECONDS = 30.0
"""A bound for one input on a busy machine: quadratic readers took minutes."""


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(rng=st.randoms(use_true_random=False), raw=st.none() | st.binary(max_size=100))
def test_damaged_input_is_refused_or_read(name: str, rng: random.Random, raw: bytes | None) -> None:
    reader = READERS[name]
    data = mutated(rng.choice(reader.seeds), reader.seeds, rng) if raw is None else raw
    with tempfile.TemporaryDirectory() as folder:
        checked(reader, data, Path(folder))


@pytest.mark.parametrize("name", READERS)
def test_whole_input_is_read(name: str, tmp_path: Path) -> None:
    for number, seed in enumerate(READERS[name].seeds):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert checked(READERS[name], seed, folder) == ""


@pytest.mark.parametrize("path", sorted(FAILED.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_failed_is_answered(path: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    checked(READERS[path.parent.name], path.read_bytes(), tmp_path)
    assert time.monotonic() - started < _SECONDS
