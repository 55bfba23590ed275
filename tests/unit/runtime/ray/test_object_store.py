"""Where Ray's objects go, by what is free in memory, in /dev/shm and on disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ray")

from distributed_tracer.errors import ConfigError
from distributed_tracer.runtime.ray import object_store
from distributed_tracer.runtime.ray.object_store import LEAST, object_store_bytes

GIB = 2**30


def room(monkeypatch: pytest.MonkeyPatch, memory: int, shm: int, disk: int) -> int:
    monkeypatch.setattr(object_store, "free_cpu_bytes", lambda: memory)
    free = {object_store._SHM: shm, Path("/tmp"): disk}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    return object_store_bytes(Path("/tmp"))


@pytest.mark.parametrize(
    ("memory", "shm", "expected"),
    [
        (100 * GIB, 50 * GIB, 30 * GIB),
        (100 * GIB, 20 * GIB, 19 * GIB),  # what is more than that goes to disk, and not all of it
        (GIB // 8, GIB, LEAST),
    ],
)
def test_objects_are_in_memory_wherever_some_fit(
    memory: int, shm: int, expected: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert room(monkeypatch, memory, shm, 0) == expected
    assert caplog.records == []


def test_a_small_shm_is_said_and_how_to_get_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert room(monkeypatch, 100 * GIB, 64 * 2**20, GIB) == GIB // 2, "never more than the disk has"
    assert "/dev/shm has 64.0 MiB free" in caplog.text
    assert "--shm-size" in caplog.text


def test_without_room_anywhere_ray_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"/dev/shm has 64.0 MiB free, /tmp 100.0 MiB.*RAY_TMPDIR"):
        room(monkeypatch, 100 * GIB, 64 * 2**20, 100 * 2**20)


def test_the_smallest_object_store_is_rays() -> None:
    constants = pytest.importorskip("ray._private.ray_constants")
    assert constants.OBJECT_STORE_MINIMUM_MEMORY_BYTES == LEAST
