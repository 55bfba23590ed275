"""overhead: both executors do the same work, and loading is not counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rounding import nearly

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

import overhead

ROOT = Path(__file__).parents[3]


def timed(tracing: float) -> overhead.Timed:
    return overhead.Timed(start=5.0, tracing=tracing, busy=1.5, digest="")


def test_overhead_is_of_medians_and_of_tracing_alone() -> None:
    found = {"local": [timed(2.0), timed(9.0), timed(2.0)], "ray": [timed(2.1), timed(2.2), timed(2.3)]}
    assert overhead.overhead(found) == nearly(0.1, 2, magnitude=1.1)
    assert "overhead +10.0% of tracing" in overhead.table(found, 10)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.thorough
def test_it_runs_and_both_store_the_same() -> None:
    command = [
        sys.executable,
        "benchmarks/overhead.py",
        "--prompts",
        "3",
        "--repeats",
        "1",
        "--max-feature-nodes",
        "16",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    for name in ("local", "ray"):
        start, tracing, busy, *_ = map(float, rows[name][:3])
        assert 0 < busy <= tracing < 30
        assert start < 120
    assert float(rows["ray"][0]) > 1, "Ray takes seconds to start, none of which is tracing"
