from __future__ import annotations

import dataclasses
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store, write_part

from distributed_tracer.config import StoreConfig
from distributed_tracer.errors import StoreError
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.writer import PartWriter


def test_a_part_is_full_by_prompts_edges_or_seconds(tmp_path: Path) -> None:
    def writer(**limits: float) -> PartWriter:
        return PartWriter(str(tmp_path), StoreConfig(str(tmp_path), **limits))  # type: ignore[arg-type]

    graph = random_graph("a")
    by_prompts, by_edges, by_seconds = (
        writer(part_prompts=2),
        writer(part_edges=graph.num_edges),
        writer(part_seconds=0.05),
    )
    assert not by_prompts.full
    for each in (by_prompts, by_edges, by_seconds):
        each.add(graph)
    assert (by_prompts.full, by_edges.full) == (False, True)
    by_prompts.add(random_graph("b"))
    assert by_prompts.full
    time.sleep(0.06)
    assert by_seconds.full
    by_seconds.flush()
    assert not by_seconds.full


def test_flushing_nothing_gives_no_part_manifest(tmp_path: Path) -> None:
    assert PartWriter(str(tmp_path), StoreConfig(str(tmp_path))).flush() is None
    assert list(tmp_path.iterdir()) == []


def test_a_part_manifest_is_small_plain_and_true(store_url: str) -> None:
    graphs = [random_graph("a", seed=1), random_graph("b", seed=2)]
    manifest = write_part(store_url, graphs)
    assert pickle.loads(pickle.dumps(manifest)) == manifest
    assert type(manifest).from_json(manifest.to_json("now"), "here") == manifest
    assert len(manifest.to_json("now")) < 12_000
    assert [entry.id for entry in manifest.prompts] == ["a", "b"]
    assert [entry.num_edges for entry in manifest.prompts] == [graph.num_edges for graph in graphs]
    assert manifest.prompts[0].replacement == graphs[0].scores.replacement
    stored = open_backend(store_url).read_many([f"parts/{manifest.part}/{key}" for key in manifest.objects])
    assert manifest.num_bytes == sum(len(data) for data in stored.values())


def test_a_score_that_is_no_number_is_null_in_the_manifest_and_exact_in_the_part(tmp_path: Path) -> None:
    plain = random_graph("a")
    scores = dataclasses.replace(plain.scores, replacement=float("nan"), completeness=float("inf"))
    store = make_store(str(tmp_path), [dataclasses.replace(plain, scores=scores)])
    assert store.entry("a").replacement is None
    assert np.isnan(store.graph("a").scores.replacement)
    assert store.graph("a").scores.completeness == float("inf")
    assert np.isnan(store.prompts["replacement"][0])


def test_a_prompt_is_in_a_part_once(tmp_path: Path) -> None:
    writer = PartWriter(str(tmp_path), StoreConfig(str(tmp_path)))
    writer.add(random_graph("a"))
    with pytest.raises(StoreError, match="'a' is already in this part"):
        writer.add(random_graph("a"))
    manifest = writer.flush()
    assert manifest is not None
    assert len(manifest.prompts) == 1


def test_after_a_failed_upload_the_graphs_are_still_there(tmp_path: Path) -> None:
    url = str(tmp_path / "disk")
    (tmp_path / "disk").write_text("in the way")
    writer = PartWriter(url, StoreConfig(url))
    writer.add(random_graph("a"))
    with pytest.raises(StoreError, match="cannot write a part to"):
        writer.flush()
    (tmp_path / "disk").unlink()
    manifest = writer.flush()
    assert manifest is not None
    assert [entry.id for entry in manifest.prompts] == ["a"]
    assert writer.flush() is None


def test_a_graph_that_cannot_be_stored_does_not_spoil_the_part(tmp_path: Path) -> None:
    writer = PartWriter(str(tmp_path), StoreConfig(str(tmp_path)))
    writer.add(random_graph("a"))
    with pytest.raises(StoreError, match="metadata of prompt 'b' cannot be written as JSON"):
        writer.add(random_graph("b", metadata={"when": object()}))
    manifest = writer.flush()
    assert manifest is not None
    assert [entry.id for entry in manifest.prompts] == ["a"]


@pytest.mark.parametrize("prompt_id", ["\ud83d\ude00", "a\udc00"])
def test_an_id_with_half_a_surrogate_pair_is_refused(tmp_path: Path, prompt_id: str) -> None:
    writer = PartWriter(str(tmp_path), StoreConfig(str(tmp_path)))
    with pytest.raises(StoreError, match=r"half a surrogate pair, U\+D[8C]"):
        writer.add(random_graph(prompt_id))
    assert writer.flush() is None


def test_four_million_edges_need_no_loop_over_edges(tmp_path: Path) -> None:
    size = 6_000
    graph = random_graph("big", num_active=size, num_layers=1, num_positions=20, density=0.0, pruned=False)
    degree = np.where(graph.nodes.kind_N == 0, 670, 0)
    num_edges = int(degree.sum())
    big = dataclasses.replace(
        graph,
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=np.tile(np.arange(670, dtype=np.int32), size),
        weight_E=np.random.default_rng(0).standard_normal(num_edges).astype(np.float32),
    )
    assert num_edges > 4_000_000
    started = time.process_time()
    store = make_store(str(tmp_path), [big])
    assert time.process_time() - started < 10.0  # half a second on a quiet core; a loop takes minutes
    assert store.graph("big").weight_E.tobytes() == big.weight_E.tobytes()
