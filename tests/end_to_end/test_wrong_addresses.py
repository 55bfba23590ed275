"""Clusters that are not there: an error that says which address, how long it was waited for and what to do, in time."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_of_cases import CASE, plain_rows, write_prompts

from distributed_tracer.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port(silent_port: int) -> Iterator[int]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may have connected this process to their cluster, which would be used."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)


@pytest.mark.usefixtures("unconnected")
@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_doctor_says_that_nothing_listens_at_once(
    form: str, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    address = form.format(closed_port)
    assert main(["doctor", "--ray-address", address, "--timeout-seconds", "600"]) == 1
    said = capsys.readouterr().err
    assert f"nothing answers at {address}, the address of Ray, after 0 of 600 s" in said
    assert "Connection refused" in said
    assert "--timeout-seconds" in said


@pytest.mark.usefixtures("unconnected")
def test_trace_says_it_before_any_model_is_loaded(
    closed_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", plain_rows(1))
    flags = ["--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders"), "--prompts", str(prompts)]
    flags += ["--store", str(tmp_path / "store"), "--ray-address", f"127.0.0.1:{closed_port}", "--no-progress"]
    assert main(["trace", *flags]) == 1
    assert f"nothing answers at 127.0.0.1:{closed_port}, the address of Ray, after 0 of 30 s" in capsys.readouterr().err
    assert main(["status", str(tmp_path / "store")]) == 0
    assert ": failed at 2" in capsys.readouterr().out


@pytest.mark.usefixtures("unconnected")
def test_the_dashboards_address_is_not_taken_for_the_clusters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--ray-address", "http://127.0.0.1:8265"]) == 1
    assert "is the address of a dashboard" in capsys.readouterr().err


def test_what_listens_and_is_no_cluster_is_given_up_in_time(silent_port: int) -> None:
    """In a process of its own: Ray goes on trying in the background, until the process ends."""
    command = ["doctor", "--ray-address", f"127.0.0.1:{silent_port}", "--timeout-seconds", "1"]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "distributed_tracer", *command], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert f"no Ray cluster at 127.0.0.1:{silent_port} let this program in within 1 s" in done.stderr
    assert time.monotonic() - began < 100


def test_a_job_server_that_is_not_there_or_says_nothing_is_given_up(
    closed_port: int, silent_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributed_tracer.runtime.ray.job_client._ANSWER_SECONDS", 0.5)
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    assert main(["submit", "--address", f"http://127.0.0.1:{closed_port}", "--stop", "x"]) == 1
    refused = capsys.readouterr().err
    assert f"no job server answers at http://127.0.0.1:{closed_port} ([Errno 111] Connection refused)" in refused
    assert main(["submit", "--address", f"http://127.0.0.1:{silent_port}", "--stop", "x"]) == 1
    silent = capsys.readouterr().err
    assert f"no job server answers at http://127.0.0.1:{silent_port} (no answer within 0.5 s)" in silent
