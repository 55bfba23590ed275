"""Time until the table of prompts of `serve` answers, and what its answers take, for stores of very many prompts.

    python benchmarks/serve_corpus.py [--prompts 10000 100000] [--store URL] [--repeats 3] [--json FILE]

A store is made (`many_prompts.py`), a server is started, and its API is asked as the page asks it. `start` is the time
until the server has printed its address. The next times begin there, when a reader opens the page: `first rows` until
there are the ids, scores and sizes of a page of rows; `first texts` until these rows have their texts; `whole table`
until every column is sorted and searched. `in the page` is the time from the request of the page to its first row with
a text, in headless Chromium and of another server that nothing was asked of; `longest answer` is that of the answers
while the table is being read. All other rows are the
median of different questions of a kind, so that nothing is answered from what was kept; `again` is a repeated one. The
machine's other work shows in all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from many_prompts import make_store
from serving import Server, served

from distributed_tracer.table import Table

COLUMNS = ["family", "held_out", "num_tokens", "num_nodes", "replacement", "completeness"]
HISTOGRAMS = ["family", "held_out", "replacement", "completeness", "num_nodes", "answer.weight"]
WORDS = ["mountain", "river", "opposite", "seven", "capital", "north"]
SORTED = ["answer.weight", "replacement", "subject", "difficulty", "num_nodes", "family"]
_LONGEST = 600.0


def measure(url: str, repeats: int, chromium: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each question to a server of a store."""
    started = time.perf_counter()
    longest = 0.0
    with served(url, "--read-only") as server:
        begin = time.perf_counter()

        def until(holds: Callable[[Any], bool]) -> float:
            """Return the seconds since the server answers until the first page of rows is as wanted."""
            nonlocal longest
            is_held = False
            while not is_held:
                asked = time.perf_counter()
                is_held = holds(rows(server))
                longest = max(longest, time.perf_counter() - asked)
                if asked - begin > _LONGEST:
                    raise TimeoutError(f"nothing after {_LONGEST} s")
            return time.perf_counter() - begin

        yield {"question": "start", "ms": 1000 * (begin - started)}
        yield {"question": "first rows", "ms": 1000 * until(lambda found: bool(found["rows"]))}
        yield {
            "question": "first texts",
            "ms": 1000 * until(lambda found: all(row["is_read"] for row in found["rows"])),
        }
        yield {"question": "whole table", "ms": 1000 * until(lambda found: found["loading"] == 1)}
        yield {"question": "longest answer", "ms": 1000 * longest}
        yield {"question": "memory, MiB", "ms": _peak_bytes(server) / 2**20}
        yield _row("page of rows", [lambda n=n: rows(server, offset=100 * n) for n in range(1, 1 + repeats)])
        yield _row("sort", [lambda name=name: rows(server, sort=name) for name in SORTED[:repeats]])
        yield _row("sort again", [lambda: rows(server, sort=SORTED[0])] * repeats)
        yield _row("search", [lambda word=word: rows(server, search=word) for word in WORDS[:repeats]])
        yield _row(
            "filter",
            [lambda n=n: rows(server, where=[f"replacement>=0.{n}", "family=family-3"]) for n in range(2, 2 + repeats)],
        )
        yield _row("histograms, first", [lambda: histograms(server)])
        yield _row(
            "histograms",
            [lambda n=n: histograms(server, where=[f"num_nodes>={30 + n}"]) for n in range(1, 1 + repeats)],
        )
        yield _row("progress", [lambda: server.ask("api/v1/progress")] * repeats)
    if chromium:
        yield {"question": "in the page", "ms": 1000 * _seconds_in_page(url, chromium)}


def _seconds_in_page(url: str, chromium: str) -> float:
    """Return the seconds from opening the page of a new server until a row of it has a text."""
    from playwright.sync_api import sync_playwright

    with served(url, "--read-only") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        begin = time.perf_counter()
        page.goto(f"{server.root}enter?token={server.token}")
        page.wait_for_function(
            "() => document.querySelector('table.prompts tbody td.prompt')?.innerText.length > 10", timeout=120_000
        )
        seconds = time.perf_counter() - begin
        browser.close()
        return seconds


def rows(server: Server, **query: Any) -> Any:
    """Return a page of rows, as the page asks for it."""
    return _asked(server, "api/v1/prompts", limit=100, column=COLUMNS, **query)


def histograms(server: Server, **query: Any) -> Any:
    return _asked(server, "api/v1/histograms", column=HISTOGRAMS, **query)


def _asked(server: Server, path: str, **query: Any) -> Any:
    status, found = server.ask(path, **query)
    if status not in (200, 202):
        raise RuntimeError(f"{path} {query}: {status} {found}")
    return found


def _row(question: str, asked: Sequence[Callable[[], object]]) -> dict[str, Any]:
    return {"question": question, "ms": statistics.median(_milliseconds(ask) for ask in asked)}


def _milliseconds(ask: Callable[[], object]) -> float:
    begin = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - begin)


def _peak_bytes(server: Server) -> int:
    """Return the largest number of bytes that the server's process has had in memory."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--store", help="a store that was made before, instead of new ones")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chromium", default="", help="program of the browser, such as /usr/bin/chromium")
    parser.add_argument("--json", type=Path, help="also write all results here")
    args = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in [0] if args.store else args.prompts:
            url = args.store or str(Path(folder) / f"store-{count}")
            if not args.store:
                make_store(url, count)
            results = found[str(count or args.store)] = list(measure(url, args.repeats, args.chromium))
            table = Table({name: [row[name] for row in results] for name in ("question", "ms")})
            print(f"\n{args.store or f'{count:,} prompts'}\n{table.format(len(results))}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
