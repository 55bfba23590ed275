"""`store_url`: every test that takes it runs on a local directory and on a real S3 server."""

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


@pytest.fixture(params=["local", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "store [1]")  # an address that globbing would misread
    server: S3Server = request.getfixturevalue("s3")
    return server.make_bucket(f"b{uuid.uuid4().hex[:12]}") + "/stores/run [1]"
