"""DurationModel: what prompts really take, learned from those that are traced, as a line over what the plan expects.

The plan counts operations, at an assumed speed; what it leaves out (calls, saving, waiting) is much of a short prompt.
"""

from __future__ import annotations


class DurationModel:
    """seconds = each + rate * expected, by least squares, neither below zero. Before anything is known, as expected."""

    def __init__(self) -> None:
        self._count = self._x = self._y = self._xx = self._xy = 0.0

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return self._count > 0

    def observe(self, expected: float, seconds: float) -> None:
        """One prompt took so long."""
        self._count += 1
        self._x, self._y = self._x + expected, self._y + seconds
        self._xx, self._xy = self._xx + expected * expected, self._xy + expected * seconds

    def predict(self, num_prompts: int, expected: float) -> float:
        """Seconds of so many prompts, of which the plan expects so many together."""
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
