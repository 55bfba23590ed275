"""Influence, scores and pruning through dense rows, against numpy and scipy edge by edge on random rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import random_graphs
import torch
from random_rows import AWKWARD, random_rows
from rounding import round_off
from whole_graph_judge import whole_graph

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.prune import ROUND_OFF, _cut, prune
from distributed_tracer.trace.assemble import assemble
from distributed_tracer.trace.dense_pruning import cut, running_sums

OFF = round_off(torch.float64, 1000)  # edges of a row, and layers, at most


def assert_same(found: Graph, expected: Graph, relative: float) -> None:
    """Everything equal bit for bit, but that scores may differ by round-off and stored influence in its last bit."""
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray) and name != "influence_N":
            assert getattr(found, name).dtype == value.dtype, name
            np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)
    for name, value in vars(expected.nodes).items():
        np.testing.assert_array_equal(getattr(found.nodes, name), value, err_msg=name)
    np.testing.assert_allclose(found.influence_N, expected.influence_N, rtol=2.0**-23)
    for name, value in vars(expected.scores).items():
        np.testing.assert_allclose(getattr(found.scores, name), value, rtol=relative, err_msg=name)
    assert found.metadata == expected.metadata


@pytest.mark.parametrize("case", AWKWARD)
def test_whole_and_pruned_graphs_are_those_made_edge_by_edge(case: str) -> None:
    for seed in range(4):
        rows = random_rows(seed, **AWKWARD[case])
        dense, expected = assemble(*rows), whole_graph(*rows)
        assert_same(dense.whole(), expected, OFF)
        assert dense.num_rows == np.isfinite(expected.row_abs_sum_N).sum()
        for thresholds in ((0.8, 0.98), (0.3, 0.6), (1.0, 0.5), (0.5, 1.0), (1.0, 1.0)):
            assert_same(dense.pruned(*thresholds), prune(expected, *thresholds), OFF)


def test_a_graph_says_which_rows_were_computed_whether_they_are_pruned_or_not() -> None:
    dense = assemble(*random_rows(num_chosen=60))
    whole = dense.whole()
    for graph in (whole, dense.pruned(0.3, 0.6), prune(whole, 0.3, 0.6)):
        assert graph.active.computed_A is not None
        assert np.array_equal(np.flatnonzero(graph.active.computed_A), whole.selected_features())
        assert len(graph.active) > 60 == graph.active.computed_A.sum()
    assert 0 < len(dense.pruned(0.3, 0.6).selected_features()) < 60


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
    assert [float(cut(score, share, 0.0)) for share in (0.3, 0.4, 0.5, 0.8, 0.81, 1.0)] == [4, 4, 2, 2, 1, 1]
    assert [float(cut(score, share, 0.25)) for share in (0.4, 0.8)] == [3, 1.5]
    assert float(cut(torch.zeros(3), 0.8, 0.0)) == float(cut(torch.zeros(0), 0.8, 0.0)) == 0


def test_a_share_of_one_keeps_what_additions_would_lose() -> None:
    score = torch.tensor([1.0, 2.0**-60, 0.0, 0.5, 2.0**-70], dtype=torch.float64)
    assert float(cut(score, 1.0, ROUND_OFF)) == _cut(score.numpy(), 1.0, ROUND_OFF) == 2.0**-70


def test_round_off_neither_parts_what_is_equal_nor_asks_for_one_more() -> None:
    above, below = 1 + 2.0**-50, 1 - 2.0**-50
    score = torch.tensor([above, 1.0, below, 0.5, 0.25, 0.25], dtype=torch.float64)
    assert int((score >= cut(score, 0.5, ROUND_OFF)).sum()) == 3
    assert int((score >= cut(score, 0.75 * above, ROUND_OFF)).sum()) == 3
    assert int((score >= cut(score, 0.76, ROUND_OFF)).sum()) == 4


@pytest.mark.parametrize("share", [1e-9, 0.3, 0.8, 0.98, 0.9999, 1.0])
def test_scores_that_are_not_looked_at_would_not_move_the_cut(share: float) -> None:
    rng = np.random.default_rng(1)
    for size, power in ((1, 1), (7, 2), (500, 1), (500, 8), (5000, 30)):
        score = rng.random(size) ** power
        assert float(cut(torch.from_numpy(score), share, ROUND_OFF)) == _cut(score, share, ROUND_OFF)


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
