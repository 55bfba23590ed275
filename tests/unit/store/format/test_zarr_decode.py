from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numcodecs import blosc, zstd
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import StoreCorrupt
from distributed_tracer.store.format.zarr_decode import Layout
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import Store, open_store


def rewritten(store: Store, change: Callable[[dict[str, Any]], None]) -> Store:
    """The store with other metadata in its part, and a commit that agrees: what a faulty or hostile writer could do."""
    (metadata_path,) = (Path(store.url) / "parts").glob("*/zarr.json")
    (commit_path,) = (Path(store.url) / "commits").iterdir()
    metadata, commit = json.loads(metadata_path.read_bytes()), json.loads(commit_path.read_bytes())
    change(metadata["consolidated_metadata"]["metadata"])
    data = json.dumps(metadata).encode()
    metadata_path.write_bytes(data)
    del commit["sha256"]
    commit["objects"]["zarr.json"] = [len(data), hashlib.sha256(data).hexdigest()]
    commit_path.write_text(json.dumps(commit))
    return open_store(store.url)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "codec": (lambda m: m["nodes/kind"]["codecs"].append({"name": "numcodecs.pickle"}), "has codec 'numcodecs.pickle'"),
    "codecs": (lambda m: m["nodes/kind"]["codecs"].pop(0), "nodes/kind has codecs zstd"),
    "endian": (
        lambda m: m["nodes/feature"]["codecs"][0]["configuration"].update(endian="big"),
        "nodes/feature is not little-endian",
    ),
    "chunks": (lambda m: m["nodes/kind"]["chunk_grid"]["configuration"].update(chunk_shape=[0]), "chunks of 0 rows"),
    "dtype": (lambda m: m["nodes/feature"].update(data_type="float32"), "nodes/feature is float32, not int32"),
    "array": (lambda m: m.pop("edges/weight"), "edges/weight"),
    "shape": (lambda m: m["prompts/scores"].update(shape=[2, 5]), "prompts/scores has shape"),
    "chunks without number": (
        lambda m: m["prompts/text"].update(shape=[1 << 27], chunk_grid={"configuration": {"chunk_shape": [1]}}),
        r"its arrays have 1342177\d\d chunks, but its commit lists \d+ objects",
    ),
    "one chunk of all memory": (
        lambda m: m["prompts/text"].update(shape=[1 << 40], chunk_grid={"configuration": {"chunk_shape": [1 << 40]}}),
        "prompts/text has 1099511627776 rows in chunks of 1099511627776 rows",
    ),
    "a number that the commit knows": (
        lambda m: m["prompts/has_text"].update(shape=[3], chunk_grid={"configuration": {"chunk_shape": [3]}}),
        "prompts/has_text has 3 rows, its commit 2",
    ),
    "negative": (lambda m: m["nodes/kind"].update(shape=[-1]), r"nodes/kind has shape \[-1\]"),
    "deep": (lambda m: m.update({"nodes/kind": json.loads("[" * 900 + "]" * 900)}), "is not of this format"),
    "rows": (lambda m: m["nodes/kind"].update(shape=[7]), "nodes/kind has 7 rows in chunks of 104"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_part_of_another_format_is_refused(tmp_path: Path, change: str) -> None:
    alter, says = CHANGES[change]
    store = rewritten(make_store(str(tmp_path), [random_graph("a"), random_graph("b")]), alter)
    with pytest.raises(StoreCorrupt, match=says):
        store.graph("a")


def test_unknown_arrays_are_ignored(tmp_path: Path) -> None:
    graph = random_graph("a")
    store = rewritten(make_store(str(tmp_path), [graph]), lambda m: m.update({"nodes/new": m["nodes/kind"]}))
    assert store.graph("a").num_edges == graph.num_edges


def test_chunks_are_those_that_hold_the_rows() -> None:
    layout = Layout(num_rows=100, chunk_rows=10)
    assert layout.chunks(slice(0, 0)) == []
    assert layout.chunks(slice(9, 10)) == ["c/0"]
    assert layout.chunks(slice(9, 31)) == ["c/0", "c/1", "c/2", "c/3"]
    assert Layout(5, 5, (2,)).chunks(slice(0, 5)) == ["c/0/0"]


def with_chunk(url: str, name: str, chunk: bytes) -> Store:
    """The store with another first chunk of an array of its part, and a commit that agrees."""
    (path,) = (Path(url) / "parts").glob(f"*/{name}/c/0")
    (commit_path,) = (Path(url) / "commits").iterdir()
    commit = json.loads(commit_path.read_bytes())
    path.write_bytes(chunk)
    del commit["sha256"]
    commit["objects"][f"{name}/c/0"] = [len(chunk), hashlib.sha256(chunk).hexdigest()]
    commit_path.write_text(json.dumps(commit))
    return open_store(url)


def of_blosc(chunk: bytes, size: int) -> bytes:
    return chunk[:4] + size.to_bytes(4, "little") + chunk[8:]


GRAPH = random_graph("a")
NUM_EDGES = GRAPH.num_edges
CHUNKS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a bomb of zstd": ("nodes/kind", lambda: zstd.compress(bytes(1 << 26)), "a chunk of 67108864 bytes where"),
    "a bomb without a size": ("nodes/kind", lambda: b"\x28\xb5\x2f\xfd\x00\x58" + b"\x02\xff\xff\x00" * 9, "decoded"),
    "one byte short": ("nodes/kind", lambda: zstd.compress(bytes(9)), "a chunk of 9 bytes where"),
    "no zstd": ("nodes/kind", lambda: b"what is this?", "not a frame of zstd"),
    "nothing": ("nodes/kind", lambda: b"", "not a frame of zstd"),
    "a bomb of blosc": (
        "edges/weight",
        lambda: of_blosc(blosc.compress(bytes(400), b"zstd", 1), (1 << 31) - 1),
        "a chunk of 2147483647 bytes where",
    ),
    "blosc cut off": ("edges/weight", lambda: blosc.compress(bytes(400), b"zstd", 1)[:-1], "not a chunk of blosc"),
    "a kind that there is not": ("nodes/kind", lambda: zstd.compress(bytes([9]) * 52), "9 is above 3"),
    "edges from nowhere": (
        "edges/source",
        lambda: blosc.compress(np.full(NUM_EDGES, 60_000, "<u2").tobytes(), b"zstd", 1),
        "an edge comes from node 60000 of 52",
    ),
    "degrees": (
        "nodes/in_degree",
        lambda: blosc.compress(np.full(52, 1, "<i4").tobytes(), b"zstd", 1),
        f"in-degrees add up to 52, and there are {NUM_EDGES} edges",
    ),
    "negative degrees": (
        "nodes/in_degree",
        lambda: blosc.compress(np.full(52, -1, "<i4").tobytes(), b"zstd", 1),
        "-1 is below 0",
    ),
}


@pytest.mark.parametrize("how", CHUNKS)
def test_a_chunk_that_is_as_committed_and_makes_no_sense_is_refused_and_listed(tmp_path: Path, how: str) -> None:
    name, chunk, says = CHUNKS[how]
    assert len(GRAPH.nodes) == 52
    make_store(str(tmp_path), [GRAPH])
    store = with_chunk(str(tmp_path), name, chunk())
    tracemalloc.start()
    with pytest.raises(StoreCorrupt, match=says):
        store.graph("a")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    (damage,) = verify(store.root).damages
    assert damage.prompts == ("a",)


def test_metadata_nested_without_end_are_refused_and_listed(tmp_path: Path) -> None:
    deep = "[" * 100_000
    make_store(str(tmp_path), [random_graph("a", metadata={"x": deep})])
    raw = json.dumps({"x": deep}, separators=(",", ":")).encode()
    store = with_chunk(str(tmp_path), "prompts/metadata", zstd.compress(b"[" * len(raw)))
    for read in (lambda: store.graph("a"), lambda: store.prompts):
        with pytest.raises(StoreCorrupt):
            read()
    assert verify(store.root).lost == ("a",)
