"""The rule of a consensus graph, and what it needs over many random choices of clusters.

Axes: I edge, X cluster, Y edge in a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..errors import ConfigError
from ..names import unknown as unknown_name
from .certify import covering, sampled_radius
from .inclusion import Inclusion
from .proportions import clopper_pearson

Floats = npt.NDArray[np.float64]
Rule = Literal["frequency", "share"]
RULES = ("frequency", "share")
CONFIDENCE = 0.999
"""Confidence that all sampled certificates of one graph hold together."""
_ELEMENTS = 1 << 23


@dataclass(frozen=True)
class ConsensusRule:
    """When a node or an edge is in a consensus graph."""

    rule: Rule = "frequency"
    threshold: float = 0.5
    within: float = 0.5
    share: float = 0.8
    subsample: int | None = None
    samples: int = 1_000
    resamples: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(unknown_name("rule", self.rule, RULES))
        for name in ("threshold", "within", "share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in (0, 1], not {getattr(self, name)!r}")
        if self.rule == "share" and self.threshold == 1:
            raise ConfigError("threshold must be below 1 for the rule `share`: no sample shows a probability of 1")
        for name in ("samples", "resamples"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 100:
                raise ConfigError(f"{name} must be an integer of at least 100, not {getattr(self, name)!r}")


def samples_at_once(num_edges: int) -> int:
    """Return the number of subsamples for whose weights there is memory, given the number of edges."""
    return max(1, _ELEMENTS // max(1, num_edges))


def count_chosen(
    edges: Inclusion, num: int, size: int, rule: ConsensusRule, drawn_before: int, draws: int
) -> npt.NDArray[np.int64]:
    """Return how many of some subsamples of `size` of all `num` clusters choose each edge.

    These are the `draws` subsamples after the first `drawn_before` that the seed gives.
    """
    rng = np.random.default_rng(rule.seed)
    for _ in range(drawn_before):
        rng.choice(num, size, replace=False)
    value_IX = csr_array((edges.value_Y, (edges.item_Y, edges.cluster_Y)), shape=(len(edges.key_I), num))
    count_I = np.zeros(len(edges.key_I), dtype=np.int64)
    at_once = samples_at_once(len(edges.key_I))
    for first in range(0, draws, at_once):
        columns = min(at_once, draws - first)
        drawn = np.zeros((num, columns))
        for number in range(columns):
            drawn[rng.choice(num, size, replace=False), number] = 1.0 / size
        for values in (value_IX @ drawn).T:
            count_I += covering(values, rule.share)
    return count_I


def selection(count_I: npt.NDArray[np.int64], num: int, size: int, rule: ConsensusRule) -> dict[str, npt.NDArray[Any]]:
    """Return how often subsamples choose each edge, with bounds, and the certified radius, given how many of all
    `rule.samples` subsamples choose it."""
    # a bound for each edge, so that all of them hold together (Bonferroni); both ends count
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(count_I))
    low, high = clopper_pearson(count_I, rule.samples, confidence)
    return {
        "selected": count_I / rule.samples,
        "selected_low": low,
        "selected_high": high,
        "radius": sampled_radius(low, num, size, rule.threshold),
    }


def weights_over_clusters(edges: Inclusion, num: int, rule: ConsensusRule) -> tuple[Floats, Floats, Floats]:
    """Return the mean share over clusters, and the ends of its percentile interval over bootstraps of clusters."""
    number_of = len(edges.key_I)
    share_I = np.bincount(edges.item_Y, edges.value_Y, number_of) / num
    if not number_of or num < 2:
        return share_I, np.full(number_of, np.nan), np.full(number_of, np.nan)
    rng = np.random.default_rng(rule.seed)
    counts = rng.multinomial(num, np.full(num, 1 / num), rule.resamples).T / num
    value_IX = csr_array((edges.value_Y, (edges.item_Y, edges.cluster_Y)), shape=(number_of, num))
    ends = [
        np.quantile(value_IX[first : first + at_once] @ counts, (0.025, 0.975), axis=1)
        for at_once in (max(1, _ELEMENTS // rule.resamples),)
        for first in range(0, number_of, at_once)
    ]
    low, high = np.concatenate(ends, axis=1)
    return share_I, low, high
