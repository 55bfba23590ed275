"""Connecting to a cluster that others started. Real clusters: tests/end_to_end/test_submitted_job.py."""

from __future__ import annotations

import ctypes
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import ray

from distributed_tracer.config import RunConfig
from distributed_tracer.runtime.ray import cluster
from distributed_tracer.runtime.signals import GracefulShutdown


def caught() -> set[int]:
    """The signals for which the operating system has a handler of this process, whatever Python thinks."""
    mask = re.search(r"^SigCgt:\s*(\w+)$", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
    assert mask is not None
    return {number for number in range(1, 32) if int(mask[1], 16) >> (number - 1) & 1}


def test_a_signal_is_the_drivers_again_once_it_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:  # as Ray does, in native code: Python is not told
        libc = ctypes.CDLL(None)
        libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        libc.signal(signal.SIGTERM, None)

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda *_: None)  # of what a test before may have started
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster, "check_listens", lambda *_: None)
    with GracefulShutdown():
        assert signal.SIGTERM in caught()
        init()
        assert signal.SIGTERM not in caught()
        with cluster.connected(RunConfig(ray_address="127.0.0.1:6379")):
            assert signal.SIGTERM in caught()
