from __future__ import annotations

import math

import numpy as np
from random_graphs import random_graph
from rounding import nearly
from scipy.stats import spearmanr

from distributed_tracer.evaluate.ablation import AblationResult
from distributed_tracer.evaluate.edge_agreement import agreement_by_distance
from distributed_tracer.graph.graph import Graph


def probed(seed: int, noise: float = 0.5) -> tuple[Graph, AblationResult]:
    """A random graph's edges with losses that are like them; one direct one is wrong by a tenth of the largest."""
    graph = random_graph(f"p{seed}", seed=seed)
    rng = np.random.default_rng(seed)
    weight_E = rng.standard_normal(graph.num_edges)
    direct_E = weight_E.copy()
    direct_E[3] += 0.1 * np.abs(weight_E).max()
    reacting_E = weight_E + noise * weight_E.std() * rng.standard_normal(len(weight_E))
    source_E, target_E = graph.source_E.astype(np.int64), graph.target_E().astype(np.int64)
    return graph, AblationResult(source_E, target_E, weight_E, direct_E, reacting_E)


def test_a_row_for_each_distance_and_one_for_all() -> None:
    both = [probed(1), probed(2)]
    table = agreement_by_distance(both)
    distances = [
        int(graph.nodes.layer_N[target]) - int(graph.nodes.layer_N[source])
        for graph, probes in both
        for source, target in zip(probes.source_E, probes.target_E, strict=True)
    ]
    assert table["distance"].tolist() == [*sorted(set(distances)), "all"]
    assert table["edges"].tolist() == [*(distances.count(d) for d in sorted(set(distances))), len(distances)]
    weights, losses = (np.concatenate([getattr(p, name) for _, p in both]) for name in ("weight_E", "reacting_E"))
    last = list(table.rows())[-1]
    cosine, terms = weights @ losses / np.linalg.norm(weights) / np.linalg.norm(losses), len(weights)
    assert last["spearman"] == nearly(spearmanr(weights, losses).statistic, terms)
    assert last["cosine"] == nearly(cosine, terms)
    assert last["sign"] == (np.sign(weights) == np.sign(losses)).mean()
    assert last["difference"] == nearly(0.1, 2)


def test_what_agrees_is_one_and_what_is_opposite_minus_one() -> None:
    graph, probes = probed(1, noise=0.0)
    (*_, same) = agreement_by_distance([(graph, probes)]).rows()
    assert (same["spearman"], same["cosine"], same["sign"]) == nearly((1, 1, 1), graph.num_edges)
    opposite = AblationResult(probes.source_E, probes.target_E, probes.weight_E, probes.direct_E, -probes.weight_E)
    (*_, other) = agreement_by_distance([(graph, opposite)]).rows()
    assert (other["spearman"], other["cosine"], other["sign"]) == nearly((-1, -1, 0), graph.num_edges)


def test_of_nothing_nothing_is_said() -> None:
    (only,) = agreement_by_distance([]).rows()
    assert (only["distance"], only["edges"], only["difference"]) == ("all", 0, 0.0)
    assert all(math.isnan(only[name]) for name in ("spearman", "cosine", "sign"))
