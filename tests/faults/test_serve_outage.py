"""A store on S3 that stops answering while it is served: what was read stays shown, and the server goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
import pytest
from faulty_proxy import everything, faulty, nothing
from s3 import s3_server
from serving import make_store, served

pytestmark = pytest.mark.slow


def test_an_outage_of_the_store_does_not_take_the_server_down(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with s3_server() as server, faulty(server) as s3, s3.server.used():
        url = f"{s3.server.make_bucket('served')}/store"
        files, _ = fsspec.core.url_to_fs(url)
        files.put(f"{store}/", f"{url}/", recursive=True)
        shutil.rmtree(store)
        with served(url, "--read-only", environment=s3.server.environment) as shown:
            assert shown.ask("api/v1/graph", prompt="dallas")[0] == 200
            s3.spoil = everything("error")
            assert shown.ask("healthz")[0] == 200
            assert shown.ask("static/main.js")[0] == 200
            status, content = shown.ask("api/v1/summary", prompt="texas")
            assert status in (200, 503)
            assert "secret" not in str(content)
            s3.spoil = nothing
            assert shown.ask("api/v1/summary", prompt="miami")[0] == 200
