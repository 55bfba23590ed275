"""Sizes on which plans and traces agree."""

from __future__ import annotations

import pytest
import torch

from distributed_tracer.config import Precision, SweepPrecision
from distributed_tracer.plan.sizing import expected_slots, sweep_precision
from distributed_tracer.trace.column_layout import ColumnLayout, Tiling
from distributed_tracer.trace.device import sweep_dtype


@pytest.mark.parametrize(
    ("setting", "forward", "kept"),
    [
        ("float32", "float32", "float32"),
        ("float32", "bfloat16", "float32"),
        ("float32", "float64", "float64"),
        ("tf32", "float64", "float32"),
        ("tf32", "float16", "float32"),
        ("bfloat16", "float64", "bfloat16"),
        ("float64", "float32", "float64"),
    ],
)
def test_a_sweep_keeps_numbers_in_the_precision_asked_for(
    setting: SweepPrecision, forward: Precision, kept: Precision
) -> None:
    assert sweep_precision(setting, forward) == kept
    assert sweep_dtype(setting, getattr(torch, forward)) == getattr(torch, kept)


@pytest.mark.parametrize("mean", [1, 30, 300])
@pytest.mark.parametrize(
    "tiling", [Tiling(width=16), Tiling(8, 8, 16, block=64, by_width=True), Tiling(width=8, block=64)]
)
def test_the_columns_of_a_usual_prompt_take_no_more_slots_than_expected(tiling: Tiling, mean: int) -> None:
    num_layers, num_positions = 4, 150
    rates = torch.full((num_layers, num_positions), float(mean))
    counts_LP = torch.poisson(rates, generator=torch.Generator().manual_seed(mean)).long()
    layer_A, position_A = (
        axis.repeat_interleave(counts_LP.flatten())
        for axis in torch.cartesian_prod(torch.arange(num_layers), torch.arange(num_positions)).T
    )
    columns = ColumnLayout.of(layer_A, position_A, num_layers, num_positions, tiling)
    assert columns.num_slots <= expected_slots(len(layer_A), num_layers * num_positions, num_layers)
