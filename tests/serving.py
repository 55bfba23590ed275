"""A real server of a store for tests, as its own process, and a page of it in a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from distributed_tracer.config import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    RunConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
)
from distributed_tracer.pipeline import run_job

DEMO = Path(__file__).parent.parent / "demo"
PROMPTS = (
    {"id": "dallas", "text": "Fact: the capital of the state containing Dallas is", "topic": "capitals", "length": 1},
    {"id": "oakland", "text": "Fact: the capital of the state containing Oakland is", "topic": "capitals", "length": 2},
    {"id": "miami", "text": "Fact: the capital of the state containing Miami is", "topic": "capitals", "length": 3},
    {"id": "texas", "text": "Fact: the capital of Texas is", "topic": "states", "length": 4},
    {"id": "<img src=x onerror=alert(1)>", "text": "Fact: the capital of California is", "topic": "<b>bold</b>"},
)
"""Prompts of the demo's model; the last has a hostile id and hostile metadata."""


def make_store(folder: Path, rows: Sequence[dict[str, Any]] = PROMPTS) -> Path:
    """Trace prompts with the demo's model into `folder/store`, and return its path. Takes some seconds."""
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_job(
        JobConfig(
            model=ModelConfig(str(DEMO / "model")),
            transcoders=TranscoderConfig(str(DEMO / "transcoders" / "plt")),
            corpus=CorpusConfig(str(prompts)),
            store=StoreConfig(str(folder / "store")),
            trace=TraceConfig(),
            run=RunConfig(local=True, threads=1, progress=False),
        )
    )
    return folder / "store"


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    root: str
    """Address of its first page, such as `http://127.0.0.1:40123/`."""
    token: str
    process: subprocess.Popen[str]

    def ask(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None, bearer: bool = True, **query: Any
    ) -> tuple[int, Any]:
        """Return status and content of an address below `/`: JSON as values, everything else as bytes."""
        address = self.root + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(address, data)
        for name, value in {
            **({"Authorization": f"Bearer {self.token}"} if bearer else {}),
            **({} if data is None else {"Content-Type": "application/json"}),
            **(headers or {}),
        }.items():
            asked.add_header(name, value)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, _content(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error)


def _content(answer: Any) -> Any:
    data = answer.read()
    return json.loads(data) if answer.headers.get_content_type() == "application/json" else data


@contextmanager
def served(store: Path | str, *flags: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """Run `distributed-tracer serve` on a free port for the duration of a `with` block."""
    command = [sys.executable, "-m", "distributed_tracer", "serve", str(store), "--port", "0", *flags]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        cwd=Path(__file__).parent.parent,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"(http://\S+:\d+/)enter\?token=([\w-]+)", line):
                yield Server(found[1], found[2], process)
                return
        raise AssertionError(f"the server ended with {process.wait()}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def opened(browser: Any, server: Server, page: str = "", **context: Any) -> Iterator[Any]:
    """Open a page of a server in a browser that is logged in.

    Nothing but the server may be asked, and no error may be shown or written to the console, but for `allowed`, which
    a test may add to.
    """
    pages = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
    try:
        shown = pages.new_page()
        problems: list[str] = []
        shown.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        shown.on("pageerror", lambda error: problems.append(str(error)))
        shown.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
        shown.on("request", lambda asked: None if _is_own(asked.url, server) else problems.append(asked.url))
        shown.problems = problems
        query = {"token": server.token, **({"next": page} if page else {})}
        shown.goto(f"{server.root}enter?{urlencode(query)}")
        yield shown
    finally:
        pages.close()
    assert problems == []


def _is_own(url: str, server: Server) -> bool:
    return url.startswith((server.root, "data:", "blob:"))


def violations(shown: Any) -> list[str]:
    """Return what axe-core finds wrong with a page for people who use screen readers or keyboards."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(shown).response["violations"]
    return [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes'][:3]]}" for one in found]
