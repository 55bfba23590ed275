"""What the summary says of numbers: findings over all steps, and control sets that are too few for them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from distributed_tracer.discovery.settings import DiscoverSettings
from distributed_tracer.discovery.summary import NO, UNTESTED, too_few_controls
from distributed_tracer.mine.statistics import q_values


@pytest.mark.parametrize(("at_least", "others"), [(12, 79), (18, 73), (19, 72), (1, 4), (0, 30), (5, 0)])
def test_too_few_controls_are_said_exactly_when_nothing_could_be_confirmed(at_least: int, others: int) -> None:
    settings = DiscoverSettings(controls=99, alpha=0.05)
    p = [0.01] * at_least + [0.9] * others
    findings = [{"p": one, "confirmed_over_all": NO} for one in p]
    untested = [{"p": float("nan"), "confirmed_over_all": UNTESTED}] * 7
    said = list(too_few_controls(settings, [*findings, *untested]))
    could = bool((q_values(np.array(p)) <= settings.alpha).any())
    assert bool(said) == (not could and at_least > 0)
    for text in said:
        numbers = re.search(r": ([\d,]+) of ([\d,]+) findings would have to have it .*, and ([\d,]+) have it", text)
        assert numbers
        needed = int(numbers[1])
        assert (int(numbers[2]), int(numbers[3])) == (len(p), at_least)
        reaching = np.array([0.01] * needed + [0.9] * (len(p) - needed))
        assert (q_values(reaching) <= settings.alpha).any(), "that many would do"
        fewer = np.array([0.01] * (needed - 1) + [0.9] * (len(p) - needed + 1))
        assert not (q_values(fewer) <= settings.alpha).any(), "and no fewer"
