"""A proxy in front of an S3 server that spoils some requests and passes all others on unchanged.

It also passes the Host header on: the header is part of what a client signs, so that the server's check still holds.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from s3 import S3Server

Fault = Literal["slow down", "error", "reset", "lost answer", "cut", "stall"]
"""503 SlowDown; 500; connection reset before, or after, the server did what was asked; an answer that breaks off; no
answer for `stall_seconds`, after which the request is passed on.
"""
FAULTS: tuple[Fault, ...] = get_args(Fault)


class Request(NamedTuple):
    """A client's request."""

    method: str
    path: str
    headers: Mapping[str, str]


Spoil = Callable[[Request], Fault | None]
"""Returns the fault of a request, or None if it is passed on."""

_ERRORS = {
    "slow down": (503, "SlowDown", "Please reduce your request rate."),
    "error": (500, "InternalError", "We encountered an internal error. Please try again."),
}


def nothing(request: Request) -> None:
    """Spoil no request."""


def everything(fault: Fault) -> Spoil:
    """Spoil every request with the same fault."""
    return lambda request: fault


def at_random(rate: float, seed: int, faults: Sequence[Fault] = FAULTS) -> Spoil:
    """Spoil a share of the requests, each with a random fault."""
    rng = random.Random(seed)
    return lambda request: rng.choice(faults) if rng.random() < rate else None


@dataclass
class FaultyS3:
    """The address for clients, the faults from now on, and the number of past faults."""

    server: S3Server
    spoil: Spoil = nothing
    stall_seconds: float = 3600.0
    counts: Counter[str] = field(default_factory=Counter)
    """Number of faults by kind; the empty name counts requests that were passed on unchanged."""
    last_good: float = 0.0
    """Time at which a request was last passed on unchanged, on the monotonic clock."""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, request: Request) -> Fault | None:
        with self.lock:
            found = self.spoil(request)
            self.counts[found or ""] += 1
            if found is None:
                self.last_good = time.monotonic()
        return found


@contextmanager
def faulty(server: S3Server) -> Iterator[FaultyS3]:
    """Run a proxy on a free port of the loopback address. No request is spoilt until `spoil` is set."""
    proxy = _Proxy(server.endpoint)
    endpoint = f"http://127.0.0.1:{proxy.server_port}"
    environment = {**server.environment, "AWS_ENDPOINT_URL": endpoint}
    proxy.state = FaultyS3(replace(server, endpoint=endpoint, environment=environment))
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, name="proxy", daemon=True)
    thread.start()
    try:
        yield proxy.state
    finally:
        proxy.state.closing.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    state: FaultyS3

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(endpoint).netloc

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # skips the orderly shutdown with which the parent class would replace a reset


class _Handler(BaseHTTPRequestHandler):
    """One connection to a client, and one to the server behind the proxy."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Proxy

    def setup(self) -> None:
        super().setup()
        self.upstream = HTTPConnection(self.server.upstream)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has disconnected
            self.close_connection = True

    def any_method(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        state = self.server.state
        fault = state.fault(Request(self.command, self.path, self.headers))
        if fault in _ERRORS:
            return self._send(*_error(*_ERRORS[fault]))
        if fault == "stall" and state.closing.wait(state.stall_seconds):
            fault = "reset"
        if fault == "reset":
            return self._reset()
        answer = self._pass_on(body)
        if fault == "lost answer":
            return self._reset()
        return self._send(*answer, cut=fault == "cut")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = any_method

    def _pass_on(self, body: bytes) -> tuple[bytes, bytes]:
        """Return head and body of the server's answer."""
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":  # the proxy has answered this header
                self.upstream.putheader(name, value)
        self.upstream.endheaders(body or None)
        answer = self.upstream.getresponse()
        content = answer.read()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() != "transfer-encoding"]
        if answer.getheader("Content-Length") is None:
            headers.append(("Content-Length", str(len(content))))
        return _head(answer.status, answer.reason, headers), content

    def _send(self, head: bytes, content: bytes, cut: bool = False) -> None:
        whole = head + (b"" if self.command == "HEAD" else content)
        if cut:
            self.close_connection = True
            whole = whole[: len(whole) - (len(content) // 2 or 10)]
        self.wfile.write(whole)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def _head(status: int, reason: str, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _error(status: int, code: str, message: str) -> tuple[bytes, bytes]:
    content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))]
    return _head(status, code, headers), content
