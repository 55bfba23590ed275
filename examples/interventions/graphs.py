"""Interventions chosen by a graph: turn off the features that it calls weak, or a few that it calls strong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from classics import Classic, Trial
from questions import City, Facts
from supernodes import Supernode

from distributed_tracer import Graph, ReplacementModel, TraceConfig

WEAK, STRONG = 0.75, 0.1
"""Shares of a graph's features: the share with the least influence, and the share with the most."""


def by_influence(model: ReplacementModel, facts: Facts) -> Iterator[Classic]:
    """Yield interventions on one held-out city per state that turn off its graph's weakest or strongest features."""
    cities = list({city.place: city for city in facts.cities if city.held_out}.values())
    asked = TraceConfig(max_feature_nodes=1024, keep_all=True)
    ranked = [_by_influence(model.trace(city.two_hops, asked)) for city in cities]
    weak = [dict(sites[: round(WEAK * len(sites))]) for sites in ranked]
    strong = [dict(sites[-round(STRONG * len(sites)) :]) for sites in ranked]
    yield Classic(f"turn off the weakest {WEAK:.0%}", "no change", _trials(cities, weak, facts), True)
    yield Classic(f"turn off the strongest {STRONG:.0%}", "no change", _trials(cities, strong, facts), True)


def _by_influence(graph: Graph) -> list[tuple[tuple[int, int, int], float]]:
    """Return a graph's features with their activations, the least influential first."""
    nodes = graph.nodes
    features = np.flatnonzero(np.isfinite(nodes.activation_N))
    ranked = features[np.argsort(graph.influence_N[features], kind="stable")]
    layer, position = nodes.layer_N[ranked].tolist(), (nodes.position_N[ranked] - len(graph.tokens_P)).tolist()
    sites = zip(layer, position, nodes.feature_N[ranked].tolist(), strict=True)
    return list(zip(sites, nodes.activation_N[ranked].tolist(), strict=True))


def _trials(cities: Sequence[City], off: Sequence[Supernode], facts: Facts) -> list[Trial]:
    return [
        Trial(city.two_hops, sites, {}, [f" {facts.capitals[city.place]}"], held_out=True)
        for city, sites in zip(cities, off, strict=True)
    ]
