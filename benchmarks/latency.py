"""A proxy in front of an S3 server that delays the first byte of every answer and counts the answers.

It is a process of its own and passes on bytes unchanged, on any number of connections at once. Requests on different
connections wait at the same time, not one after another. Each request on one connection waits, as over a long line.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

from s3 import S3Server

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Delayed:
    """A server as seen through the proxy."""

    server: S3Server
    counter: Any

    @property
    def answers(self) -> int:
        """Number of answers sent until now."""
        return int(self.counter.value)


@contextmanager
def delayed(server: S3Server, seconds: float) -> Iterator[Delayed]:
    """Run a proxy that delays the beginning of each of the server's answers by `seconds`."""
    spawn = multiprocessing.get_context("spawn")
    counter = spawn.Value("q", 0)
    here, there = spawn.Pipe()
    process = spawn.Process(target=_run, args=(urlsplit(server.endpoint).netloc, seconds, counter, there), daemon=True)
    process.start()
    try:
        endpoint = f"http://127.0.0.1:{here.recv()}"
        environment = {**server.environment, "AWS_ENDPOINT_URL": endpoint}
        yield Delayed(replace(server, endpoint=endpoint, environment=environment), counter)
    finally:
        process.kill()
        process.join()


def _run(upstream: str, seconds: float, counter: Any, ready: Connection) -> None:
    asyncio.run(_serve(upstream, seconds, counter, ready))


async def _serve(upstream: str, seconds: float, counter: Any, ready: Connection) -> None:
    host, port = upstream.split(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(host, int(port), limit=_CHUNK)
            asked = asyncio.Event()
            await asyncio.gather(
                _pass_on(reader, there_writer, asked), _answer(there_reader, writer, asked, seconds, counter)
            )

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_CHUNK, backlog=1024)
    ready.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            asked.set()
            writer.write(data)
            await writer.drain()
    writer.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event, seconds: float, counter: Any
) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            if asked.is_set():
                asked.clear()
                counter.value += 1
                await asyncio.sleep(seconds)
            writer.write(data)
            await writer.drain()
    writer.close()
