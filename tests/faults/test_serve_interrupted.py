"""A server that is interrupted while a request has no answer ends quietly, and the request gets an answer."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from random_graphs import random_graph
from random_stores import make_store

pytestmark = pytest.mark.slow


def begun_request(place: str, token: str) -> socket.socket:
    """Send a request whose body never comes, and wait until the server has begun to work on it."""
    address = urlsplit(place)
    asking = socket.create_connection((address.hostname, address.port), timeout=60)
    asking.sendall(
        f"POST /api/v1/notes HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    assert asking.recv(65536).startswith(b"HTTP/1.1 100")
    return asking


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ctrl_c_during_a_request_is_one_line_without_a_traceback(tmp_path: Path, interrupts: int) -> None:
    store = make_store(str(tmp_path / "store"), [random_graph("p")])
    with subprocess.Popen(
        [sys.executable, "-m", "distributed_tracer", "serve", store.url, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        found = next(filter(None, (re.search(r"(http\S+)/enter\?token=(\S+)", line) for line in process.stdout)))
        with begun_request(found[1], found[2]) as asking:
            for _ in range(interrupts):
                process.send_signal(signal.SIGINT)
            answer = b"".join(iter(lambda: asking.recv(65536), b""))
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.strip().endswith("Stopped.")
    assert "Traceback" not in errors
    assert len(errors.splitlines()) <= 1
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"the server is being stopped" in answer
