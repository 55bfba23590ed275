"""An HTTP server on the loopback address that answers as a test specifies, and records the requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    method: str
    url: str
    """The URL as received: a proxy receives whole URLs."""
    headers: Mapping[str, str]


class Answer(NamedTuple):
    status: int
    content: bytes = b""
    headers: Mapping[str, str] = {}


@dataclass
class Answering:
    endpoint: str
    asked: list[Asked] = field(default_factory=list)


def refusal(status: int, code: str, rest: str = "") -> Answer:
    """Return an error answer in the format of S3."""
    return Answer(status, f"<Error><Code>{code}</Code><Message>Said {code}.</Message>{rest}</Error>".encode())


@contextmanager
def answering(answer: Callable[[Asked], Answer]) -> Iterator[Answering]:
    """Run a server that answers every request with `answer(request)`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def any_method(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.asked.append(Asked(self.command, self.path, self.headers))
            status, content, headers = answer(state.asked[-1])
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **_DATED, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = any_method

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Answering(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_DATED = {"ETag": '"0"', "Last-Modified": "Sun, 01 Jan 2023 00:00:00 GMT"}
