"""A part that is joined from others has the bytes of one that was written at once, and takes no memory for it."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import AWKWARD, assert_same, random_graph
from random_stores import make_store

from distributed_tracer.config import StoreConfig
from distributed_tracer.errors import StoreCorrupt
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store import joined_part
from distributed_tracer.store import part as part_module
from distributed_tracer.store.format import zarr_encode
from distributed_tracer.store.format.digest import store_digest
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.format.schema import Column
from distributed_tracer.store.joined_part import write_joined_part
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.split import split_store
from distributed_tracer.store.part import Part
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.store.writer import PartWriter

GRAPHS = [random_graph(f"p{number}", seed=number, num_active=50, num_positions=5) for number in range(6)]


def objects(store: Store, manifest: PartManifest) -> dict[str, bytes]:
    folder = Path(store.url) / "parts" / manifest.part
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {key: len(data) for key, data in found.items()} == {k: size for k, (size, _) in manifest.objects.items()}
    return found


def at_once(store: Store, sources: Sequence[tuple[Part, Sequence[int]]]) -> PartManifest:
    """The same part as a worker would write it."""
    keeps = sources[0][0].keeps_active
    writer = PartWriter(store.url, StoreConfig(store.url, store_active=keeps))
    for part, rows in sources:
        for row, columns in part.columns(rows):
            writer.keep(part.manifest.prompts[row], columns)
    manifest = writer.flush()
    assert manifest is not None
    return manifest


LARGE = 1 << 17
PARTS: dict[str, tuple[list[list[Graph]], list[list[int]], int, bool]] = {
    "whole parts": ([GRAPHS[:2], GRAPHS[2:3], GRAPHS[3:]], [[0, 1], [0], [0, 1, 2]], 48, True),
    "some of their prompts": ([GRAPHS[:4], GRAPHS[4:]], [[0, 2, 3], [1]], 48, True),
    "without active features": ([GRAPHS[:4], GRAPHS[4:]], [[0, 2, 3], [1]], LARGE, False),
    "awkward graphs": ([[graph] for graph in AWKWARD.values()], [[0]] * len(AWKWARD), LARGE, True),
    "models of other depths": (
        [GRAPHS[:2], [random_graph("deep", num_layers=7), random_graph("flat", num_layers=1)]],
        [[0, 1], [0, 1]],
        LARGE,
        True,
    ),
}
"""Graphs of each part, rows that are joined, rows of a chunk, and whether all active features are stored."""


@pytest.mark.parametrize("case", PARTS)
def test_the_bytes_are_those_of_a_part_that_was_written_at_once(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, rows, chunk_rows, store_active = PARTS[case]
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(Column, "chunk_rows", property(lambda column: chunk_rows * (7 if column.by_layer else 1)))
    monkeypatch.setattr(joined_part, "_BYTES_AT_ONCE", 1000)
    store = make_store(str(tmp_path), *parts, store_active=store_active)
    sources = [(store.part(commit), own) for commit, own in enumerate(rows)]
    joined, whole = write_joined_part(store.root, sources, 0.0), at_once(store, sources)
    assert joined.prompts == whole.prompts
    assert list(joined.objects.items()) == list(whole.objects.items())
    assert objects(store, joined) == objects(store, whole)


def test_wide_and_narrow_sources_of_edges_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarr_encode, "_NARROW_NODES", len(GRAPHS[0].nodes) + 1)
    large = random_graph("large", num_active=200)
    store = make_store(str(tmp_path), GRAPHS[:1], [large])
    kinds = [store.part(commit).layout("edges/source").dtype.itemsize for commit in (0, 1)]
    assert kinds == [2, 4]
    sources = [(store.part(commit), [0]) for commit in (0, 1)]
    joined, whole = write_joined_part(store.root, sources, 0.0), at_once(store, sources)
    assert objects(store, joined) == objects(store, whole)


def test_edges_that_no_graph_can_have_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(str(tmp_path), GRAPHS[:1], GRAPHS[1:2])
    read = Part.read

    def wrong(part: Part, wanted: Any) -> Any:
        return {
            name: values + np.uint16(1000) if name == "edges/source" else values
            for name, values in read(part, wanted).items()
        }

    monkeypatch.setattr(Part, "read", wrong)
    with pytest.raises(StoreCorrupt, match="edges come from nodes that are not there"):
        compact(store.url)


def test_memory_does_not_grow_with_the_number_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Column, "chunk_rows", property(lambda column: 4096))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    graphs = [random_graph(f"p{i}", seed=i, num_active=400, num_positions=8, density=0.3) for i in range(9)]
    peaks = []
    for number in (3, 9):
        url = str(tmp_path / str(number))
        store = make_store(url, *([graph] for graph in graphs[:number]))
        sources = [(store.part(commit), [0]) for commit in range(number)]
        monkeypatch.setattr(joined_part, "_BYTES_AT_ONCE", 100_000)
        tracemalloc.start()
        write_joined_part(store.root, sources, 0.0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sum(graph.num_edges for graph in graphs) * 8 > 2 * peaks[1]
    assert peaks[1] < 1.5 * peaks[0]


def test_a_compacted_store_has_one_part_of_the_same_graphs(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), GRAPHS[:3], GRAPHS[1:5])  # two prompts are there twice
    compact(store.url)
    after = open_store(store.url)
    assert after.digest() == store.digest()
    assert len(after.catalogue.commits) == 1


@pytest.mark.parametrize("rows", [1, 200, 1 << 20])
def test_graphs_are_the_same_however_many_are_read_at_once(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(str(tmp_path / "store"), GRAPHS)
    monkeypatch.setattr(part_module, "ROWS_AT_ONCE", rows)
    groups = list(store.part(0).groups_to_read([0, 1, 3, 5]))
    assert [number for group in groups for number in group] == [0, 1, 3, 5]
    assert len(groups) == (1 if rows > 10_000 else 4)
    wanted = [GRAPHS[number].prompt_id for number in (0, 1, 3, 5)]
    for found in store.graphs(wanted):
        assert_same(found, GRAPHS[int(found.prompt_id[1:])])
    assert split_store(store, str(tmp_path / "split"), wanted) == 4
    assert open_store(str(tmp_path / "split")).digest() == store_digest(store.graphs(wanted))
