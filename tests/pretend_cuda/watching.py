"""Watched: computes rows and keeps what each round, and each choice of features between two rounds, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from distributed_tracer.trace.rows import EdgeBlock, RowComputer
from distributed_tracer.trace.targets import ResolvedTargets

from .counts import Counts


@dataclass
class Watched:
    """Computes rows as RowComputer does, and keeps what each round cost."""

    counts: Counts
    num_batches: int = 0
    rounds: list[tuple[Counter[str], int]] = field(default_factory=list)
    """The waits of each round, and the kernels launched by it."""
    rankings: list[tuple[Counter[str], int, int]] = field(default_factory=list)
    """The waits and kernels between two rounds, and the number of batches so far."""
    until_first_round: tuple[int, int] = (0, 0)
    """Launches and waits before the first round, the rows of targets included."""
    until_last_round: tuple[int, int] = (0, 0)
    _mark: tuple[Counter[str], int] = field(default_factory=lambda: (Counter(), 0))

    def open(self, *opened: Any) -> Watched:
        self._rows = RowComputer(*opened)
        return self

    def since_mark(self) -> tuple[Counter[str], int]:
        waits, launches = self._mark
        now = self.counts.waits.copy(), self.counts.launches.total()
        self._mark = now
        return now[0] - waits, now[1] - launches

    def of_targets(self, directions: ResolvedTargets) -> Iterator[EdgeBlock]:
        for block in self._rows.of_targets(directions):
            self.num_batches += 1
            yield block
        self.since_mark()
        self.until_first_round = self.counts.launches.total(), self.counts.waits.total()

    def of_features(self, chosen_F: Tensor) -> Iterator[EdgeBlock]:
        self.rankings.append((*self.since_mark(), self.num_batches))
        for block in self._rows.of_features(chosen_F):
            self.num_batches += 1
            yield block
        self.rounds.append(self.since_mark())
        self.until_last_round = self.counts.launches.total(), self.counts.waits.total()
