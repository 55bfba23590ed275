"""Influence, scores and pruning through dense rows, against numpy and scipy edge by edge on random rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import random_graphs
import torch
from random_rows import random_rows
from whole_graph_judge import whole_graph

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.prune import _cut, prune
from distributed_tracer.trace.assemble import assemble
from distributed_tracer.trace.columns import Grain
from distributed_tracer.trace.pruning import cut, running_sums

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "all features": {"num_chosen": None},
    "ties": {"integers": True, "num_targets": 2},
    "rows of zeros": {"silent": 0.4},
    "rows of zeros only": {"silent": 1.0},
    "ties and rows of zeros": {"integers": True, "silent": 0.3, "num_chosen": None},
    "without the constant": {"constant_node": False},
    "the largest edges": {"keep_row_mass": 0.8},
    "one target": {"num_targets": 1},
    "one feature": {"num_chosen": 1},
    "no features": {"per_site": 0},
    "one layer": {"num_layers": 1},
    "one token": {"num_positions": 1, "lead": 0},
    "deep": {"num_layers": 12, "per_site": 2, "num_positions": 4, "num_chosen": None},
    "no lead": {"lead": 0},
    "a lead of three": {"lead": 3},
    "positions by width": {"grain": Grain(8, 4, 8, block=4, by_width=True)},
    "float64": {"dtype": torch.float64},
}
"""Options of `random_rows`, by what is awkward about them."""


def assert_same(found: Graph, expected: Graph, relative: float) -> None:
    """Everything equal bit for bit, but that scores may differ by round-off and stored influence in its last bit."""
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray) and name != "influence_N":
            assert getattr(found, name).dtype == value.dtype, name
            np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)
    for name, value in vars(expected.nodes).items():
        np.testing.assert_array_equal(getattr(found.nodes, name), value, err_msg=name)
    np.testing.assert_allclose(found.influence_N, expected.influence_N, rtol=1.2e-7)
    for name, value in vars(expected.scores).items():
        np.testing.assert_allclose(getattr(found.scores, name), value, rtol=relative, err_msg=name)
    assert found.metadata == expected.metadata


@pytest.mark.parametrize("case", CASES)
def test_whole_and_pruned_graphs_are_those_made_edge_by_edge(case: str) -> None:
    for seed in range(4):
        rows = random_rows(seed, **CASES[case])
        dense, expected = assemble(*rows), whole_graph(*rows)
        assert_same(dense.whole(), expected, 1e-12)
        assert dense.num_rows == np.isfinite(expected.row_abs_sum_N).sum()
        for thresholds in ((0.8, 0.98), (0.3, 0.6), (1.0, 0.5), (0.5, 1.0), (1.0, 1.0)):
            assert_same(dense.pruned(*thresholds), prune(expected, *thresholds), 1e-12)


def test_graphs_are_the_same_bit_for_bit_with_one_two_and_three_threads() -> None:
    rows = random_rows(per_site=14, num_positions=12, num_chosen=None, rows=256)
    made: list[tuple[Graph, Graph]] = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            dense = assemble(*rows)
            made.append((dense.whole(), dense.pruned(0.8, 0.98)))
    finally:
        torch.set_num_threads(before)
    for graphs in made[1:]:
        for graph, first in zip(graphs, made[0], strict=True):
            random_graphs.assert_same(graph, first)


def test_what_is_as_large_as_the_last_item_needed_stays() -> None:
    score = torch.tensor([1.0, 2.0, 4.0, 2.0, 0.0, 1.0], dtype=torch.float64)
    assert [float(cut(score, share)) for share in (0.3, 0.4, 0.5, 0.8, 0.81, 1.0)] == [4, 4, 2, 2, 1, 1]
    assert float(cut(torch.zeros(3), 0.8)) == float(cut(torch.zeros(0), 0.8)) == 0


@pytest.mark.parametrize("share", [1e-9, 0.3, 0.8, 0.98, 0.9999, 1.0])
def test_scores_that_are_not_looked_at_would_not_move_the_cut(share: float) -> None:
    rng = np.random.default_rng(1)
    for size, power in ((1, 1), (7, 2), (500, 1), (500, 8), (5000, 30)):
        score = rng.random(size) ** power
        assert float(cut(torch.from_numpy(score), share)) == _cut(score, share)


def test_running_sums_by_blocks_are_running_sums() -> None:
    for size in (1, 5, 1023, 1024, 1025, 5000):
        x = torch.randint(0, 1000, (size,)).double()
        torch.testing.assert_close(running_sums(x), x.cumsum(0), rtol=0, atol=0)


@pytest.mark.parametrize("share", [80, 0.0, float("nan"), None])
def test_a_threshold_is_a_share(share: Any) -> None:
    dense = assemble(*random_rows())
    with pytest.raises(ConfigError, match=r"node_threshold must be in \(0, 1\], not "):
        dense.pruned(share, 0.98)
    with pytest.raises(ConfigError, match=r"edge_threshold must be in \(0, 1\], not "):
        dense.pruned(0.8, share)
