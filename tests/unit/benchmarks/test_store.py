"""store: the whole benchmark on a few graphs; graphs drawn by lot are sound; answers that differ are noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from peer_size import compare
from store_questions import OurStore, frequent_sites
from store_reading import check
from store_rivals import DenseFiles, ZarrGroups, expected
from synthetic_graphs import Corpus, unpruned

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.store.reader import open_store

ROOT = Path(__file__).parents[3]
RIVALS = {"zarr": ZarrGroups, "dense": DenseFiles}
SMALL = Corpus(num_layers=4, active_per_site=4, num_features=64, nodes=150, edges=600)


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    return [SMALL.graph(number) for number in range(6)]


def test_sources_lie_below_what_they_explain_and_not_behind_it(graphs: list[Graph]) -> None:
    for graph in graphs:
        layer, position, target_E = graph.nodes.layer_N, graph.nodes.position_N, graph.target_E()
        assert (layer[graph.source_E] < layer[target_E]).all()
        assert (position[graph.source_E] <= position[target_E]).all()
        assert (np.diff(target_E.astype(np.int64) * len(graph.nodes) + graph.source_E) > 0).all()
        assert set(graph.nodes.kind_N[target_E].tolist()) == {NodeKind.FEATURE, NodeKind.TARGET}
        assert len(graph.selected_features()) == np.count_nonzero(graph.nodes.kind_N == NodeKind.FEATURE)


def test_sizes_are_those_asked_for() -> None:
    graphs = [Corpus().graph(number) for number in range(60)]
    assert 500 < np.mean([len(graph.nodes) for graph in graphs]) < 800
    assert 10_000 < np.mean([graph.num_edges for graph in graphs]) < 18_000
    assert unpruned().graph(0).num_edges > 1_000_000


@pytest.mark.parametrize("form", ["store", "zarr", "dense"])
def test_every_form_answers_as_the_graphs_say(tmp_path: Path, graphs: list[Graph], form: str) -> None:
    folder = tmp_path / form
    kind = {
        "store": lambda: OurStore(str(folder)),
        "zarr": lambda: ZarrGroups(folder),
        "dense": lambda: DenseFiles(folder),
    }
    stored = kind[form]()
    stored.write(graphs)
    sites = frequent_sites(graphs)
    answers = {site: expected(graphs, site) for site in (sites[0], sites[-1])}
    edges = sum(graph.num_edges for graph in graphs)
    check(stored, answers, len(graphs), edges)
    with pytest.raises(SystemExit, match="not all of them"):
        check(stored, answers, len(graphs), edges + 1)
    with pytest.raises(SystemExit, match="answers of"):
        check(stored, {sites[0]: (Counter({"nobody": 1}), *answers[sites[0]][1:])}, len(graphs), edges)


def test_a_dense_file_of_the_same_graph_is_larger(tmp_path: Path, graphs: list[Graph]) -> None:
    whole = OurStore(str(tmp_path / "whole"))
    whole.write(graphs)
    rows = compare(open_store(whole.url), tmp_path)
    assert [(row["kept"], row["weights"]) for row in rows] == [
        ("every edge", "exact"),
        ("every edge", "10 bits"),
        ("default pruning", "exact"),
        ("default pruning", "10 bits"),
    ]
    matrices = sum(graph.adjacency().nbytes for graph in graphs)
    assert rows[0]["its KB/graph"] * len(graphs) * 1000 > matrices
    assert rows[0]["smaller by"] < rows[1]["smaller by"] < rows[3]["smaller by"]


@pytest.mark.slow
@pytest.mark.thorough
def test_the_whole_benchmark_runs(tmp_path: Path) -> None:
    sizes = ["--graphs", "12", "--peer-graphs", "4", "--unpruned", "1", "--repeats", "1", "--s3", "1"]
    command = [sys.executable, "-W", "error", "benchmarks/store.py", *sizes, "--json", str(tmp_path / "found.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    for section in ("all: writing", "all: arrays", "all: reading", "all, compacted: reading", "rivals: reading"):
        assert found[section], section
    assert {row["form"] for row in found["all: writing"]} >= {"this store", "this store, S3", "disk"}
    assert float(found["all, compacted: reading"][0]["this store, S3"]) > 0
    assert "seconds in all" in done.stdout
