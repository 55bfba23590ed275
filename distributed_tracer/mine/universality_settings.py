"""The settings of a comparison of two stores."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError
from ..names import unknown
from .nearest_features import MEASURES, Measure


@dataclass(frozen=True)
class UniversalitySettings:
    """All that decides a comparison beside the prompts."""

    measure: Measure = "correlation"
    shuffles: int = 199
    q: float = 0.05
    min_clusters: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ConfigError(unknown("measure", self.measure, MEASURES))
        for name, least in (("shuffles", 19), ("min_clusters", 1), ("seed", 0)):
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise ConfigError(f"{name} must be an integer of at least {least}, not {number!r}")
        if not 0 < self.q < 1:
            raise ConfigError(f"q is a rate between 0 and 1, not {self.q!r}")
