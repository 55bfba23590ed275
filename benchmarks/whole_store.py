"""CPU time and peak memory of what reads all edges of a store, or all of a feature's, and of compaction.

    python benchmarks/whole_store.py [--graphs 1000] [--parts 10] [--store FOLDER] [--json FILE]

The store has graphs of `synthetic_graphs.py`. Each row is a process of its own, which asks once and after that reports
seconds of CPU, and its peak memory beyond what it held before it asked. The store is compacted in the same way, and
then asked again. Another version of the program is measured with its folder first in PYTHONPATH and the same --store.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import process_memory
from random_stores import RUN_INFO, write_part
from synthetic_graphs import Corpus

from distributed_tracer import average_edges, compact, edges_into, edges_out_of, open_store, recurring_edges
from distributed_tracer.query.feature_counts import feature_counts
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.table import Table

Question = Callable[[str], Any]


def make(url: str, num_graphs: int, num_parts: int) -> None:
    """Write a store of `num_parts` parts."""
    ledger, corpus, each = Ledger(url), Corpus(), -(-num_graphs // num_parts)
    ledger.create_or_check(RUN_INFO)
    for first in range(0, num_graphs, each):
        ledger.commit(write_part(url, map(corpus.graph, range(first, min(first + each, num_graphs)))))


def feature(url: str, rank: int) -> tuple[int, int]:
    """Return the feature of this rank by the number of prompts that have it."""
    counts = feature_counts(open_store(url))
    row = np.argsort(-counts["prompts"], kind="stable")[rank]
    return int(counts["layer"][row]), int(counts["feature"][row])


def questions(url: str) -> dict[str, Question]:
    """What is measured."""
    hot, rare = feature(url, 0), feature(url, 3000)
    return {
        "recurring_edges": lambda url: recurring_edges(open_store(url)),
        "average_edges": lambda url: average_edges(open_store(url)),
        "edges_into, hot": lambda url: edges_into(open_store(url), *hot),
        "edges_out_of, hot": lambda url: edges_out_of(open_store(url), *hot),
        "edges_into, 3,000th": lambda url: edges_into(open_store(url), *rare),
        "compact": lambda url: compact(url),
    }


def fingerprint(answer: Any) -> str:
    """Return a short hash of a table, by which answers of two versions are compared."""
    if not isinstance(answer, Table):
        return ""
    digest = hashlib.sha256()
    for name in answer.columns:
        values = answer[name]
        digest.update(name.encode() + (repr(values.tolist()).encode() if values.dtype == object else values.tobytes()))
    return digest.hexdigest()[:8]


def ask(name: str, url: str) -> dict[str, Any]:
    """Ask one question in this process."""
    question = questions(url)[name]
    open_store(url).prompts  # noqa: B018  what every question reads first, and what loads the libraries
    process_memory.reset_peak()
    before, began, wall = process_memory.held_bytes() or 0, time.process_time(), time.perf_counter()
    answer = question(url)
    seconds, elapsed = time.process_time() - began, time.perf_counter() - wall
    megabytes = ((process_memory.peak_bytes() or 0) - before) / 1e6
    rows = len(answer) if isinstance(answer, Table) else 0
    return {"cpu": seconds, "wall": elapsed, "mb": megabytes, "rows": rows, "answer": fingerprint(answer)}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=1000)
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--store", help="folder of the store, which is made if it does not exist and is kept")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ask", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.ask:
        print(json.dumps(ask(*options.ask)))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = options.store or f"{folder}/store"
        if not Path(source).exists():
            make(source, options.graphs, options.parts)
        url = f"{folder}/copy"
        shutil.copytree(source, url)
        store = open_store(url)
        num_edges = sum(store.entry(name).num_edges for name in store)
        print(f"{len(store):,} graphs, {num_edges / 1e6:.1f} million edges, {len(store.manifests)} parts")
        found: dict[str, dict[str, Any]] = {}
        for state in ("parts", "compacted"):
            for name in questions(url):
                if name == "compact" and state == "compacted":
                    continue
                command = [sys.executable, __file__, "--ask", name, url]
                said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
                found[f"{name} ({state})"] = row = json.loads(said.splitlines()[-1])
                print(
                    f"{name:22} {state:10} {row['cpu']:7.2f} s CPU {row['wall']:7.2f} s {row['mb']:8.0f} MB "
                    f"{row['rows']:8,} rows {row['answer']}",
                    flush=True,
                )
        if options.json:
            options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
