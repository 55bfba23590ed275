"""Time to open a store of very many prompts and to query it for a feature, on a disk and on an S3 server.

    python benchmarks/opening.py [--prompts 100000] [--part 256] [--s3 20] [--json FILE]

Opening and the queries below read only commits and the index, so the store has these and no parts. It has commits as
workers write them, and then an index of random nodes: 458 per prompt, as default pruning leaves, of 26 layers of 16,384
Zipf-distributed features. `asked` is what a run that continues the store reads first.

Milliseconds are the median of --repeats tries after a first one: on a disk from the system's cache, on S3 with `--s3`
milliseconds added to every answer. Making 100,000 prompts takes three minutes and 8 GB of memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from latency import Delayed, delayed
from s3 import s3_server
from store_questions import percentiles, timed

from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.store.format.part_manifest import PartManifest, PromptSummary
from distributed_tracer.store.format.schema import Columns
from distributed_tracer.store.index_builder import write_index
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.part import Part
from distributed_tracer.store.reader import open_store
from distributed_tracer.table import Table

NODES = 458
LAYERS, FEATURES = 26, 16_384
OBJECTS = [f"{group}/array_{number}/c/0" for group in ("prompts", "nodes", "edges") for number in range(26)]
RANKS = {"hot": 0, "100th": 100, "rare": FEATURES - 1}
"""Ranks of the queried features in layer 0."""


@dataclass(frozen=True)
class Drawn:
    """A part that does not exist, with as much of its interface as an index uses."""

    manifest: PartManifest

    def nodes(self, names: Sequence[str]) -> Columns:
        rng = np.random.default_rng(int(self.manifest.part[:8], 16))
        size = NODES * len(self.manifest.prompts)
        columns: Columns = {
            "kind": np.full(size, NodeKind.FEATURE, np.uint8),
            "layer": rng.integers(0, LAYERS, size, np.int16),
            "feature": (2 * (FEATURES / 2 + 1) ** rng.random(size)).astype(np.int32) - 2,
            "position": rng.integers(1, 50, size, np.int32),
            "activation": rng.lognormal(0, 1, size).astype(np.float32),
            "influence": rng.lognormal(-6, 1.5, size).astype(np.float32),
        }
        return {name: columns[name] for name in names}


def manifests(count: int, size: int) -> Iterator[PartManifest]:
    """Yield the part manifests that workers would have committed."""
    rng = np.random.default_rng(0)
    for first in range(0, count, size):
        entries = tuple(_entry(number, rng) for number in range(first, min(first + size, count)))
        yield PartManifest(uuid.uuid4().hex, entries, {key: (10_000, _hash(f"{first} {key}")) for key in OBJECTS})


def _entry(number: int, rng: np.random.Generator) -> PromptSummary:
    tokens, edges = int(rng.integers(20, 81)), int(rng.integers(1_000, 50_000))
    scores = rng.random(2).tolist()
    return PromptSummary(f"prompt-{number:07d}", tokens, 3, NODES, edges, 400 * tokens, *scores, _hash(str(number)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def measure(
    url: str, made: Sequence[PartManifest], repeats: int, answers: Callable[[], int]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each query, before and after the index is written."""
    ledger = Ledger(url)
    ledger.create_or_check({"identity": {"made by": "benchmarks/opening.py"}})
    with mock.patch("distributed_tracer.store.commits._check_whole"):  # there are commits only, and no parts
        ledger.commit(*made)

    def row(question: str, ask: Callable[[], object]) -> dict[str, Any]:
        ask()
        before = answers()
        median, _ = percentiles(timed(ask, repeats))
        return {"question": question, "ms": median, "requests": (answers() - before) / repeats}

    yield row(f"open, {len(made)} commits and no index", partial(open_store, url))
    plain = open_store(url)
    order = {manifest.part: manifest for manifest in made}
    parts = [cast(Part, Drawn(order[commit.part])) for commit in plain.catalogue.commits]
    started = time.perf_counter()
    write_index(plain.root, 1, plain.catalogue, parts)
    yield {"question": "writing the index, once", "ms": 1000 * (time.perf_counter() - started)}
    yield row("open", partial(open_store, url))
    yield row("asked", lambda: dict(Ledger(url).content_hashes()))
    store = open_store(url)
    yield row("sizes of a prompt", lambda: store.entry("prompt-0000007"))
    for name, rank in RANKS.items():
        num_nodes = len(store.occurrences(0, rank)["prompt"])
        yield row(f"{num_nodes:,} occurrences, {name}", partial(store.occurrences, 0, rank))


@contextmanager
def places(folder: Path, s3: str) -> Iterator[list[tuple[str, str, Callable[[], int]]]]:
    """Yield the places to measure: a name, an address, and a function that counts the answers of a server."""
    found: list[tuple[str, str, Callable[[], int]]] = [("disk", str(folder / "store"), lambda: 0)]
    with ExitStack() as stack:
        if s3 != "none":
            server = stack.enter_context(s3_server())
            remote: Delayed = stack.enter_context(delayed(server, float(s3) / 1000))
            stack.enter_context(remote.server.used())
            address = f"{remote.server.make_bucket('opening')}/store"
            found.append((f"S3, {s3} ms away", address, lambda: remote.answers))
        yield found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--part", type=int, default=256, help="prompts of a commit")
    parser.add_argument("--s3", default="20", help="milliseconds added to every answer, or none")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    args = parser.parse_args()
    made = list(manifests(args.prompts, args.part))
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder, places(Path(folder), args.s3) as here:
        for name, url, answers in here:
            rows = found[name] = list(measure(url, made, args.repeats, answers))
            columns = ("question", "ms", "requests")
            table = Table({column: [row.get(column) for row in rows] for column in columns})
            print(f"\n{args.prompts:,} prompts, {name}\n{table.format(len(rows))}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
