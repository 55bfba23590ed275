"""jobs/trace.py, submitted to a Ray cluster with tokens on, as a user would."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from distributed_tracer import open_store

ROOT = Path(__file__).parents[2]
CASE = ROOT / "tests" / "cases" / "llama_relu_plt"  # a model and its transcoders
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A running head: where its dashboard is, and the environment of those who know the token."""

    dashboard: str
    environment: dict[str, str]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


@pytest.fixture
def head() -> Iterator[Head]:
    gcs, dashboard, agent, client = free_ports(4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        # a short folder: socket paths end at 107 bytes
        command = [RAY, "start", "--head", "--block", "--num-cpus=2", "--include-dashboard=true"]
        command += [f"--port={gcs}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
        command += [f"--ray-client-server-port={client}", f"--temp-dir={folder}"]
        log = Path(folder, "start.log")
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            address = f"http://127.0.0.1:{dashboard}"
            wait_until_up(address, process, log)
            yield Head(address, environment | {"RAY_API_SERVER_ADDRESS": address})
        finally:
            process.send_signal(signal.SIGTERM)  # --block ends everything it started
            process.wait(timeout=60)


def wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/api/gcs_healthz", timeout=5).close()
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.25)
        else:
            return
    raise AssertionError(f"no dashboard after a minute:\n{log.read_text()}")


def submit(head: Head, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [RAY, "job", "submit", "--working-dir", str(folder), "--", sys.executable, "trace.py"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """A copy of jobs/, changed as its first line asks for, and what it reads."""
    shared = tmp_path / "shared"
    shutil.copytree(CASE / "model", shared / "model")
    shutil.copytree(CASE / "transcoders", shared / "transcoders")
    prompts = [{"id": "text", "text": "Fact: the capital"}, {"id": "tokens", "tokens": [1, 40, 296]}, {"id": "bad"}]
    (shared / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    source = (ROOT / "jobs" / "trace.py").read_text()
    (tmp_path / "jobs").mkdir()
    changed = source.replace('"/shared"', repr(str(shared))).replace("gpus_per_worker=1", "threads=1")
    assert changed.count(str(shared)) == 1
    assert "gpus_per_worker" not in changed
    (tmp_path / "jobs" / "trace.py").write_text(changed)
    return tmp_path / "jobs"


@pytest.mark.ray
@pytest.mark.slow
def test_a_submitted_job_fills_the_store_and_strangers_are_refused(head: Head, jobs: Path) -> None:
    stranger = {name: value for name, value in head.environment.items() if not name.startswith("RAY_AUTH")}
    refused = submit(head, jobs, stranger | {"HOME": str(jobs)})
    assert refused.returncode != 0
    assert "token authentication is enabled" in refused.stderr.lower()

    done = submit(head, jobs, head.environment)
    output = done.stdout + done.stderr
    assert "2 done, 0 skipped (done before), 1 failed" in output, output
    assert done.returncode != 0, output  # one prompt is bad, and the job's exit code says so
    store = open_store(str(jobs.parent / "shared" / "graphs"))
    assert sorted(store) == ["text", "tokens"]
