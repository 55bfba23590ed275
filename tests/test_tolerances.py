"""Tolerances come from `rounding.py`, which says from what arithmetic. Any other small number is listed here with its
reason, so that nobody adds one unnoticed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rounding import largest, of_norms, round_off

TESTS = Path(__file__).parent
TAKEN_AS_FLOATS = {"approx", "assert_close", "assert_allclose", "allclose", "isclose"}
TOLERANCES = {"atol", "rtol", "abs", "rel"}
SMALL = 0.01

ALLOWED: dict[str, dict[float, str]] = {
    "colours.py": dict.fromkeys((0.003882, 0.004733), "how colour-blind people see linear RGB"),
    "contract/test_profiles.py": {1e-9: "seconds"},
    "end_to_end/test_command_line.py": {0.005: "seconds"},
    "end_to_end/test_format_reader.py": dict.fromkeys((1e-4, 1e-5, 1.5e-7, 5e-324), "numbers to write down"),
    "faults/test_lost_checker.py": {0.001: "seconds"},
    "fuzz/readers.py": {2e-5: "a component of a direction"},
    "killing.py": {0.001: "seconds"},
    "random_graphs.py": {1e-42: "a subnormal weight", 2e-5: "density of edges", 1e-6: "a score"},
    "unit/benchmarks/test_model_shapes.py": {0.005: "parameters of models are published with two decimals"},
    "unit/harvest/test_job.py": {1e-9: "seconds"},
    "unit/profile/test_from_store.py": {1e-9: "a share of memory"},
    "unit/artifacts/test_fingerprint.py": {1e-3: "a changed weight"},
    "unit/ops/doctor/test_cluster_checks.py": {0.004: "seconds", 0.002: "seconds"},
    "unit/linear_errors/test_job.py": {
        1e-6: "what float32 leaves of a linear error, and memory that is too small",
        1e-3: "a share of influence",
        1e-9: "what float32 leaves of squares",
    },
    "unit/mine/test_dark_matter.py": {0.005: "a share of influence", 0.001: "a share of influence"},
    "unit/mine/test_edge_swaps.py": {0.001: "a level of significance"},
    "unit/mine/test_motifs.py": {0.001: "a level of significance, and a row that is too small"},
    "unit/mine/test_prompt_map.py": {
        1e-9: "what an eigenvalue in float64 leaves",
        1e-7: "what a projection on eigenvectors in float64 leaves",
    },
    "unit/mine/test_ridge.py": {1e-3: "a deviation", 1e-9: "what the smallest penalty leaves"},
    "unit/mine/test_vectors.py": {1e-6: "what float32 probabilities may exceed 1 by", 1e-12: "a ratio of counts"},
    "unit/mine/test_permutation.py": {1e-7: "statistics that count as equal", 1e-4: "a small standard deviation"},
    "unit/mine/test_virtual_weights.py": {
        6e-8: "the least that half precision tells from 0",
        0.004: "a share of sites",
        1e-7: "an amount of memory",
    },
    "unit/model/test_library_check.py": {0.0014: "what the library allows, by its formula"},
    "unit/plan/test_machine.py": {0.2: "free memory, which other processes take and give back"},
    "unit/plot/test_graph.py": {1e-6: "density of edges"},
    "unit/report/test_interventions.py": {4e-5: "a probability"},
    "unit/runtime/ray/test_metrics.py": {1e-4: "seconds"},
    "unit/runtime/test_schedule.py": {0.001: "seconds"},
    "unit/store/test_archive.py": {0.004688911139965057: "a stored value"},
    "unit/store/test_reader.py": {1e-30: "smaller weights lose digits"},
    "unit/trace/test_closing_error.py": {0.0014: "what the library allows, by its formula"},
    "unit/trace/test_dense_graph.py": {1e-9: "a share of influence"},
    "unit/transcoder/test_activation.py": {1e-30: "a value just above a threshold"},
    "unit/transcoder/test_formats.py": {1e-4: "a learning rate"},
    "unit/store/maintenance/test_compact.py": {0.001: "density of edges"},
    "unit/discovery/test_discover.py": {0.501: "shares are printed as whole percents"},
    "unit/evaluate/test_job.py": {1e-4: "what the library allows, as documented"},
}
"""By file, with what it is: no round-off of this suite's own arithmetic is among these."""


def numbers(path: Path) -> Iterator[tuple[int, float]]:
    """Line and value of every small number and of every tolerance that is a number; NaN is a function's default."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and 0 < node.value < SMALL:
            yield node.lineno, node.value
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg in TOLERANCES}
        if name in TAKEN_AS_FLOATS and not given and len(node.args) < 3:
            yield node.lineno, float("nan")
        for value in given.values() if name in TAKEN_AS_FLOATS else ():
            if isinstance(value, ast.Constant) and value.value >= SMALL:
                yield node.lineno, value.value


def test_every_tolerance_is_derived_or_listed() -> None:
    for path in sorted(TESTS.rglob("*.py")):
        if path == Path(__file__):
            continue
        allowed, found = ALLOWED.get(path.relative_to(TESTS).as_posix(), {}), list(numbers(path))
        unknown = [(line, number) for line, number in found if number not in allowed]
        assert not unknown, f"{path}: (line, number) {unknown}: tolerances come from rounding.py; list what is none"
        unused = allowed.keys() - {number for _, number in found}
        assert not unused, f"{path} has no {unused} any more"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("assert a == approx(b)", ["nan"]),
        ("torch.testing.assert_close(a, b)", ["nan"]),
        ("np.testing.assert_allclose(a, b, rtol=1e-5)", ["1e-05"]),
        ("np.isclose(a, b, rtol=0, atol=0.5)", ["0.5"]),
        ("assert difference < 2e-3", ["0.002"]),
        ("assert a == approx(b, abs=off)", []),
        ("torch.testing.assert_close(a, b, rtol=0, atol=off)", []),
    ],
)
def test_whatever_way_a_tolerance_is_written_it_is_seen(line: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "test.py").write_text(line)
    assert [repr(number) for _, number in numbers(tmp_path / "test.py")] == found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("terms", [30, 1000, 30_000])
def test_round_off_bounds_sums_in_other_orders_and_is_not_far_above_them(dtype: torch.dtype, terms: int) -> None:
    numbers_RT = torch.randn(200, terms, generator=torch.Generator().manual_seed(terms), dtype=dtype).numpy()
    first_RT, second_RT = numbers_RT.cumsum(1), numbers_RT[:, ::-1].cumsum(1)  # one number after another
    off_R, magnitude = first_RT[:, -1] - second_RT[:, -1], largest(first_RT, second_RT)
    allowed = round_off(dtype, terms, magnitude)
    assert allowed / 200 < largest(off_R) < allowed
    assert np.linalg.norm(off_R) < of_norms(dtype, terms) * magnitude * len(off_R) ** 0.5
