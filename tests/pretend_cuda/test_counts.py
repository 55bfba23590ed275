"""On pretended devices: nothing waits inside a round, and launches and bytes to the host stay within stated budgets.

The budgets are what the code needs today. A change that adds a launch per layer,
batch or feature fails here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from frozen import FLAVOURS, TOKENS
from tiny import LAYERS, save_transcoders

from distributed_tracer import TraceConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.trace.attribute import attribute_dense

from .counts import Counts
from .device import pretending
from .placing import Placement, placed_model, placed_transcoders
from .watching import Watched

LAUNCHES_OF_A_LAYER = {"plt-relu-skip": 37, "clt-jumprelu-resid": 35, "plt-topk-normalized": 34}
"""Most kernels that a round of one batch may launch for each of 3 layers, the preparation of its nodes included."""
LAUNCHES_OF_A_RANKING = {"layer": 4, "batch": 5, "once": 51}
"""Most kernels that choosing a round's features may launch for each layer, for each batch so far, and besides."""
BESIDES = {"before the rounds": (741, 28), "after the rounds": (332, 13)}
"""Most kernels that a graph may launch, and most waits, for encoding and targets of 3 layers, and for assembling and
pruning 6 batches. What the model library launches in its forward pass depends on its version and is not counted."""
WAITS_OF_SPARSE_EDGES = 3
"""Waits of one batch to keep the largest edges of its rows, whose number the host does not know."""
BYTES = {"edge": 8, "active feature": 28, "row": 72, "column": 24, "once": 2048}
"""Most bytes that come to the host: an edge's source and weight; where a feature is and how active; a row's sums and
its place in the sweep; a column's influence and whether it stays; and the little that the host needs to go on."""


def watch(
    folder: Path, flavour: str, placement: Placement, config: TraceConfig
) -> tuple[Graph, Watched, Counts, torch.Size]:
    """Trace and prune one prompt; the graph, what each round cost, what all cost, and the size of the dense graph."""
    source = save_transcoders(folder / "transcoders", **FLAVOURS[flavour])
    with pretending() as counts:
        model, transcoders = placed_model("gemma2", placement), placed_transcoders(source, placement)
        counts.reset()
        watched = Watched(counts)
        dense = attribute_dense(list(TOKENS), model, transcoders, config, watched.open)
        return dense.pruned(0.8, 0.98), watched, counts, dense.edges_RM.shape


CONFIGS = {"dense": TraceConfig(40, round_size=8), "sparse": TraceConfig(40, round_size=8, keep_row_mass=0.9)}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nothing_waits_inside_a_round_but_for_the_sites_of_its_features(flavour: str, tmp_path: Path) -> None:
    _, watched, _, _ = watch(tmp_path, flavour, "one", CONFIGS["dense"])
    assert len(watched.rounds) == 5
    for waits, _ in watched.rounds:
        assert [line.partition(":")[0] for line in waits.elements()] == ["trace/rows.py"], waits


def test_with_a_share_of_each_row_a_round_waits_for_how_many_edges_are_kept(tmp_path: Path) -> None:
    _, watched, _, _ = watch(tmp_path, "plt-relu-skip", "one", CONFIGS["sparse"])
    for waits, _ in watched.rounds:
        lines = [line.partition(":")[0] for line in waits.elements()]
        assert lines.count("trace/rows.py") == 1
        assert lines.count("trace/sparse_edges.py") == len(lines) - 1 <= WAITS_OF_SPARSE_EDGES, waits


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_sweep_launches_few_kernels(flavour: str, tmp_path: Path) -> None:
    _, watched, _, _ = watch(tmp_path, flavour, "one", CONFIGS["dense"])
    for _, launches in watched.rounds:
        assert launches <= LAUNCHES_OF_A_LAYER[flavour] * LAYERS, launches / LAYERS


def test_a_ranking_launches_few_kernels_and_waits_seldom(tmp_path: Path) -> None:
    _, watched, _, _ = watch(tmp_path, "plt-relu-skip", "one", CONFIGS["dense"])
    budget = LAUNCHES_OF_A_RANKING
    for waits, launches, batches in watched.rankings:
        most = budget["once"] + LAYERS * budget["layer"] + batches * budget["batch"]
        assert launches <= most, (launches, batches)
        assert waits.total() == 3, waits  # closing errors, features per layer, and how many features were found


def _of_forward_pass(of: Counter[str]) -> dict[str, int]:
    return {line: count for line, count in of.items() if line.startswith("model/forward_cache.py")}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_graph_launches_few_kernels_and_waits_seldom_besides(flavour: str, tmp_path: Path) -> None:
    _, watched, counts, _ = watch(tmp_path, flavour, "one", CONFIGS["dense"])
    whole = counts.launches.total(), counts.waits.total()
    after = [of_all - until for of_all, until in zip(whole, watched.until_last_round, strict=True)]
    of_library = [sum(of.values()) for of in map(_of_forward_pass, (counts.launches, counts.waits))]
    before = [until - library for until, library in zip(watched.until_first_round, of_library, strict=True)]
    for part, (launches, waits) in {"before the rounds": before, "after the rounds": after}.items():
        assert launches <= BESIDES[part][0], part
        assert waits <= BESIDES[part][1], part


@pytest.mark.parametrize("placement", ["one", "split"])
def test_only_the_pruned_graph_comes_to_the_host(placement: Placement, tmp_path: Path) -> None:
    graph, _, counts, (num_rows, num_columns) = watch(tmp_path, "plt-relu-skip", placement, CONFIGS["dense"])
    most = BYTES["once"] + BYTES["edge"] * graph.num_edges + BYTES["active feature"] * len(graph.active)
    most += BYTES["row"] * num_rows + BYTES["column"] * num_columns
    assert counts.to_host_bytes <= most
