"""Cost of everything but tracing for a corpus of very many prompts: seconds, CPU seconds and memory by step.

    python benchmarks/large_corpus.py [--prompts 1000 10000 100000] [--intake 1000000] [--graphs 10000] [--s3 20|none]

Each step is the real code, in a process of its own, with the demo's model, which is not loaded:

start               `trace` until the first prompt would be given to a worker, in a new store
start, half bad     the same where every other line is no valid prompt: each becomes a failure record
again               the same command once more, which rewrites these records
its status          `status` of that store, and how many lines it prints
plan, half bad      `plan` of that corpus, likewise
start, duplicates   as many lines that all hold the same prompt
start, one left     in a store that holds all prompts but one, in parts of 256 prompts
status, info        of that store
intake              prompts read, checked, tokenized and put into the prompt queue, and no more
query               prompts by metadata and by token, and a feature, in a store of small graphs

MB is the peak memory of the process above what it held when all modules were imported. On S3, `--s3` milliseconds are
added to every answer.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import process_memory
from latency import delayed
from opening import OBJECTS
from random_graphs import random_graph
from random_stores import make_store
from s3 import s3_server

from distributed_tracer.cli import app
from distributed_tracer.config import CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TranscoderConfig
from distributed_tracer.job.inputs import load_inputs
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.store.format.part_manifest import PartManifest, PromptSummary
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.table import Table

ROOT = Path(__file__).parents[1]
MODEL, TRANSCODERS = str(ROOT / "demo/model"), str(ROOT / "demo/transcoders/plt")
PART = 256


class NoWork:
    """An executor that takes the first prompt and ends."""

    def run(self, units: Iterable[WorkUnit]) -> Generator[Outcome]:
        next(iter(units), None)
        yield from ()


def job(prompts: Path, store: str) -> JobConfig:
    return JobConfig(
        ModelConfig(MODEL),
        TranscoderConfig(TRANSCODERS),
        CorpusConfig(str(prompts), on_bad_prompt="record"),
        StoreConfig(store),
        run=RunConfig(local=True, progress=False),
    )


def write_corpus(path: Path, lines: Iterable[str]) -> Path:
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def line(number: int) -> str:
    return json.dumps(
        {"id": f"p{number:07}", "text": f"Fact: the capital of state number {number} is", "n": number % 7}
    )


def start(config: JobConfig) -> dict[str, Any]:
    with mock.patch("distributed_tracer.runtime.execute.executor_for", return_value=NoWork()):
        summary = run_job(config)
    return {"what": f"{summary.num_left:,} left, {summary.num_failed:,} failed"}


def command(*args: str) -> dict[str, Any]:
    with redirect_stdout(io.StringIO()) as out:
        app.main(list(args))
    return {"what": f"{out.getvalue().count(chr(10)):,} lines"}


def plan(config: JobConfig) -> dict[str, Any]:
    given = ("--model", MODEL, "--transcoders", TRANSCODERS, "--prompts", config.corpus.prompts)
    return command("plan", *given, "--on-bad-prompt", "record")


def inputs(config: JobConfig) -> dict[str, Any]:
    return {"what": f"{len(load_inputs(config).prompts):,} prompts"}


def commit_all_but_one(config: JobConfig) -> dict[str, Any]:
    """Commit part manifests of parts that do not exist, for all prompts but one."""
    prompts = list(load_inputs(config).prompts)[1:]
    ledger = Ledger(config.store.store)
    with mock.patch("distributed_tracer.store.commits._check_whole"):
        for first in range(0, len(prompts), PART):
            entries = (
                PromptSummary(p.id, len(p.tokens or ()), 3, 458, 13_700, 9_000, 0.5, 0.5, p.content_hash)
                for p in prompts[first : first + PART]
            )
            ledger.commit(PartManifest(f"{first:032x}", tuple(entries), dict.fromkeys(OBJECTS, (10000, 64 * "0"))))
    return {}


def many_graphs(url: str, count: int) -> dict[str, Any]:
    """Make a store of small graphs: 64 different ones, repeated."""
    drawn = [random_graph("", seed=seed, num_active=12, num_targets=1) for seed in range(64)]
    parts = (
        [replace(drawn[n % 64], prompt_id=f"p{n:07}", metadata={"n": n % 7}) for n in range(first, first + PART)]
        for first in range(0, count, PART)
    )
    return {"what": f"{len(make_store(url, *parts)):,} graphs"}


def measured(step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a step in a process of its own, and return its result with its seconds and memory."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(there, step))
    process.start()
    there.close()
    found: dict[str, Any] = here.recv()
    process.join()
    return found


def _measure(answer: Connection, step: Callable[[], dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:  # runs every import that happens only once
        load_inputs(job(write_corpus(Path(folder) / "one.jsonl", [line(0)]), ""))
    process_memory.reset_peak()
    held = process_memory.held_bytes() or 0
    started, busy = time.perf_counter(), time.process_time()
    found = step()
    took = {"s": time.perf_counter() - started, "CPU s": time.process_time() - busy}
    answer.send({**took, "MB": ((process_memory.peak_bytes() or 0) - held) / 1e6, **found})


def steps(folder: Path, place: str, count: int) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield all steps but intake alone and queries, for `count` prompts, in an order in which each can run."""
    good = write_corpus(folder / f"good-{count}.jsonl", map(line, range(count)))
    bad = write_corpus(folder / f"bad-{count}.jsonl", (line(n) if n % 2 else '{"text": 7}' for n in range(count)))
    same = write_corpus(folder / f"same-{count}.jsonl", (line(0) for _ in range(count)))
    whole, broken = job(good, f"{place}/whole-{count}"), job(bad, f"{place}/broken-{count}")
    yield "start", partial(start, whole)
    yield "start, half bad", partial(start, broken)
    yield "again", partial(start, broken)
    yield "its status", partial(command, "status", broken.store.store)
    yield "plan, half bad", partial(plan, broken)
    yield "start, duplicates", partial(start, job(same, f"{place}/same-{count}"))
    yield "commit all but one", partial(commit_all_but_one, whole)
    yield "start, one left", partial(start, whole)
    yield "status", partial(command, "status", whole.store.store)
    yield "info", partial(command, "info", whole.store.store)


def queries(place: str, count: int) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the queries of a store with `count` graphs."""
    url = f"{place}/graphs-{count}"
    yield "store of graphs", partial(many_graphs, url, count)
    yield "query --where", partial(command, "query", url, "--where", "n=3")
    yield "query --token", partial(command, "query", url, "--token", " the")
    yield "query --feature", partial(command, "query", url, "--feature", "1:3")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--intake", type=int, nargs="*", default=[1_000_000], help="corpora that are only taken in")
    parser.add_argument("--graphs", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--s3", default="none", help="milliseconds added to every answer, or none for a disk")
    parser.add_argument("--only", nargs="*", help="names of steps; what a step needs must be among them")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, place = Path(name), name
        if args.s3 != "none":
            server = stack.enter_context(delayed(stack.enter_context(s3_server()), float(args.s3) / 1000)).server
            stack.enter_context(server.used())
            place = server.make_bucket("large")
        todo = [(count, *step) for count in args.prompts for step in steps(folder, place, count)]
        for count in args.inputs:
            path = write_corpus(folder / f"intake-{count}.jsonl", map(line, range(count)))
            todo.append((count, "intake", partial(inputs, job(path, ""))))
        todo += [(count, *step) for count in args.graphs for step in queries(place, count)]
        for count, step, do in todo:
            if args.only and step not in args.only:
                continue
            rows.append({"prompts": f"{count:,}", "step": step, **measured(do)})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    columns = ("prompts", "step", "s", "CPU s", "MB", "what")
    print(Table({column: [row.get(column, "") for row in rows] for column in columns}).format(len(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
