"""What a server refuses, and what it survives: hostile requests, slow clients, damaged stores. No browser is needed."""

from __future__ import annotations

import hashlib
import http.client
import logging
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import Server, served

import distributed_tracer.serve
from distributed_tracer.errors import StoreNotFound
from distributed_tracer.serve import app, served_store
from distributed_tracer.serve.api import about_store
from distributed_tracer.serve.security import POLICY
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings
from distributed_tracer.serve.vendored import VENDORED

pytestmark = pytest.mark.slow

STATIC = Path(distributed_tracer.serve.__file__).parent / "static"
LICENCES = {"Apache-2.0": "Apache License", "MIT": "Permission is hereby granted", "ISC": "ISC License"}


@contextmanager
def connected(server: Server) -> Iterator[http.client.HTTPConnection]:
    """A connection that sends paths and headers as they are given."""
    connection = http.client.HTTPConnection(urlsplit(server.root).netloc, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def ask(
    server: Server, path: str, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None, **more: Any
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and content of a raw request with the token."""
    with connected(server) as connection:
        sent = {"Authorization": f"Bearer {server.token}", **(headers or {})}
        connection.request(method, path, body, sent, **more)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def with_cookie(server: Server) -> dict[str, str]:
    """The headers of a browser that has entered."""
    with connected(server) as connection:
        connection.request("GET", f"/enter?token={server.token}")
        cookie = connection.getresponse().getheader("set-cookie") or ""
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    return {"Cookie": f'other={{"not": "a cookie"}}; {cookie.partition(";")[0]}; last', "Authorization": ""}


def test_no_path_leaves_the_pages(server: Server) -> None:
    for path in (
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/static/..%5csettings.py",
        "/static//etc/passwd",
        "/static/vendor/../../settings.py",
        "//etc/passwd",
        "/../../etc/passwd",
        "/static/main.js%00.py",
        "/static/",
        "/api/v1/../../static/enter.html",
        "/.git/config",
    ):
        status, _, content = ask(server, path)
        assert status in (400, 404), path
        assert b"ServeSettings" not in content, path
        assert b"root:" not in content, path


def test_only_names_of_this_machine_are_answered(server: Server) -> None:
    port = urlsplit(server.root).port
    for host in (
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1.evil.example:{port}",
        "localhost@evil.example",
        "[",
    ):
        assert ask(server, "/api/v1/store", headers={"Host": host})[0] in (400, 421), host
    for host in ("localhost", "localhost:9999", f"127.0.0.1:{port}", "[::1]:1"):
        assert ask(server, "/api/v1/store", headers={"Host": host})[0] == 200, host


def test_a_change_comes_from_a_page_of_this_server_alone(small_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(small_store, tmp_path / "store")
    with served(store) as server:
        cookie, body = with_cookie(server), '{"prompt": "dallas", "text": "a note", "author": "a"}'
        json = {"Content-Type": "application/json"}
        own = server.root.rstrip("/")
        for origin in ("http://evil.example", "null", "http://[", own.replace("http", "https") + "1", ""):
            headers = {**cookie, **json, "Origin": origin}
            assert ask(server, "/api/v1/notes", "POST", headers, body)[0] == 403, origin
        assert ask(server, "/api/v1/notes", "POST", {**cookie, **json}, body)[0] == 403
        assert ask(server, "/api/v1/notes?prompt=dallas", headers=cookie)[2].count(b"a note") == 0
        assert ask(server, "/api/v1/notes", "POST", {**cookie, **json, "Origin": own}, body)[0] == 200
        assert ask(server, "/api/v1/notes", "POST", json, body)[0] == 200  # a program, with the token
        for wrong in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            headers = {**cookie, "Content-Type": wrong, "Origin": own}
            assert ask(server, "/api/v1/notes", "POST", headers, body)[0] == 400, wrong


def test_a_server_that_is_read_only_changes_nothing(server: Server) -> None:
    headers = {"Content-Type": "application/json"}
    status, _, content = ask(server, "/api/v1/notes", "POST", headers, '{"prompt": "dallas", "text": "a note"}')
    assert status == 403
    assert b"--read-only" in content


def test_bodies_headers_and_addresses_have_largest_sizes(small_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(small_store, tmp_path / "store")
    with served(store) as server:
        json, large = {"Content-Type": "application/json"}, b"x" * (2 << 20)
        assert ask(server, "/api/v1/notes", "POST", json, large)[0] == 413
        chunks = (b"y" * 65_536 for _ in range(64))
        status, _, content = ask(server, "/api/v1/notes", "POST", json, chunks, encode_chunked=True)
        assert status == 400
        assert b"1,048,576 bytes" in content
        chunks = (b"token=" + b"y" * 65_536 for _ in range(64))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert ask(server, "/enter", "POST", form, chunks, encode_chunked=True)[0] == 400
        assert ask(server, "/api/v1/notes", "POST", json, b"[" * 100_000)[0] == 400
        assert ask(server, "/api/v1/store", headers={"X-Long": "x" * 100_000})[0] in (400, 431)
        assert ask(server, "/api/v1/store?" + "x" * 100_000)[0] in (400, 414, 431)
        assert ask(server, "/api/v1/store?" + "&".join(f"p{number}" for number in range(4_500)))[0] == 400
        assert ask(server, "/api/v1/graph?prompt=dallas&prompt=miami")[0] == 400
        assert ask(server, "/api/v1/graph?prompt=" + "x" * 20_000)[0] == 400
        assert ask(server, "/healthz")[0] == 200


def test_every_reply_forbids_other_hosts_and_frames(server: Server) -> None:
    for path, method, headers in (
        ("/", "GET", {}),
        ("/graph?prompt=dallas", "GET", {}),
        ("/static/main.js", "GET", {}),
        ("/static/nothing.js", "GET", {}),
        ("/api/v1/store", "GET", {}),
        ("/api/v1/store", "DELETE", {}),
        ("/api/v1/graph", "GET", {}),
        ("/api/v1/nothing", "GET", {}),
        ("/api/v1/openapi.json", "GET", {}),
        ("/api/v1/export?prompt=dallas&format=html", "GET", {}),
        ("/healthz", "GET", {}),
        ("/", "GET", {"Authorization": ""}),
        ("/enter?token=wrong", "GET", {"Authorization": ""}),
        ("/", "GET", {"Host": "evil.example"}),
    ):
        _, found, _ = ask(server, path, method, headers)
        assert found["content-security-policy"] == POLICY, path
        assert found["x-content-type-options"] == "nosniff", path
        assert found["x-frame-options"] == "DENY", path
        assert found["cross-origin-resource-policy"] == "same-origin", path
        assert "server" not in found, path
        assert "access-control-allow-origin" not in found, path


def test_a_hundred_readers_at_once_are_all_answered(server: Server) -> None:
    paths = ["/api/v1/store", "/api/v1/graph?prompt=dallas", "/", "/static/main.js"] * 25

    def status(path: str) -> int:
        return ask(server, path)[0]

    with ThreadPoolExecutor(100) as readers:
        assert [*readers.map(status, paths)] == [200] * 100


def test_clients_that_send_or_read_nothing_hold_nobody_up(server: Server) -> None:
    address = urlsplit(server.root)
    idle = [socket.create_connection((address.hostname, address.port)) for _ in range(50)]
    try:
        for number, one in enumerate(idle):
            one.sendall(b"GET /api/v1/graph?prompt=dallas HTTP/1.1\r\nHost: localhost\r\n")
            if number % 2:  # a whole request, of which the reply is never read
                one.sendall(f"Authorization: Bearer {server.token}\r\n\r\n".encode())
        assert ask(server, "/api/v1/graph?prompt=dallas")[0] == 200
        assert ask(server, "/healthz")[0] == 200
    finally:
        for one in idle:
            one.close()


def test_a_damaged_store_is_named_and_the_server_goes_on(small_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(small_store, tmp_path / "store")
    with served(store) as server:
        assert ask(server, "/api/v1/graph?prompt=dallas")[0] == 200
        for path in (store / "parts").glob("*/edges/*/c/*"):
            if path.is_file():
                data = bytearray(path.read_bytes())
                data[len(data) // 2] ^= 0xFF
                path.write_bytes(bytes(data))
        status, _, content = ask(server, "/api/v1/graph?prompt=miami")
        assert status == 500
        assert b"StoreCorrupt" in content
        assert b"Traceback" not in content
        assert ask(server, "/api/v1/store")[0] == 200
        assert ask(server, "/healthz")[0] == 200


def test_a_store_that_is_deleted_is_missed_and_the_server_goes_on(small_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(small_store, tmp_path / "store")
    with served(store) as server:
        shutil.rmtree(store)
        status, _, content = ask(server, "/api/v1/graph?prompt=dallas")
        assert status in (500, 503)
        assert b"error" in content
        assert b"Traceback" not in content
        assert ask(server, "/")[0] == 200
        assert ask(server, "/healthz")[0] == 200


def test_a_store_that_is_not_there_any_more_is_not_shown_as_if_it_were(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shutil.copytree(small_store, tmp_path / "store")
    found = ServedStore(ServeSettings(str(store)))
    monkeypatch.setattr(served_store, "REFRESH_SECONDS", 0.0)
    assert len(found.refresh()) == 5
    shutil.rmtree(store)
    with pytest.raises(StoreNotFound):
        found.refresh()


def test_credentials_of_an_address_are_not_printed() -> None:
    address = "https://user:geheim@127.0.0.1:9/store?sig=geheim2"
    command = [sys.executable, "-m", "distributed_tracer", "serve", address, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=120)
    assert done.returncode != 0
    assert done.stderr
    assert "geheim" not in done.stdout + done.stderr


def test_texts_of_errors_cannot_control_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    hostile = "\x1b[2J\x07\u202e https://user:geheim@host/x"
    with caplog.at_level(logging.ERROR):
        answer = app._error_of(ValueError(hostile), about_store.ENDPOINTS[0])
    assert answer.status_code == 500
    assert b"geheim" not in bytes(answer.body)
    (record,) = caplog.records
    assert "ValueError" in record.getMessage()
    assert all(line.isprintable() for line in record.getMessage().splitlines())
    assert "geheim" not in record.getMessage()


def test_files_of_others_are_unchanged_and_have_their_licence_beside_them() -> None:
    folder = STATIC / "vendor"
    for one in VENDORED:
        path = folder / one.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one.sha256, one.path
        licences = "".join(file.read_text("utf-8") for file in path.parent.glob("LICENSE*"))
        for name in one.licence.split(" and "):
            assert LICENCES[name] in licences, f"{one.path}: {name}"
    known = {one.path for one in VENDORED}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.js")} == known


def test_no_file_of_the_pages_names_another_host() -> None:
    for path in STATIC.rglob("*"):
        if path.suffix in (".js", ".html", ".css") and "vendor" not in path.parts:
            text = path.read_text("utf-8")
            for scheme in ("http://", "https://", "//cdn", "ws://"):
                rest = text.replace("http://www.w3.org/", "")
                assert scheme not in rest, f"{path.name} names {scheme}"
            assert "innerHTML" not in text, path.name
            assert "eval(" not in text, path.name
