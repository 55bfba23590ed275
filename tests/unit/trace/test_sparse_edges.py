"""Row sparsification against sorting, and what a graph made with it still says exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jobs_of_cases import CASE, TEXTS
from rounding import largest as size_of
from rounding import of_model, round_off

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.trace import sparse_edges
from distributed_tracer.trace.column_layout import ColumnLayout
from distributed_tracer.trace.edges import DenseEdges, ReachableColumns
from distributed_tracer.trace.sparse_edges import keep_top_mass


def reached(seed: int) -> DenseEdges:
    """Five rows over two layers and four positions; two rows do not reach the upper layer, none the last position."""
    generator = torch.Generator().manual_seed(seed)
    columns = ColumnLayout.of(torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1, 1, 2, 1, 3, 3]), 2, 4)
    reach = ReachableColumns(columns, [5, 3], 5, 3)
    return DenseEdges(reach, torch.randn(reach.size, generator=generator) ** 3)


def test_the_fewest_edges_that_carry_the_share_are_kept() -> None:
    for seed in range(20):
        edges = reached(seed)
        every = torch.arange(edges.reach.columns.num_slots)
        kept, dense = keep_top_mass(edges, 0.8)[0].take(every), edges.take(every)
        for row, all_of_it in zip(kept, dense, strict=True):
            descending = all_of_it.abs().sort(descending=True).values
            needed = int((descending.double().cumsum(0) < 0.8 * descending.double().sum()).sum()) + 1
            assert int((row != 0).sum()) == needed
            whole = float(descending.double().sum())
            assert float(row.double().abs().sum()) >= 0.8 * whole - round_off(torch.float64, len(row), whole)
            torch.testing.assert_close(row[row != 0], all_of_it[row != 0], rtol=0, atol=0)


def test_rows_too_shallow_for_a_layer_have_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # a row at a time: the last two do not reach the upper layer
    monkeypatch.setattr(sparse_edges, "EDGES_EXAMINED_AT_ONCE", {"cpu": 1})
    edges = reached(3)
    every = torch.arange(edges.reach.columns.num_slots)
    torch.testing.assert_close(keep_top_mass(edges, 1.0)[0].take(every), edges.take(every), rtol=0, atol=0)


def test_kept_edges_are_weighted_as_all_edges_are() -> None:
    edges, weight_B = reached(1), torch.rand(5)
    kept, _ = keep_top_mass(edges, 0.9)
    added = torch.zeros(edges.reach.columns.num_slots)
    kept.add_weighted(weight_B, added)
    expected = weight_B @ kept.take(torch.arange(len(added))).abs()
    torch.testing.assert_close(added, expected, rtol=0, atol=round_off(torch.float32, len(weight_B), size_of(expected)))


def test_dropped_and_kept_edges_add_up_to_the_whole_row() -> None:
    model, transcoders = load_model(str(CASE / "model")), load_transcoders(str(CASE / "transcoders"))
    whole = attribute(TEXTS[0], model, transcoders, TraceConfig(None))
    part = attribute(TEXTS[0], model, transcoders, TraceConfig(None, keep_row_mass=0.9))
    has_row = ~np.isnan(whole.row_abs_sum_all_N)
    np.testing.assert_array_equal(part.row_abs_sum_all_N, whole.row_abs_sum_all_N)
    kept = np.bincount(part.target_E(), weights=np.abs(part.weight_E), minlength=len(part.nodes))
    total = kept + np.abs(part.constant_N) + part.row_abs_dropped_N
    off = round_off(torch.float32, len(whole.nodes))  # of a sum of positive numbers, relative
    np.testing.assert_allclose(total[has_row], whole.row_abs_sum_all_N[has_row], rtol=off)
    assert (whole.row_abs_dropped_N[has_row] == 0).all()
    assert part.num_edges < 0.8 * whole.num_edges
    assert part.scores.closing_error < of_model(model.shape)  # of whole rows, before anything was dropped
