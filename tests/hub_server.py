"""A Hugging Face hub on this machine: serves a directory as one repository, and records the requests."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" * 6 + "c0de"
REPO = "user/tiny"


def answer(root: Path, path: str) -> tuple[int, bytes]:
    """Return status and body. Only the revisions `main` and `v2` exist; both are the one commit."""
    files = sorted(file for file in root.rglob("*") if file.is_file())
    names = {file.relative_to(root).as_posix(): file for file in files}
    if re.fullmatch(rf"/api/models/{REPO}(/revision/(main|v2|{COMMIT}))?", path):
        siblings = [{"rfilename": name} for name in names]
        return 200, json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings, "tags": []}).encode()
    if re.fullmatch(rf"/api/models/{REPO}/tree/(main|v2|{COMMIT})", path):
        entries = [
            {"type": "file", "path": name, "size": file.stat().st_size, "oid": oid(file)}
            for name, file in names.items()
        ]
        return 200, json.dumps(entries).encode()
    resolved = re.fullmatch(rf"/{REPO}/resolve/(main|v2|{COMMIT})/(.+)", path)
    if resolved and resolved[2] in names:
        return 200, names[resolved[2]].read_bytes()
    return 404, b"{}"


def oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


def not_found(path: str) -> str:
    """Return the error code for the part of an address that does not exist."""
    if REPO not in path:
        return "RepoNotFound"
    return "EntryNotFound" if re.search(rf"/(tree|resolve)/(main|v2|{COMMIT})/", path) else "RevisionNotFound"


@contextmanager
def serve(root: Path, gated: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Yield the address, and the names of files downloaded so far. Anyone may list the files of a gated repository."""
    downloaded: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            status, body = answer(root, path)
            if gated and "/resolve/" in path:
                status, body = 403, b"Access is restricted."
            if "/resolve/" in path and self.command == "GET" and status == 200:
                downloaded.append(path.split("/", 5)[5])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if status == 404:
                self.send_header("X-Error-Code", not_found(path))
            if status == 403:
                self.send_header("X-Error-Code", "GatedRepo")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", downloaded
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
