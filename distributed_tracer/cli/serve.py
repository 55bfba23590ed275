"""Command that shows a store in a browser."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ..errors import ConfigError
from ..redact import redacted
from .app import StorePath


def serve(
    path: StorePath,
    host: str = "127.0.0.1",
    port: int = 8765,
    profile: str | None = None,
    mined: tuple[str, ...] = (),
    model: str | None = None,
    transcoders: str | None = None,
    device: str = "cpu",
    read_only: bool = False,
    author: str = "",
    allow_host: tuple[str, ...] = (),
    token_file: Path | None = None,
    page: str = "",
) -> int:
    """Show a store in a browser: its prompts, graphs, features and findings; with labels, groups and notes to edit.

    The address that is printed has a secret token. By default only this machine reaches the server; from elsewhere use
    `ssh -L 8765:localhost:8765 MACHINE`.

    Args:
        path: Directory or URL of a store.
        host: Address to listen at. Any but 127.0.0.1 and ::1 is reached from other machines, without encryption.
        port: Port to listen at; 0 takes a free one.
        profile: Folder of a profile of features, for their contexts and promoted tokens.
        mined: Folders of results of mining, for the page of findings.
        model: Model for interventions, as for `intervene`.
        transcoders: Transcoders for interventions.
        device: Device of the model.
        read_only: Whether to refuse all changes: labels, groups, notes, views.
        author: Name that annotations get where none is given.
        allow_host: Names by which browsers reach the server, if not localhost.
        token_file: File whose first line is the token, instead of a new one each time.
        page: Page to open first, as in "graph?prompt=dallas".
    """
    try:
        from ..serve.run import run_server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serve needs {error.name}, which is not installed: pip install 'distributed-tracer[serve]'"
        ) from error
    from ..serve.settings import ServeSettings

    token = None if token_file is None else _token_of(token_file)
    if (model is None) != (transcoders is None):
        raise ConfigError("interventions need both --model and --transcoders")
    settings = ServeSettings(
        path, host, port, profile, mined, model, transcoders, device, read_only, author, allow_host, token
    )

    def ready(address: str) -> None:
        print(f"{redacted(path)} is served at\n\n    {address}\n\nStop with Ctrl-C.", flush=True)

    run_server(settings, ready, page)
    # The interpreter waits for threads whose requests nobody waits for any more: a further Ctrl-C ends it at once.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    print("Stopped.", flush=True)
    return 0


def _token_of(file: Path) -> str:
    """Return the token in a file. Raises ConfigError if it is short enough to be guessed."""
    token = (file.read_text(encoding="utf-8").splitlines() or [""])[0].strip()
    if len(token) < 16:
        raise ConfigError(f"the token in {file} has {len(token)} characters; at least 16 are needed")
    return token
