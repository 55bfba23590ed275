"""Runs trials and counts successes, with an interval of the rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from classics import Trial
from scipy.stats import binomtest
from supernodes import Supernode, swap

from distributed_tracer import Intervention, ReplacementModel


@dataclass(frozen=True)
class Rate:
    """Successes out of trials, and the 95% interval of their share (Wilson)."""

    successes: int
    trials: int

    @classmethod
    def of(cls, succeeded: npt.NDArray[np.bool_]) -> Rate:
        return cls(int(succeeded.sum()), len(succeeded))

    @property
    def share(self) -> float:
        return self.successes / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        found = binomtest(self.successes, self.trials).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:.0%} [{low:.0%}, {high:.0%}]"


def successes(
    model: ReplacementModel, trials: Sequence[Trial], strength: float, earlier: int = 0
) -> npt.NDArray[np.bool_]:
    """Return, for each trial, whether the likeliest token was the wanted one.

    With `earlier`, the same features are set that many positions earlier.
    """
    effects = model.intervene_many([case(trial, strength, earlier) for trial in trials])
    said = [int(effect.after.logits_V.argmax()) for effect in effects]
    return np.array([_is_wanted(model, trial, token) for trial, token in zip(trials, said, strict=True)])


def case(trial: Trial, strength: float, earlier: int = 0) -> tuple[str, list[Intervention]]:
    """Return a trial's prompt and its interventions."""
    return trial.text, swap(_moved(trial.off, earlier), _moved(trial.on, earlier), strength)


def _is_wanted(model: ReplacementModel, trial: Trial, token: int) -> bool:
    wanted, unwanted = ({_first_token(model, answer) for answer in of} for of in (trial.wanted, trial.unwanted))
    return token not in unwanted and (not wanted or token in wanted)


def _first_token(model: ReplacementModel, answer: str) -> int:
    return int(model.model.tokenizer(answer, add_special_tokens=False)["input_ids"][0])


def _moved(sites: Supernode, earlier: int) -> Supernode:
    return {(layer, position - earlier, feature): value for (layer, position, feature), value in sites.items()}
