"""scheduler: virtual replicas under the real driver lose nothing and waste little."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rounding import nearly

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

import scheduler


@pytest.mark.parametrize("mean_life", [4 * 3600.0, 300.0])
def test_every_prompt_ends_and_replicas_are_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mean_life: float
) -> None:
    monkeypatch.setattr(scheduler, "MEAN_LIFE", mean_life)
    result = scheduler.measure(4, 3000, tmp_path, seed=3)
    assert result.done + result.failed == 3000
    assert 0 < result.failed < 10, "the bad ones"
    assert result.efficiency + result.tail + result.lost == nearly(1.0, 3000)
    assert (result.efficiency > 0.85) == (mean_life > 1000), "a death costs the loading of a model and a part"
    assert (result.deaths > 10) == (mean_life < 1000)
    assert 0.7 < result.eta_after_half < 1.4


def test_a_heavy_tail_is_begun_first() -> None:
    lengths = [len(prompt.tokens or ()) for prompt in scheduler.corpus(5000, seed=1)]
    assert max(lengths) > 10 * sorted(lengths)[2500]
