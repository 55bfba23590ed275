"""Cost of an atlas of all edges of a store, beside a group-by of the same edges by DuckDB.

    python benchmarks/atlas.py [--graphs 730 1460] [--memory-gb 1] [--folder FOLDER]

Graphs are those of `synthetic_graphs.py`: about 13,700 edges each. Each step runs in a process of its own, on one
thread; a row has its CPU seconds, nanoseconds of CPU for each edge, its peak memory above what it held when all modules
were imported, and the bytes that it has written.

add 1%              `mine_atlas` of a store that has got its last 1% of prompts since the atlas was made
atlas               `mine_atlas` of all prompts
read, some          all rows of the table of edges of that atlas: both ends, prompts, sum
read, all           all rows, all columns, also those that are computed while they are read
duckdb, export      a Parquet file with a row for each edge: both ends, prompt, weight
duckdb, group       count, sum and sum of absolute weights of each pair, of which only the largest count is kept
duckdb, prompts     the same and the sum of squares, per prompt and then over prompts
duckdb, written     `duckdb, group`, and its rows written to a Parquet file

`--folder` keeps the stores, and uses those that are there. Without the package duckdb its rows are left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import process_memory
from store_questions import OurStore
from synthetic_graphs import Corpus

from distributed_tracer import mine_atlas, open_result, open_store
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.scan import scan_ranges
from distributed_tracer.store.reader import Store

SHARE_ADDED = 100
KEYS = ", ".join(f"{side}_{of}" for side in ("source", "target") for of in ("layer", "kind", "feature"))
OF_WEIGHTS = "count(*) as n, sum(weight) as s, sum(abs(weight)) as a"
SOME = ["source_layer", "source_feature", "target_layer", "target_feature", "prompts", "sum"]


def write_graphs(url: str, first: int, end: int) -> None:
    store, corpus = OurStore(url), Corpus()
    for number in range(first, end):
        store.add(corpus.graph(number))
    store.flush()


def atlas(url: str, out: str, memory_gb: float) -> int:
    result = mine_atlas(open_store(url), out, memory_gb)
    return sum(size for size, _ in result.info["files"].values())


def read(out: str, columns: list[str] | None) -> int:
    for batch in open_result(out).stream("edges", columns):
        len(batch)
    return 0


def export(url: str, path: str) -> int:
    """Write the edges of a store to a Parquet file, as a program without this package's mining would have them."""
    import pyarrow as arrow
    from pyarrow.parquet import ParquetWriter

    ends = [("layer", arrow.int16()), ("kind", arrow.int8()), ("feature", arrow.int32())]
    schema = arrow.schema(
        [(f"{side}_{name}", kind) for side in ("source", "target") for name, kind in ends]
        + [("prompt", arrow.int32()), ("weight", arrow.float32())]
    )
    with ParquetWriter(path, schema) as writer:
        for scanned in scan_ranges(choose_prompts(open_store(url), (), None), 1_500_000):
            source_E, weight_E = scanned.edges()
            nodes = {
                "layer": scanned.nodes["layer"],
                "kind": scanned.nodes["kind"].astype("i1"),
                "feature": ((scanned.code_N & 0xFFFFFFFF) - 1).astype("i4"),
            }
            columns = [nodes[name][node_E] for node_E in (source_E, scanned.target_E) for name, _ in ends]
            writer.write_table(arrow.table([*columns, scanned.rank_N[scanned.target_E], weight_E], schema=schema))
    return Path(path).stat().st_size


def duckdb(path: str, memory_gb: float, what: str) -> int:
    from duckdb import connect

    plain = f"select {KEYS}, {OF_WEIGHTS} from '{path}' group by all"
    by_prompt = f"select {KEYS}, prompt, {OF_WEIGHTS} from '{path}' group by all"
    whole = f"select {KEYS}, count(*) as n, sum(n), sum(s), sum(a), sum(s * s) from ({by_prompt}) group by all"
    written = f"{path}.grouped"
    questions = {
        "group": f"select count(*), max(n) from ({plain})",
        "prompts": f"select count(*), max(n) from ({whole})",
        "written": f"copy ({plain}) to '{written}' (format parquet)",
    }
    con = connect()
    con.execute(f"set threads = 1; set memory_limit = '{memory_gb} GB'; set temp_directory = '{path}.temporary'")
    con.execute(questions[what]).fetchall()
    return Path(written).stat().st_size if what == "written" else 0


def measured(step: Callable[..., Any], *args: Any) -> tuple[float, float, int]:
    """Run a step in a process of its own; return CPU seconds, peak MB and what it returned."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(there, step, args))
    process.start()
    there.close()
    found: tuple[float, float, int] = here.recv()
    process.join()
    return found


def _run(pipe: Connection, step: Callable[..., Any], args: tuple[Any, ...]) -> None:
    import numpy as np

    for name in ("pyarrow.parquet", "duckdb"):
        if find_spec(name.partition(".")[0]):
            __import__(name)
    __import__("pyarrow").array(np.zeros(1))  # which imports more
    before = process_memory.held_bytes() or 0
    process_memory.reset_peak()
    begin = time.process_time()
    found = step(*args)
    pipe.send((time.process_time() - begin, ((process_memory.peak_bytes() or 0) - before) / 1e6, found))


def row(name: str, num_edges: int, found: tuple[float, float, int]) -> None:
    cpu, peak, size = found
    written = f"{size / 1e6:10,.0f}" if size else f"{'':10}"
    print(f"{name:18} {cpu:8.2f} {cpu / num_edges * 1e9:8.0f} {peak:8,.0f} {written}", flush=True)


def measure(folder: Path, num_graphs: int, memory_gb: float) -> None:
    url, added, whole = (str(folder / f"{name}-{num_graphs}") for name in ("store", "added", "atlas"))
    first = num_graphs - max(1, num_graphs // SHARE_ADDED)
    for path in (added, whole):
        shutil.rmtree(path, ignore_errors=True)
    found: tuple[float, float, int] | None = None
    if not Path(url).exists():
        write_graphs(url, 0, first)
        measured(atlas, url, added, memory_gb)
        write_graphs(url, first, num_graphs)
        found = measured(atlas, url, added, memory_gb)
    num_edges = _num_edges(open_store(url))
    print(f"\n{num_graphs:,} graphs, {num_edges / 1e6:.1f} million edges")
    print(f"{'':18} {'CPU s':>8} {'ns/edge':>8} {'peak MB':>8} {'MB written':>10}")
    if found is not None:
        row("add 1%", num_edges, found)
    row("atlas", num_edges, measured(atlas, url, whole, memory_gb))
    row("read, some", num_edges, measured(read, whole, SOME))
    row("read, all", num_edges, measured(read, whole, None))
    shutil.rmtree(added, ignore_errors=True)
    shutil.rmtree(whole)
    if find_spec("duckdb"):
        path = str(folder / f"edges-{num_graphs}.parquet")
        row("duckdb, export", num_edges, measured(export, url, path))
        for what in ("group", "prompts", "written"):
            row(f"duckdb, {what}", num_edges, measured(duckdb, path, memory_gb, what))
        for left in folder.glob(f"edges-{num_graphs}.parquet*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _num_edges(store: Store) -> int:
    return sum(store.entry(prompt_id).num_edges for prompt_id in store)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--graphs", type=int, nargs="+", default=[730, 1460])
    parser.add_argument("--memory-gb", type=float, default=1.0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        for num_graphs in options.graphs:
            measure(folder, num_graphs, options.memory_gb)


if __name__ == "__main__":
    sys.exit(main())
