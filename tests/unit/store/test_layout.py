from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import StoreCorrupt
from distributed_tracer.store.layout import Layout
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
