"""`store_url`, and `other_url` beside it: tests that take one run on a local directory and on a real S3 server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3 import S3Server, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server, server.used():
        yield server


@pytest.fixture(scope="session")
def bucket(s3: S3Server) -> str:
    """One for all: a server on a small disk has room for a few dozen."""
    return s3.make_bucket("stores")


@pytest.fixture(params=["local", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return _new_url(request, tmp_path / "store [1]")  # an address that globbing would misread


@pytest.fixture(params=["local", "s3"])
def other_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return _new_url(request, tmp_path / "other [1]")


@pytest.fixture(params=["local", "s3", "memory"])
def root_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address for every kind of root."""
    return _new_url(request, tmp_path / "store [1]")


def _new_url(request: pytest.FixtureRequest, path: Path) -> str:
    if request.param == "local":
        return str(path)
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex[:12]}/run [1]"
    bucket: str = request.getfixturevalue("bucket")
    return f"{bucket}/{uuid.uuid4().hex[:12]}/run [1]"
