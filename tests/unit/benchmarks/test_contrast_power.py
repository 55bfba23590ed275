"""The promises of a contrast, for features and edges: few false discoveries with clusters, many without, and power."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

import contrast_power
from contrast_power import Of, Q, contrasted

KINDS = pytest.mark.parametrize("of", ["features", "edges"])


@KINDS
@pytest.mark.parametrize("repetitions", [40, pytest.param(200, marks=pytest.mark.thorough)])
def test_sets_without_differences_keep_the_rate_of_false_discoveries(of: Of, repetitions: int) -> None:
    rng = np.random.default_rng(0)
    # all discoveries are false, so that their share is 1 if there are any
    wrong = [contrasted(rng, of, 10, num_prompts=8, num_columns=40).num_false > 0 for _ in range(repetitions)]
    assert np.mean(wrong) <= Q + 3 * np.sqrt(Q * (1 - Q) / repetitions) * (repetitions < 200)


@KINDS
@pytest.mark.parametrize("repetitions", [40, pytest.param(200, marks=pytest.mark.thorough)])
def test_false_ones_among_true_discoveries_are_few(of: Of, repetitions: int) -> None:
    rng = np.random.default_rng(1)
    found = [contrasted(rng, of, 12, 2.0, num_columns=40, permutations=1_999) for _ in range(repetitions)]
    shares = np.array([one.false_share for one in found])
    assert np.mean([one.num_true for one in found]) > 4  # of 10
    assert shares.mean() <= Q + 3 * shares.std() / np.sqrt(repetitions) * (repetitions < 200)


@KINDS
def test_prompts_taken_for_independent_evidence_find_what_is_not_there(of: Of) -> None:
    rng = np.random.default_rng(2)
    found = [contrasted(rng, of, 10, num_prompts=20, num_columns=40, is_clustered=False) for _ in range(3)]
    assert np.mean([one.num_false for one in found]) > 10  # of 40, none of which differs


@KINDS
def test_power_grows_with_differences_and_with_clusters(of: Of) -> None:
    rng = np.random.default_rng(3)

    def power_of(num_clusters: int, size: float) -> float:
        found = [contrasted(rng, of, num_clusters, size, permutations=1_999, num_columns=20) for _ in range(8)]
        return float(np.mean([one.num_true for one in found]))

    power = np.array([[power_of(number, size) for size in (1.0, 1.5, 2.5)] for number in (8, 16)])
    assert (np.diff(power, axis=0) >= 0).all()
    assert (np.diff(power, axis=1) >= 0).all()
    assert (np.diff(power.mean(0)) > 0).all()
    assert np.diff(power.mean(1)) > 0
    assert power[1, 2] > 9.5  # of 10


def test_it_prints_a_table_for_features_and_for_edges(capsys: pytest.CaptureFixture[str]) -> None:
    contrast_power.main(["--repetitions", "1", "--columns", "8", "--planted", "2", "--permutations", "99"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if "2 of 8 differ" in line] == ["features", "edges"]
    assert [line.split()[0] for line in lines if "%" in line and "no difference" not in line] == 2 * ["6", "12", "24"]
    assert sum("over prompts" in line for line in lines) == 2
