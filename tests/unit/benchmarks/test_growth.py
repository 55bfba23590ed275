"""growth: exponents, and that only what is varied varies."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from rounding import nearly

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

import growth


def test_squares_grow_with_exponent_two() -> None:
    values = np.array([3, 6, 12, 24])
    squares = 5 * values**2
    assert growth.exponent(values, squares) == nearly(2, len(values), magnitude=np.square(np.log(squares)).max())


def test_operations_of_the_sweep_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "BASE", {"rows": 64, "positions": 24, "active": 16, "layers": 3})
    points = growth.grow("rows", [32, 64, 128, 256], width=64, repeats=1)
    assert [point.value for point in points] == [32, 64, 128, 256]
    assert len({point.active for point in points}) == 1
    assert 0 < min(point.sweep_seconds for point in points) < max(point.seconds for point in points) < 60
    assert 0.6 < growth.exponents(points)["sweep_flops"] < 1.1  # few rows are rounded up
    assert "512 rows" not in growth.table("rows", points)
