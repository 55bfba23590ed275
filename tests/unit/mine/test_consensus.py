"""The consensus graph: equal to counting by dictionaries, and no removal of clusters breaks a certificate."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted_graphs import Edges, planted_graph, random_edges
from random_stores import make_store
from rounding import nearly
from scipy.stats import binom

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine import consensus_tasks, inclusion
from distributed_tracer.mine.certify import as_fraction, covering, removal_radius, sampled_radius
from distributed_tracer.mine.consensus import ConsensusGraph, consensus_graph
from distributed_tracer.mine.inclusion import num_passes
from distributed_tracer.mine.proportions import clopper_pearson
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store

CORE: Edges = {
    ((layer, 900 + k), (layer + 1, 900 + (k + step) % 4)): 2.0 - k / 4
    for layer in range(3)
    for k in range(4)
    for step in (0, 1)
}
"""Planted edges; each prompt has each of them with a probability of 0.9."""


def prompt_of(cluster: int, number: int, rng: np.random.Generator, core: Edges = CORE) -> Graph:
    edges = {pair: weight * float(rng.lognormal(0, 0.2)) for pair, weight in core.items() if rng.random() < 0.9}
    edges |= random_edges(rng, 20)
    name = {"topic": f"topic-{cluster}"} if number < 2 or cluster != 8 else {}
    return planted_graph(f"p{cluster}-{number}", [1, 2 + cluster], edges, **name)


def graphs_of(seed: int, core: Edges = CORE, most: int = 3) -> list[Graph]:
    """Ten clusters of 1 to `most` prompts."""
    rng = np.random.default_rng(seed)
    return [prompt_of(cluster, number, rng, core) for cluster in range(10) for number in range(1 + cluster % most)]


GRAPHS = graphs_of(0, most=6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("consensus")), GRAPHS[:7], GRAPHS[7:])


def by_name(graph: Graph) -> dict[tuple[str, str], float]:
    """The weight of each edge, by names without positions."""
    names = [graph.node_label(node).split(" at ")[0] for node in range(len(graph.nodes))]
    return {(names[source], names[target]): weight for source, target, weight in graph.edges()}


def shares(graph: Graph) -> dict[tuple[str, str], float]:
    """Every row adds up to 1 and every feature has influence 1, so that the total is the number of rows."""
    edges = by_name(graph)
    rows = Counter[str]()
    for (_, target), weight in edges.items():
        rows[target] += abs(weight)  # type: ignore[assignment]
    return {pair: abs(weight) / rows[pair[1]] / len(rows) for pair, weight in edges.items()}


def clusters_of(graphs: list[Graph]) -> dict[str, list[Graph]]:
    found = defaultdict(list)
    for graph in graphs:
        if "topic" in graph.metadata:
            found[graph.metadata["topic"]].append(graph)
    return found


def test_frequencies_and_shares_equal_those_of_dictionaries(store: Store) -> None:
    clusters, counts, weights = clusters_of(GRAPHS), Counter[Any](), Counter[Any]()
    prompts = Counter(pair for graphs in clusters.values() for graph in graphs for pair in by_name(graph))
    signed = Counter[Any]()
    for graphs in clusters.values():
        present = Counter(pair for graph in graphs for pair in by_name(graph))
        counts.update(pair for pair, number in present.items() if number * 2 >= len(graphs))
        for graph in graphs:
            for pair, share in shares(graph).items():
                weights[pair] += share / len(graphs) / len(clusters)  # type: ignore[assignment]
                signed[pair] += np.sign(by_name(graph)[pair]) * share / len(graphs) / len(clusters)
    found = consensus_graph(store, cluster="topic", threshold=0.05)
    assert len(found.edges) == len(prompts) == found.facts["edges_seen"]
    for row in found.edges.rows():
        pair = row["source"], row["target"]
        assert row["clusters"] == counts[pair]
        assert row["prompts"] == prompts[pair]
        assert row["frequency"] == counts[pair] / len(clusters)
        assert row["share"] == nearly(weights[pair], 4, torch.float32)
        assert row["signed_share"] == nearly(signed[pair], 4, torch.float32, weights[pair])
        low, high = clopper_pearson(np.array([counts[pair]]), len(clusters))
        assert (row["low"], row["high"]) == (low[0], high[0])
        assert row["status"] == ("in" if counts[pair] >= 0.05 * len(clusters) else "out")
        assert row["share_low"] <= row["share"] <= row["share_high"]
    nodes = {row["node"]: row for row in found.nodes.rows()}
    assert nodes["token 't1'"]["frequency"] == 1.0
    assert nodes["token 't2'"]["clusters"] == 1
    assert nodes["feature 0:900"]["prompts"] == sum(
        any("feature 0:900" in pair for pair in by_name(graph)) for own in clusters.values() for graph in own
    )
    assert found.facts["prompts"] == sum(map(len, clusters.values()))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 2 / 3, 0.75, 1.0])
def test_no_removal_of_clusters_up_to_the_radius_loses_an_item_and_one_more_can(threshold: float) -> None:
    exact = as_fraction(threshold)
    for number in range(1, 9):
        for count in range(number + 1):
            radius = int(removal_radius(np.array([count]), number, exact)[0])
            has = [True] * count + [False] * (number - count)

            def survives(removed: int, has: list[bool] = has) -> bool:
                """Whether the item stays, whichever clusters are removed."""
                kept = itertools.combinations(has, len(has) - removed)
                return all(Fraction(sum(some), len(some)) >= exact for some in kept)

            stays = [removed for removed in range(number) if all(map(survives, range(removed + 1)))]
            assert radius == max(stays, default=-1), (number, count)


def smoothed(values: np.ndarray[Any, Any], size: int, share: float) -> np.ndarray[Any, Any]:
    """How often each edge is chosen, over all subsamples of the clusters, given values [edges, clusters]."""
    chosen = [
        covering(values[:, list(subset)].mean(axis=1), share)
        for subset in itertools.combinations(range(values.shape[1]), size)
    ]
    found: np.ndarray[Any, Any] = np.mean(chosen, axis=0)
    return found


def test_no_removal_of_clusters_breaks_a_sampled_certificate_even_of_the_exact_probability() -> None:
    """All removals are tried. The bound is that of the exact probability, which no estimate exceeds by much."""
    rng, held, tight = np.random.default_rng(0), 0, 0
    for number, size in ((6, 2), (7, 3), (7, 1)):
        for _ in range(6):
            values = rng.exponential(1.0, (8, number)) * (rng.random((8, number)) < 0.7) * rng.exponential(1, (8, 1))
            radius = sampled_radius(smoothed(values, size, 0.6), number, size, 0.5)
            for removed in range(number - size + 1):
                worst = np.ones(8)
                for kept in itertools.combinations(range(number), number - removed):
                    worst = np.minimum(worst, smoothed(values[:, list(kept)], size, 0.6))
                certified = radius >= removed
                assert (worst[certified] >= 0.5).all()
                held += int(certified.sum()) if removed else 0
                tight += int(((worst < 0.5) & (radius == removed - 1)).sum())
    assert held > 30
    assert tight > 5, "the certificate is not vacuous: one more cluster can break it"


def test_a_planted_consensus_is_found_and_certified_by_both_rules(store: Store) -> None:
    core = {(f"feature {a[0]}:{a[1]}", f"feature {b[0]}:{b[1]}") for a, b in CORE}
    found = consensus_graph(store, cluster="topic")
    is_in = found.edges.where(found.edges["status"] == "in")
    assert {*zip(is_in["source"], is_in["target"], strict=True)} == core
    assert (is_in["radius"] >= 1).all()
    assert found.facts["edges_certified"] == found.facts["edges_in"] == len(core)
    shared = consensus_graph(store, cluster="topic", rule="share", share=0.3, samples=300)
    is_in = shared.edges.where(shared.edges["status"] == "in")
    assert {*zip(is_in["source"], is_in["target"], strict=True)} <= core
    assert shared.facts["edges_certified"] >= 6
    assert (is_in["selected_low"] >= 0.5).all()
    unsure = shared.edges.where(shared.edges["status"] == "abstains")
    assert len(unsure) == shared.facts["edges_undecided"] > 0
    assert ((unsure["selected_low"] < 0.5) & (unsure["selected_high"] >= 0.5)).all()
    assert (unsure["radius"] == -1).all()


def test_random_graphs_of_the_same_degrees_have_no_consensus_beyond_the_rate_of_chance(tmp_path: Path) -> None:
    """An edge of random graphs is in a prompt with a probability of about 0.5% here, so that it is in half of ten
    clusters once in 10^9; the 5,000 possible edges of 20 stores have less than one expected edge together."""
    num_possible, chance = 3 * 40 * 40, 20 / (3 * 40 * 40)
    expected = 20 * num_possible * binom.sf(4, 10, 2 * chance)
    assert expected < 1
    found = 0
    for seed in range(20):
        one = make_store(str(tmp_path / str(seed)), graphs_of(seed, core={}))
        found += int(consensus_graph(one, cluster="topic", resamples=100).facts["edges_in"])
    assert found == 0


def test_the_threshold_is_compared_exactly() -> None:
    assert removal_radius(np.array([3]), 5, as_fraction(0.6)).tolist() == [0]
    assert removal_radius(np.array([7]), 10, as_fraction(0.7)).tolist() == [0]
    assert covering(np.array([0.5, 0.25, 0.25, 0.0]), 0.75).tolist() == [True, True, True, False]
    assert covering(np.array([0.5, 0.2, 0.3]), 0.5).tolist() == [True, False, False]
    assert not covering(np.zeros(3), 0.5).any()


def both_tables(found: ConsensusGraph) -> str:
    return repr([*found.edges.rows(), *found.nodes.rows()])


@pytest.mark.parametrize("rule", ["frequency", "share"])
def test_results_are_the_same_bits_for_any_parts_order_memory_and_reading(
    rule: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"cluster": "topic", "rule": rule, "samples": 100, "threshold": 0.2}
    expected = both_tables(consensus_graph(store, **options))
    shuffled = random.Random(1).sample(GRAPHS, len(GRAPHS))
    others = [make_store(str(tmp_path / name), shuffled[::2], shuffled[1::2]) for name in ("shuffled", "compacted")]
    compact(others[1].url)
    others[1] = open_store(others[1].url)
    few = 40 * inclusion.RECORD_BYTES / 1e9
    assert num_passes(400, few) > 10
    for most, memory_gb in ((1, 2.0), (50, few), (1 << 20, 5 * few)):
        monkeypatch.setattr(inclusion, "_READ_ROWS", most)
        monkeypatch.setattr(consensus_tasks, "_READ_ROWS", most)
        for other in others:
            assert both_tables(consensus_graph(other, memory_gb=memory_gb, **options)) == expected


def test_what_makes_a_consensus_doubtful_is_said_and_what_makes_none_is_refused(store: Store) -> None:
    said = " ".join(consensus_graph(store, where="id=p0-0").warnings)
    assert "no clusters are named" in said
    assert "only 1 cluster:" in said
    found = consensus_graph(store, cluster="topic")
    assert found.facts["clusters"] == 10
    assert any(text.startswith("1 prompt without a cluster") for text in found.warnings)
    assert any("not how often the model has it" in text for text in found.warnings)
    refused: dict[str, Any] = {"rule": "most", "threshold": 0.0, "within": 1.1, "share": 0, "samples": 10}
    for name, value in refused.items():
        with pytest.raises(ConfigError, match=name):
            consensus_graph(store, **{name: value})
    with pytest.raises(ConfigError, match="below 1 for the rule `share`"):
        consensus_graph(store, rule="share", threshold=1.0)
    with pytest.raises(ConfigError, match="from 1 to the number of clusters, 10, not 11"):
        consensus_graph(store, cluster="topic", subsample=11)
    with pytest.raises(ConfigError, match="topik"):
        consensus_graph(store, cluster="topik")
