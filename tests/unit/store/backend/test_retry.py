from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from random_graphs import random_graph

from distributed_tracer.config import StoreConfig
from distributed_tracer.errors import StoreError, StoreUnavailable
from distributed_tracer.store.backend.base import translate_errors
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.backend.retry import backoff, retry_until
from distributed_tracer.store.writer import PartWriter


def failing(times: int, error: Exception) -> tuple[list[float], Callable[[], None]]:
    """When it was called, and what fails so often."""
    calls: list[float] = []

    def write() -> None:
        calls.append(time.monotonic())
        if len(calls) <= times:
            with translate_errors("write", "there"):
                raise error

    return calls, write


def test_what_may_pass_is_tried_again_after_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    calls, write = failing(2, ConnectionResetError("reset"))
    with caplog.at_level(logging.WARNING):
        retry_until(write, 60.0)
    first, second, third = calls
    assert 0.5 <= second - first < 1.5
    assert 1.0 <= third - second < 2.5
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "cannot write there: ConnectionResetError: reset"
    ] * 2


def test_pauses_double_up_to_the_longest_and_differ_between_workers() -> None:
    one, another = (list(islice(backoff(1.0, 30.0), 8)) for _ in range(2))
    for pause, most in zip(one, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0], strict=True):
        assert most / 2 <= pause <= most
    assert one != another
    assert next(islice(backoff(1.0), 9, None)) >= 256.0, "no longest pause unless one is given"


def test_an_outage_that_outlasts_patience_is_an_error_that_says_how_long() -> None:
    calls, write = failing(100, OSError("no space left"))
    with pytest.raises(StoreUnavailable, match=r"no space left; tried 2 times in [01] seconds.*--retry-seconds"):
        retry_until(write, 0.5)
    assert len(calls) == 2


@pytest.mark.parametrize("error", [PermissionError("refused"), FileNotFoundError("no bucket"), StoreError("not mine")])
def test_what_will_not_pass_is_an_error_at_once(error: Exception) -> None:
    calls, write = failing(100, error)
    with pytest.raises(StoreError):
        retry_until(write, 60.0)
    assert len(calls) == 1


def test_a_part_that_is_tried_again_leaves_no_orphan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = PartWriter(str(tmp_path), StoreConfig(str(tmp_path)))
    writer.add(random_graph("a"))
    (tmp_path / "parts").mkdir(mode=0o500)
    write, made = writer._root.put_many, []

    def full_once(objects: dict[str, bytes]) -> None:
        made.append(set(objects))
        if len(made) == 1:
            with translate_errors("write", "there"):
                raise OSError("no space left")
        (tmp_path / "parts").chmod(0o700)
        write(objects)

    monkeypatch.setattr(writer._root, "put_many", full_once)
    manifest = writer.flush()
    assert manifest is not None
    assert made[0] == made[1]
    assert open_backend(str(tmp_path)).list_dir("parts") == [manifest.part]
