"""How long readers of a server wait when many ask at once: the median and the 99th percentile of each kind of request.

    python benchmarks/serve_load.py STORE PROMPT [READERS]

A real server process answers READERS (default 1,000) connections that are opened at the same time; each asks for a
page, a file, the facts of the store and a graph. Any reply but 200 ends the run with an error.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from urllib.parse import quote, urlsplit

import numpy as np


async def _status(host: str, port: int, path: str, token: str) -> tuple[int, float]:
    """Return status and seconds of one request on a connection of its own."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        reply = await reader.read()
        return int(reply.split(b" ", 2)[1]), time.monotonic() - begun
    finally:
        writer.close()


async def _load(root: str, token: str, prompt: str, readers: int) -> None:
    host, port = urlsplit(root).hostname or "", urlsplit(root).port or 0
    paths = ("/", "/static/main.js", "/api/v1/store", f"/api/v1/graph?prompt={quote(prompt)}")
    for path in paths:
        done = await asyncio.gather(*(_status(host, port, path, token) for _ in range(readers)))
        if wrong := [status for status, _ in done if status != 200]:
            raise SystemExit(f"{path}: {len(wrong)} of {readers} replies were not 200, such as {wrong[0]}")
        seconds = np.array([seconds for _, seconds in done])
        middle, late = np.percentile(seconds, [50, 99])
        print(f"{path:40} {readers} at once: median {middle:.3f} s, 99th percentile {late:.3f} s")


def main(store: str, prompt: str, readers: int = 1_000) -> None:
    """Start a server, put the load on it, and print the figures."""
    command = [sys.executable, "-m", "distributed_tracer", "serve", store, "--port", "0", "--read-only"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = server.stdout or ()
            found = next(filter(None, (re.search(r"(http\S+/)enter\?token=(\S+)", line) for line in lines)))
            asyncio.run(_load(found[1], found[2], prompt, readers))
        finally:
            server.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
