"""Verdicts: tests over clusters, correction for the number of findings, and when there is no power."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rounding import round_off
from scipy import stats

from distributed_tracer.evaluate.verdicts import (
    CONFIRMED,
    NO_POWER,
    NOT_CONFIRMED,
    Evidence,
    evidence_of,
    signed_rank_p,
    verdicts,
)

ALPHA = 0.05


def evidence(
    effects: list[float], controls: float = 0.0, spread: float = 0.1, count: int = 99, same: int = 0
) -> Evidence:
    """Evidence of one prompt per cluster, with control sets whose effects differ around one mean."""
    own = np.array(effects)
    number = len(own)
    control_IM = np.tile(controls + spread * np.linspace(-1, 1, count), (number, 1))
    control_IM[:, :same] = own[:, None]
    return evidence_of(np.arange(number), np.ones(number, int), own, control_IM, np.full(number, same))


def one_verdict(found: Evidence) -> tuple[str, str]:
    (verdict,) = verdicts([[found]], ALPHA)
    return verdict.verdict, verdict.why


@pytest.mark.parametrize("number", [3, 12, 60])
def test_signed_ranks_are_those_of_scipy(number: int) -> None:
    values = np.random.default_rng(number).normal(0.3, 1, number)
    exact = stats.wilcoxon(values, alternative="greater", method="exact").pvalue
    assert signed_rank_p(values) == pytest.approx(float(exact), abs=round_off(torch.float64, 1_000, 1.0))


def test_signed_ranks_with_ties_and_zeros_are_those_of_all_signs() -> None:
    values = np.array([1.0, 1.0, -1.0, 2.0, 0.0, 3.0])
    ranks = stats.rankdata(np.abs(values))
    signs = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1)
    expected = float((signs.T @ ranks >= ranks[values > 0].sum()).mean())
    assert signed_rank_p(values) == pytest.approx(expected, abs=round_off(torch.float64, 1_000, 1.0))
    assert signed_rank_p(np.zeros(5)) == 1
    assert signed_rank_p(np.ones(5)) == 2.0**-5


def test_many_clusters_are_close_to_the_exact_distribution() -> None:
    values = np.random.default_rng(0).normal(0.1, 1, 201)
    exact = stats.wilcoxon(values, alternative="greater", method="exact").pvalue
    assert signed_rank_p(values) == pytest.approx(float(exact), rel=1 / 50)  # a normal approximation


def test_an_effect_in_every_cluster_above_all_controls_is_confirmed() -> None:
    found = evidence([1.0, 1.1, 0.9, 1.2, 0.8, 1.0, 1.3, 0.7])
    assert one_verdict(found) == (CONFIRMED, "")
    assert found.p == found.p_controls == 1 / 100
    assert found.low < found.difference < found.high


def test_each_of_the_three_statements_can_fail() -> None:
    rising = [-1.0, -1.1, -0.9, -1.2, -0.8, -1.0, -1.3, -0.7]
    below_controls = evidence([0.5, 0.6, 0.4, 0.5, 0.55, 0.45, 0.5, 0.52], controls=1.0)
    among_controls = evidence([0.05, 0.06, 0.04, 0.05, 0.055, 0.045, 0.05, 0.052], spread=0.1)
    assert one_verdict(evidence(rising, controls=-2.0)) == (NOT_CONFIRMED, "no effect in the predicted direction")
    assert one_verdict(below_controls) == (NOT_CONFIRMED, "not more than control sets on average")
    assert one_verdict(among_controls) == (NOT_CONFIRMED, "too many control sets do as much")


def test_prompts_count_by_cluster() -> None:
    many = evidence_of(np.zeros(50, int), np.ones(50, int), np.full(50, 1.0), np.zeros((50, 99)), np.zeros(50, int))
    assert (many.prompts, many.clusters) == (50, 1)
    assert one_verdict(many) == (NO_POWER, "only 1 cluster to test it in: p could not be below 0.5")
    uneven = evidence_of(
        np.array([0, 0, 0, 1]), np.ones(4, int), np.array([1.0, 1.0, 1.0, 3.0]), np.zeros((4, 9)), np.zeros(4, int)
    )
    assert uneven.effect == 2.0


def test_planted_lack_of_power_is_called_so() -> None:
    assert one_verdict(Evidence())[0] == NO_POWER
    few = evidence([1.0, 1.0, 1.0, 1.0])
    assert one_verdict(few) == (NO_POWER, "only 4 clusters to test it in: p could not be below 0.062")
    same = evidence([1.0] * 8, same=9)
    assert one_verdict(same) == (NO_POWER, "too few features to compare: p could not be below 0.1")
    wide = evidence([9.0, -8.0, 7.0, -6.0, 9.0, -9.0, 8.0, -7.0])
    assert one_verdict(wide) == (NO_POWER, "the interval holds no difference as well as a large one")


def test_findings_are_corrected_for_their_number() -> None:
    good, bad = evidence([1.0, 1.1, 0.9, 1.2, 0.8, 1.0, 1.3, 0.7]), evidence([0.05] * 8, spread=0.1)
    found = verdicts([[good], *[[bad]] * 9], ALPHA)
    assert found[0].q == pytest.approx(10 * good.p, abs=round_off(torch.float64, 10, 1.0))
    assert found[0].verdict == NO_POWER
    assert found[0].why == "more controls are needed for this number of findings: q could not be below 0.1"
    assert {one.verdict for one in found[1:]} == {NOT_CONFIRMED}
    assert [one.verdict for one in verdicts([[good]] * 10, ALPHA)] == [CONFIRMED] * 10
    untested = verdicts([[good], [Evidence()]], ALPHA)
    assert untested[0].q == good.p, "what was tested nowhere is no test"


def test_of_several_predictions_all_must_hold() -> None:
    good, bad = evidence([1.0, 1.1, 0.9, 1.2, 0.8, 1.0, 1.3, 0.7]), evidence([0.05] * 8, spread=0.1)
    assert verdicts([[good, good]], ALPHA)[0].verdict == CONFIRMED
    assert verdicts([[good, bad]], ALPHA)[0].verdict == NOT_CONFIRMED
    assert verdicts([[good, Evidence()]], ALPHA)[0].verdict == NO_POWER
