"""Reachability: checks whether anything listens at an address, and limits the time of calls that Ray does not limit."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from ...errors import ConfigError
from ...redact import redacted_url

T = TypeVar("T")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PORTS = {"ray": 10001, "http": 80, "https": 443}


def check_listens(address: str, seconds: float) -> None:
    """Connect to HOST:PORT, ray://HOST:PORT or http(s)://HOST[:PORT], and close the connection.

    Raises ConfigError for a malformed address, and OSError if nothing accepts a connection within `seconds`.
    """
    host, port = host_and_port(address)
    hosts = [host]
    if host in _LOOPBACK:  # Ray replaces it by the address that other nodes know, and may listen only on that address
        hosts.append(socket.gethostname())
    deadline, problem = time.monotonic() + seconds, OSError(f"nothing answers within {seconds:g} s")
    for name in hosts:
        try:
            socket.create_connection((name, port), timeout=max(deadline - time.monotonic(), 0.1)).close()
            return
        except TimeoutError:
            break
        except OSError as error:
            problem = problem if name != host else error
    raise problem


def host_and_port(address: str) -> tuple[str, int]:
    """Return host and port of an address with or without a scheme. Raises ConfigError for a malformed address."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if not parts.hostname or not port:
        raise ConfigError(f"{redacted_url(address)!r} is no address: it has the form HOST:PORT, as in 10.0.0.10:6379")
    return parts.hostname, port


def within(seconds: float, call: Callable[[], T]) -> T:
    """Run `call` in a thread, and return or raise what it does.

    Raises TimeoutError after `seconds`; the thread is then abandoned.
    """
    found: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, name="reach", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not found:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return found[0]
