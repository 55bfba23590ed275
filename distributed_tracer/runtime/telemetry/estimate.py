"""DurationModel: predicts the real duration of prompts from the planned one, by a line fitted to prompts traced so far.

The plan counts operations and assumes a speed. It leaves out calls, saving and waiting, which are a large share of the
duration of a short prompt.
"""

from __future__ import annotations


class DurationModel:
    """Least-squares fit of seconds = each + rate * expected, with neither coefficient below zero.

    Before the first observation, the prediction is the expected duration itself.
    """

    def __init__(self) -> None:
        self._count = self._x = self._y = self._xx = self._xy = 0.0

    def __bool__(self) -> bool:
        """Whether there has been any observation."""
        return self._count > 0

    def observe(self, expected: float, seconds: float) -> None:
        """Add one traced prompt: the seconds that the plan expected, and the seconds that it took."""
        self._count += 1
        self._x, self._y = self._x + expected, self._y + seconds
        self._xx, self._xy = self._xx + expected * expected, self._xy + expected * seconds

    def predict(self, num_prompts: int, expected: float) -> float:
        """Predict the total seconds of `num_prompts` prompts, for which the plan expects `expected` in total."""
        each, rate = self._line()
        return each * num_prompts + rate * expected

    def _line(self) -> tuple[float, float]:
        if self._y <= 0:
            return 0.0, 1.0
        spread = self._count * self._xx - self._x * self._x
        if spread > 1e-9 * self._count * self._xx:
            rate = (self._count * self._xy - self._x * self._y) / spread
            each = (self._y - rate * self._x) / self._count
            if rate >= 0 and each >= 0:
                return each, rate
            if rate < 0:
                return self._y / self._count, 0.0
        return (0.0, self._xy / self._xx) if self._xx > 0 else (self._y / self._count, 0.0)
