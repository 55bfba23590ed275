"""Edges of a batch give the same answers whether or not their buffer has places for what no row reaches."""

from __future__ import annotations

import pytest
import torch
from rounding import largest as size_of
from rounding import round_off
from torch import Tensor

from distributed_tracer.trace import edges as edges_module
from distributed_tracer.trace.column_layout import ColumnLayout, Tiling
from distributed_tracer.trace.edge_block_io import deserialize, serialize
from distributed_tracer.trace.edges import DenseEdges, ReachableColumns
from distributed_tracer.trace.rows import EdgeBlock

ALIVE_L, NUM_ROWS, NUM_POSITIONS = [7, 4, 0], 7, 3


def columns(few_calls: bool) -> ColumnLayout:
    """Three layers over five positions, with up to three features each."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(4, (3 * 5,), generator=generator)
    site_A = torch.arange(3 * 5).repeat_interleave(counts)
    return ColumnLayout.of(site_A // 5, site_A % 5, 3, 5, Tiling(few_calls=few_calls))


def both(dtype: torch.dtype = torch.float32) -> tuple[DenseEdges, DenseEdges]:
    reach = ReachableColumns(columns(False), ALIVE_L, NUM_ROWS, NUM_POSITIONS)
    packed = DenseEdges(reach, torch.randn(reach.size, generator=torch.Generator().manual_seed(1), dtype=dtype))
    return packed, packed.laid_out(whole_rows=True)


def weighted(edges: DenseEdges, weight_B: Tensor) -> Tensor:
    out_Z = torch.ones(edges.reach.columns.num_slots)
    edges.add_weighted(weight_B, out_Z)
    return out_Z


def test_whole_rows_hold_what_is_reached_and_zeros_elsewhere() -> None:
    packed, whole = both()
    every = torch.arange(packed.reach.columns.num_slots)
    assert len(whole.values) == NUM_ROWS * len(every) > len(packed.values) == len(packed.values.nonzero())
    torch.testing.assert_close(whole.take(every), packed.take(every), rtol=0, atol=0)
    torch.testing.assert_close(whole.take(every[[9, 2]]), packed.take(every[[9, 2]]), rtol=0, atol=0)
    torch.testing.assert_close(whole.dense(2, 6), packed.dense(2, 6), rtol=0, atol=0)
    torch.testing.assert_close(whole.laid_out(whole_rows=False).values, packed.values, rtol=0, atol=0)
    layers = zip(whole.reach.layers(whole.values), packed.reach.layers(packed.values), strict=True)
    for (first, edges_BZ), (expected_first, expected_BZ) in layers:
        assert first == expected_first
        torch.testing.assert_close(edges_BZ, expected_BZ, rtol=0, atol=0)


@pytest.mark.parametrize("at_once", [1, 10**6])
def test_sums_over_whole_rows_are_those_of_what_is_reached(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges_module, "EDGES_WEIGHTED_AT_ONCE", at_once)
    packed, whole = both()
    weight_B = torch.rand(NUM_ROWS)
    for found, expected in zip(whole.sums(), packed.sums(), strict=True):
        # `packed` adds up the edges of a layer in float32
        torch.testing.assert_close(found, expected, rtol=0, atol=round_off(torch.float32, 20, size_of(expected)))
    expected = weighted(packed, weight_B)
    atol = round_off(torch.float32, NUM_ROWS + 1, size_of(expected))
    torch.testing.assert_close(weighted(whole, weight_B), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("few_calls", [False, True])
def test_only_what_rows_reach_is_sent(few_calls: bool) -> None:
    packed, whole = both()
    of_rows = [torch.arange(NUM_ROWS, dtype=torch.float64) + number for number in range(5)]
    block = EdgeBlock(torch.arange(NUM_ROWS), False, whole if few_calls else packed, *of_rows)
    sent = serialize(block)
    assert sent.edges["values"].shape == packed.values.shape
    received = deserialize(sent, columns(few_calls), torch.device("cpu")).edges
    assert isinstance(received, DenseEdges)
    torch.testing.assert_close(received.values, (whole if few_calls else packed).values, rtol=0, atol=0)
