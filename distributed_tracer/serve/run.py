"""run_server: starts the server of a store and prints the address to open."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import uvicorn

from ..errors import ConfigError
from .app import create_app
from .security import is_local_address, new_token
from .served_store import ServedStore
from .settings import ServeSettings
from .stopping import GivenUp, in_one_line

_BACKLOG = 2048
_OPEN_FILES = 16_384


def run_server(settings: ServeSettings, ready: Callable[[str], None], page: str = "") -> None:
    """Serve a store until the process is interrupted; call `ready` with the address to open when it answers.

    The address has the token. `page` is the address of the first page, such as `graph?prompt=dallas`. Raises
    ConfigError if the address cannot be listened at or `page` leads elsewhere, and what opening the store raises.
    """
    if page and not is_local_address(page):
        raise ConfigError(f"{page!r} is not a page of this server, such as 'graph?prompt=dallas'")
    served = ServedStore(settings)
    _allow_many_connections()
    token = settings.token or new_token()
    listening = _listen(settings.host, settings.port)
    try:
        host, port = listening.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        to = f"&next={quote(page, safe='')}" if page else ""
        config = uvicorn.Config(
            GivenUp(create_app(served, token)),
            log_level="warning",
            access_log=False,  # its lines would have the token
            server_header=False,
            http="h11",  # the other parser has no largest size of headers
            ws="none",
            lifespan="off",
            backlog=_BACKLOG,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=64 << 10,
        )
        in_one_line()
        ready(f"http://{name}:{port}/enter?token={quote(token, safe='')}{to}")
        with suppress(KeyboardInterrupt):  # raised again when all requests have been answered
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()


def _allow_many_connections() -> None:
    """Raise this process's own limit of open files, often 1,024, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        remedy = "another process uses the port: choose another one with --port, or 0 for a free one"
        raise ConfigError(f"cannot listen at {host} port {port}: {remedy if taken else error}") from error
    return listening
