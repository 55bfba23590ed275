"""Settings of `discover`: which steps, and how much each of them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigError
from ..names import unknown

MINING = ("atlas", "consensus", "chains", "contrasts", "roles", "pathways", "motifs")
"""Steps that mine the discovery half, in their order."""
CERTIFICATES, REPORT = "certificates", "report"
STEPS = (*MINING, CERTIFICATES, REPORT)
DEFAULT_STEPS = tuple(step for step in STEPS if step != "motifs")
"""Steps that are done unless others are asked for: motifs take long, and no intervention tests them."""

OF_CERTIFICATES = ("findings", "sample", "controls", "strength")
"""Settings on which no mining step depends."""


@dataclass(frozen=True)
class DiscoverSettings:
    """How much each step does, and how its findings are judged."""

    share: float = 0.5
    """Share of the clusters, by a hash of their values, that findings are made from; the others are held out."""
    contrasts: int = 6
    """Largest number of contrasts."""
    min_clusters: int = 8
    """Clusters of the discovery half that each set of a contrast has at least."""
    threshold: float = 0.1
    """Share of the clusters that have an edge of the consensus graph; low, as each edge is tested afterwards."""
    chains: int = 50
    """Number of chains."""
    permutations: int = 9_999
    """Assignments of labels to clusters, at most, for each row of a contrast."""
    shuffles: int = 19
    """Shuffles of roles and of pathways, of two kinds each; fewer than 19 can find nothing at alpha 0.05."""
    bootstraps: int = 5
    """Bootstraps of clusters for roles and for pathways."""
    draws: int = 99
    """Graphs that are drawn for each graph and null of the motifs."""
    findings: int = 5
    """Findings of each result that are tested by interventions, the strongest ones."""
    sample: int | None = None
    """Most held-out prompts to test each finding in: a random sample of those where it can be; none takes all."""
    controls: int = 199
    """Control sets of each finding. With few of them, no p is small enough for all steps together."""
    strength: float = 1.0
    """How far features are turned off: they are multiplied by 1 - strength."""
    alpha: float = 0.05
    """Rate of false discoveries of each step."""
    seed: int = 0
    """Seed of everything that is drawn."""

    def __post_init__(self) -> None:
        for name in ("share", "alpha"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} must be above 0 and below 1, not {getattr(self, name)}")
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"threshold must be above 0 and at most 1, not {self.threshold}")
        least = {"contrasts": 0, "min_clusters": 2, "chains": 1, "permutations": 19, "findings": 1, "controls": 1}
        for name, number in {**least, "shuffles": 0, "bootstraps": 0, "draws": 19, "seed": 0}.items():
            if getattr(self, name) < number:
                raise ConfigError(f"{name} must be at least {number}, not {getattr(self, name)}")
        if self.sample is not None and self.sample < 1:
            raise ConfigError(f"sample must be at least 1, not {self.sample}")


def chosen_steps(steps: Sequence[str], without: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the steps to do, in their order: those of `steps`, or the default ones, without those of `without`.

    Raises ConfigError for a step that does not exist, and if no step that mines is left.
    """
    for name in (*steps, *without):
        if name not in STEPS:
            raise ConfigError(unknown("step", name, STEPS))
    wanted = {*(steps or DEFAULT_STEPS)} - {*without}
    if not wanted & {*MINING}:
        raise ConfigError(f"no step that mines is left: name some of {', '.join(MINING)}")
    return tuple(step for step in STEPS if step in wanted)
