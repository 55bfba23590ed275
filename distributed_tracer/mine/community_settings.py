"""CommunitySettings: how communities are found and judged, and what limits what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..text import counted
from .findings import describe_graphs
from .prompt_sets import FEW_CLUSTERS
from .prompts import ChosenPrompts


@dataclass(frozen=True)
class CommunitySettings:
    """How communities are found and judged."""

    resolutions: tuple[float, ...] = (1.0, 4.0, 16.0)
    """Resolutions of the levels, ascending: higher ones give more and smaller communities."""
    neighbours: int = 20
    """Nearest neighbours of each feature in the graph of roles."""
    min_clusters: int = 3
    """Clusters in which a feature must be a node at least."""
    seeds: int = 3
    """Seeds of Leiden, of which the best partition is taken, on shuffled edges too."""
    bootstraps: int = 20
    shuffles: int = 99
    """Runs on shuffled edges of each of two kinds."""
    alpha: float = 0.05
    """Rate at which data without structure may give any significant community; also the false discovery rate of
    enrichment."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.resolutions or min(self.resolutions) <= 0:
            raise ConfigError(f"resolutions must be above 0, at least one, not {list(self.resolutions)}")
        if list(self.resolutions) != sorted({*self.resolutions}):
            raise ConfigError(f"resolutions must ascend, not {list(self.resolutions)}")
        least = {"neighbours": 1, "min_clusters": 1, "seeds": 1, "bootstraps": 0, "shuffles": 0, "seed": 0}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise ConfigError(f"{name} must be at least {number}, not {getattr(self, name)}")
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha must be between 0 and 1, not {self.alpha:g}")


def community_warnings(prompts: ChosenPrompts, settings: CommunitySettings, facts: Mapping[str, Any]) -> list[str]:
    """Return what makes a result less certain than it looks, as sentences for people."""
    found = []
    if prompts.clusters is None:
        found.append(
            "no clusters are named, so that each prompt counts as independent evidence: if prompts share templates, "
            "documents or subjects, communities look more stable and more significant than they are (--cluster FIELD)"
        )
    elif number := prompts.num_without_cluster:
        found.append(f"{counted(number, 'prompt')} without a cluster are left out")
    if facts["clusters"] < FEW_CLUSTERS:
        found.append(f"there are only {counted(facts['clusters'], 'cluster')}: bootstraps of so few say little")
    if settings.shuffles and 1 / (settings.shuffles + 1) > settings.alpha:
        found.append(
            f"{counted(settings.shuffles, 'shuffle')} cannot give a p below {1 / (settings.shuffles + 1):.3f}, so that "
            f"nothing can be significant at {settings.alpha:g}: raise --shuffles"
        )
    if facts["renamed"] < 0.5:
        found.append(
            f"shuffles rename only {facts['renamed']:.0%} of the features in clusters, since most clusters have the "
            "same ones: p_identity has little power"
        )
    if not describe_graphs(prompts.store).startswith("complete"):
        found.append(f"these are {describe_graphs(prompts.store)}: edges that graphs lack count as 0")
    if number := facts["prompts_without_influence"]:
        found.append(f"{counted(number, 'prompt')} of unknown influence count as prompts without edges")
    if number := facts["edges_unknown"]:
        found.append(f"{counted(number, 'edge')} whose weights are not finite have a share of 0")
    found.append(
        "enrichment and names come from the same prompts as the communities: they describe these, and test nothing"
    )
    return found
