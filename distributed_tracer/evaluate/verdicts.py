"""Verdicts: what interventions on held-out clusters say of findings, corrected for their number.

Axes: I prompt, Y cluster, X control.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..mine.clusters import interval_of_means
from ..mine.statistics import q_values
from ..text import counted

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CONFIRMED, NOT_CONFIRMED, NO_POWER = "confirmed", "not confirmed", "no power"
_MOST_EXACT = 200
"""Clusters up to which the distribution of signed ranks is computed exactly."""
_HIGH = 0.95


@dataclass(frozen=True)
class Evidence:
    """What the interventions of one prediction of one finding say."""

    prompts: int = 0
    clusters: int = 0
    features: float = float("nan")
    """Mean number of features turned off in a prompt."""
    effect: float = float("nan")
    """Change in the predicted direction: mean over prompts, then over clusters; with Student's 95% interval."""
    effect_low: float = float("nan")
    effect_high: float = float("nan")
    controls: float = float("nan")
    """The same of the control sets, mean over them."""
    controls_high: float = float("nan")
    """Effect that 95% of the control sets remain below."""
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    p_direction: float = float("nan")
    p_difference: float = float("nan")
    p_controls: float = float("nan")
    attainable: float = float("nan")
    """Smallest p-value that any outcome could have had, with these clusters and control sets."""

    @property
    def p(self) -> float:
        """The largest of the three p-values: all three statements must hold (intersection-union test)."""
        return max(self.p_direction, self.p_difference, self.p_controls) if self.clusters else float("nan")


@dataclass(frozen=True)
class Verdict:
    """What is concluded of a finding."""

    verdict: str
    why: str
    q: float


def evidence_of(cluster_I: Ints, features_I: Ints, effect_I: Floats, control_IX: Floats, same_I: Ints) -> Evidence:
    """Return the evidence from the prompts in which a finding was tested; `cluster_I` has the number of the cluster.

    `control_IX` has the effect of each control set, and `same_I` how many of them are the finding's own set.
    """
    if not len(cluster_I):
        return Evidence()
    effect_Y = _means(effect_I[:, None], cluster_I)[:, 0]
    control_YX = _means(control_IX, cluster_I)
    control_X = _sums(control_YX) / len(control_YX)
    effect, effect_low, effect_high = interval_of_means(effect_Y)
    difference_Y = effect_Y - control_YX.mean(1)
    difference, low, high = interval_of_means(difference_Y)
    num_controls = control_IX.shape[1]
    reached = int((control_X >= effect - _round_off(effect_I, control_IX)).sum())
    least_same = int(same_I.min())
    return Evidence(
        *(len(cluster_I), len(effect_Y), float(features_I.mean())),
        *(effect, effect_low, effect_high),
        *(float(control_X.mean()), float(np.quantile(control_X, _HIGH))),
        *(difference, low, high),
        *(signed_rank_p(effect_Y), signed_rank_p(difference_Y), (1 + reached) / (1 + num_controls)),
        max(0.5 ** len(effect_Y), (1 + least_same) / (1 + num_controls)),
    )


def _round_off(effect_I: Floats, control_IX: Floats) -> float:
    """Return the difference below which two effects count as equal: controls are kept in float32."""
    return float(np.finfo(np.float32).eps * max(np.abs(effect_I).max(), np.abs(control_IX).max(initial=0.0)))


def _means(value_IX: Floats, cluster_I: Ints) -> Floats:
    """Return means over the prompts of each cluster, in the order of the clusters' numbers."""
    return np.stack([_sums(value_IX[cluster_I == own]) / (cluster_I == own).sum() for own in np.unique(cluster_I)])


def _sums(value_IX: Floats) -> Floats:
    """Return sums over the first axis in a fixed order of addition."""
    total = np.zeros(value_IX.shape[1])
    for row in value_IX:
        total += row
    return total


def signed_rank_p(value_Y: Floats) -> float:
    """Return the one-sided p-value of Wilcoxon's signed-rank test that values are not above 0 on the whole.

    A zero counts as below 0. Up to 200 values, the distribution is exact, for ties too.
    """
    number = len(value_Y)
    doubled_Y = np.rint(2 * stats.rankdata(np.abs(value_Y))).astype(np.int64)
    reached = int(doubled_Y[value_Y > 0].sum())
    if number > _MOST_EXACT:
        mean, deviation = doubled_Y.sum() / 2, math.sqrt(float(np.square(doubled_Y.astype(np.float64)).sum()) / 4)
        return float(stats.norm.sf((reached - 1 - mean) / deviation))
    share = np.zeros(int(doubled_Y.sum()) + 1)
    share[0] = 1.0
    for rank in doubled_Y.tolist():
        moved = np.concatenate([np.zeros(rank), share[:-rank]])
        share = (share + moved) / 2
    return min(1.0, float(share[reached:].sum()))


def verdicts(evidence: Sequence[Sequence[Evidence]], alpha: float) -> list[Verdict]:
    """Return the verdict of each finding, given the evidence of its predictions.

    The p-value of a finding is the largest of its predictions, since all must hold. q is that of Benjamini and Hochberg
    over all findings that could be tested. A finding is confirmed if q is at most `alpha`. Otherwise it has no power

    - if it was tested nowhere, or if no outcome could have had a p-value of at most `alpha`: too few clusters, or too
      few different control sets;
    - if p is at most `alpha`, and even its smallest possible p-value would not have been enough, with the other
      findings as they are: too few control sets for this number of findings;
    - if p is above `alpha`, and its interval holds no difference to the controls as well as a difference that would put
      it above 95% of them.

    In all other cases it is not confirmed.
    """
    p_all = np.array([np.max([one.p for one in own]) for own in evidence], dtype=np.float64)  # NaN if one is NaN
    q_all = q_values(p_all)
    found = []
    for number, own in enumerate(evidence):
        weakest, q = decisive(own), float(q_all[number])
        best = p_all.copy()
        best[number] = np.max([one.attainable for one in own])
        best_q = float(q_values(best)[number])
        if q <= alpha:
            found.append(Verdict(CONFIRMED, "", q))
        elif why := _why_no_power(weakest, (float(p_all[number]), float(best[number]), best_q), alpha):
            found.append(Verdict(NO_POWER, why, q))
        else:
            found.append(Verdict(NOT_CONFIRMED, _why_not(weakest, alpha), q))
    return found


def decisive(own: Sequence[Evidence]) -> Evidence:
    """Return the evidence of the prediction with the largest p-value."""
    return max(own, key=lambda one: math.inf if math.isnan(one.p) else one.p)


def _why_no_power(weakest: Evidence, numbers: tuple[float, float, float], alpha: float) -> str:
    """Return why a finding has no power, given p, the smallest possible p, and the q of that; empty if it has power."""
    p, best_p, best_q = numbers
    if not weakest.clusters:
        return "nothing of it is active in a prompt to test it in, or what it predicts is not there"
    if best_p > alpha:
        is_few = 0.5**weakest.clusters >= best_p
        limit = (
            f"only {counted(weakest.clusters, 'cluster')} to test it in" if is_few else "too few features to compare"
        )
        return f"{limit}: p could not be below {best_p:.2g}"
    if p <= alpha and best_q > alpha:
        return f"more controls are needed for this number of findings: q could not be below {best_q:.2g}"
    if p > alpha and weakest.low <= 0 and weakest.high >= weakest.controls_high - weakest.controls > 0:
        return "the interval holds no difference as well as a large one"
    return ""


def _why_not(weakest: Evidence, alpha: float) -> str:
    if weakest.p_direction > alpha:
        return "no effect in the predicted direction"
    if weakest.p_difference > alpha:
        return "not more than control sets on average"
    if weakest.p_controls > alpha:
        return "too many control sets do as much"
    return "not after correction for the number of findings"
