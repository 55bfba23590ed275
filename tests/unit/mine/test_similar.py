"""Similar prompts: equal to a plain comparison of dictionaries; circuits are told apart by graphs, texts by texts."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_graphs import planted_graph, random_edges
from random_graphs import random_graph
from random_stores import make_store
from rounding import of_roundings
from torch import float64

from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.graph.edge_strength import passed_influence
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine import prompt_similarity
from distributed_tracer.mine.beyond_texts import least_excess, separation
from distributed_tracer.mine.proportions import clopper_pearson
from distributed_tracer.mine.similar import SimilarPrompts, similar_prompts
from distributed_tracer.mine.weighted_sketch import weighted_sketch
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.reader import Store, open_store

FEW = 8


def recurring_graph(number: int) -> Graph:
    """A random graph whose features and tokens recur in other graphs and at several positions."""
    found = random_graph(f"p{number:02d}", seed=number, num_positions=6, num_active=40, density=0.3)
    modulus_N = np.where(found.nodes.kind_N == 0, FEW, np.where(found.nodes.kind_N == 2, 4, 1 << 30))
    feature_N = np.where(found.nodes.feature_N < 0, -1, found.nodes.feature_N % modulus_N).astype(np.int32)
    row_N = np.where(np.arange(len(feature_N)) % 7 == 0, np.nan, found.row_abs_sum_N).astype(np.float32)
    return replace(
        found, nodes=replace(found.nodes, feature_N=feature_N), row_abs_sum_N=row_N, tokens_P=found.tokens_P % 5
    )


GRAPHS = [recurring_graph(number) for number in range(8)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("similar")), GRAPHS[:3], GRAPHS[3:])


def shares(graph: Graph, edges: str) -> dict[Any, float]:
    """The vector of a prompt, edge by edge."""
    nodes, passed = graph.nodes, passed_influence(graph)
    found: dict[Any, float] = defaultdict(float)

    def site(node: int) -> tuple[int, int, int]:
        kind, feature = int(nodes.kind_N[node]), int(nodes.feature_N[node])
        return int(nodes.layer_N[node]), kind, graph.targets[feature].token_id if kind == 3 else feature

    for (source, target, _), value in zip(graph.edges(), passed, strict=True):
        if edges == "all" or nodes.kind_N[source] == nodes.kind_N[target] == 0:
            found[site(source), site(target)] += float(value)
    total = sum(found.values())
    return {key: value / total for key, value in found.items()}


def ruzicka(a: Mapping[Any, float], b: Mapping[Any, float]) -> float:
    keys = a.keys() | b.keys()
    return sum(min(a.get(k, 0), b.get(k, 0)) for k in keys) / sum(max(a.get(k, 0), b.get(k, 0)) for k in keys)


def cosine(a: Mapping[Any, float], b: Mapping[Any, float]) -> float:
    length = math.sqrt(sum(x * x for x in a.values()) * sum(x * x for x in b.values()))
    return sum(a[k] * b[k] for k in a.keys() & b.keys()) / length


@pytest.mark.parametrize("edges", ["features", "all"])
def test_every_similarity_equals_that_of_dictionaries(edges: Any, store: Store) -> None:
    vectors = {graph.prompt_id: shares(graph, edges) for graph in GRAPHS}
    counts = {graph.prompt_id: np.bincount(graph.tokens_P) for graph in GRAPHS}
    texts = {prompt: dict(enumerate(count.tolist())) for prompt, count in counts.items()}
    rows = list(similar_prompts(store, edges=edges).neighbours.rows())
    assert len(rows) == len(GRAPHS) * (len(GRAPHS) - 1)
    tolerance = of_roundings(float64, 4_000)
    for row in rows:
        a, b = row["prompt"], row["neighbour"]
        for name, expected in (("ruzicka", ruzicka(vectors[a], vectors[b])), ("text", ruzicka(texts[a], texts[b]))):
            assert abs(row[name] - expected) < tolerance, (a, b, name)
        assert abs(row["cosine"] - cosine(vectors[a], vectors[b])) < tolerance
        assert row["low"] == row["ruzicka"] == row["high"]
    for prompt in store:
        own = [row for row in rows if row["prompt"] == prompt]
        assert [row["place"] for row in own] == list(range(1, len(GRAPHS)))
        assert [row["ruzicka"] for row in own] == sorted((row["ruzicka"] for row in own), reverse=True)
    alone = similar_prompts(store, "p03", edges=edges, top=3)
    assert list(alone.neighbours.rows()) == [row for row in rows if row["prompt"] == "p03"][:3]
    assert not len(alone.unlike_texts)


def both_tables(found: SimilarPrompts) -> list[dict[str, Any]]:
    return [*found.neighbours.rows(), *found.unlike_texts.rows()]


@pytest.mark.parametrize("samples", [None, 64])
def test_results_are_the_same_bits_for_any_parts_order_and_reading(
    samples: int | None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = repr(both_tables(similar_prompts(store, samples=samples, max_text=1.0, q=0.9)))
    shuffled = random.Random(1).sample(GRAPHS, len(GRAPHS))
    for name in ("shuffled", "compacted"):
        make_store(str(tmp_path / name), shuffled[:3], shuffled[3:5], shuffled[5:])
    compact(str(tmp_path / "compacted"))
    halves = [make_store(str(tmp_path / name), own).url for name, own in (("a", shuffled[:5]), ("b", shuffled[5:]))]
    merge_stores(str(tmp_path / "merged"), halves)
    for most in (1, 100, 1 << 20):
        monkeypatch.setattr(prompt_similarity, "_READ_ROWS", most)
        for name in ("shuffled", "compacted", "merged"):
            found = similar_prompts(open_store(str(tmp_path / name)), samples=samples, max_text=1.0, q=0.9)
            assert repr(both_tables(found)) == expected


def test_similarities_do_not_change_when_weights_and_rows_are_scaled_together(tmp_path: Path) -> None:
    def scaled(graph: Graph, by: float) -> Graph:
        row_N, weight_E = (np.float32(by) * values for values in (graph.row_abs_sum_N, graph.weight_E))
        return replace(graph, row_abs_sum_N=row_N, weight_E=weight_E)

    plain, other = (make_store(str(tmp_path / str(by)), [scaled(graph, by) for graph in GRAPHS]) for by in (1.0, 4.0))
    assert both_tables(similar_prompts(plain)) == both_tables(similar_prompts(other))


def vectors(rng: np.random.Generator, size: int, overlap: float) -> tuple[dict[int, float], dict[int, float]]:
    one, other = ({}, {})  # type: dict[int, float], dict[int, float]
    for key in range(size):
        x, y = rng.lognormal(0.0, 2.0, 2)
        if rng.random() < overlap:
            y = x * rng.uniform(0.5, 2.0)
        one[key], other[key if rng.random() < overlap else key + size] = float(x), float(y)
    return tuple({key: value / sum(own.values()) for key, value in own.items()} for own in (one, other))  # type: ignore[return-value]


def sketch(own: Mapping[int, float], samples: int, seed: int) -> np.ndarray[Any, Any]:
    words = np.array([*own], dtype=np.uint64)
    return weighted_sketch(words, np.array([*own.values()]), samples, seed)[0]


def test_sketches_estimate_similarities_within_their_bounds() -> None:
    """Hoeffding's bound holds for each pair with a probability of 1 - 1e-9, and 95% intervals cover 95%."""
    rng = np.random.default_rng(0)
    samples, covered, errors = 256, [], []
    for trial in range(150):
        a, b = vectors(rng, int(rng.integers(1, 200)), float(rng.random()))
        exact = ruzicka(a, b)
        matches = int((sketch(a, samples, trial) == sketch(b, samples, trial)).sum())
        low, high = clopper_pearson(np.array([matches]), samples)
        covered.append(low[0] <= exact <= high[0])
        errors.append(matches / samples - exact)
        assert abs(errors[-1]) <= math.sqrt(math.log(2e9) / (2 * samples))
    assert np.mean(covered) > 0.9
    assert abs(np.mean(errors)) < 3 * 0.5 / math.sqrt(samples * len(errors))


def test_weights_smaller_than_the_cells_in_which_darts_are_thrown_count_by_their_size() -> None:
    rng = np.random.default_rng(0)
    one, other = (dict(enumerate((own / own.sum()).tolist())) for own in rng.uniform(0.5, 1.5, (2, 4_000)))
    matches = [(sketch(one, 256, seed) == sketch(other, 256, seed)).mean() for seed in range(8)]
    assert abs(np.mean(matches) - ruzicka(one, other)) < 4 * 0.5 / math.sqrt(256 * 8)


def test_equal_vectors_have_equal_sketches_and_disjoint_ones_share_nothing() -> None:
    one = {1: 0.25, 2: 0.75}
    assert (sketch(one, 64, 0) == sketch(dict(reversed(one.items())), 64, 0)).all()
    assert not (sketch(one, 64, 0) == sketch({3: 1.0}, 64, 0)).any()
    assert (sketch(one, 64, 0) != sketch(one, 64, 1)).all()


def test_the_seed_and_the_number_of_samples_decide_an_estimate_whose_interval_holds_the_exact_one(store: Store) -> None:
    exact = {(row["prompt"], row["neighbour"]): row["ruzicka"] for row in similar_prompts(store).neighbours.rows()}
    found = similar_prompts(store, samples=512, seed=3)
    rows = list(found.neighbours.rows())
    assert all(row["ruzicka"] == round(row["ruzicka"] * 512) / 512 for row in rows)
    assert np.mean([row["low"] <= exact[row["prompt"], row["neighbour"]] <= row["high"] for row in rows]) > 0.85
    assert np.isnan(found.neighbours["cosine"]).all()
    assert any("512 samples" in text for text in found.warnings)
    assert both_tables(found) != both_tables(similar_prompts(store, samples=512, seed=4))


CIRCUITS, VOCABULARIES = 4, 4


def crossed(seed: int, strength: int = 20, per_cell: int = 4) -> list[Graph]:
    """Circuits crossed with vocabularies: a prompt's graph has edges of its circuit, of its tokens, and of its own."""
    rng = np.random.default_rng(seed)
    of_circuit = [random_edges(rng, strength, first=100 * number) for number in range(1, CIRCUITS + 1)]
    of_token = [random_edges(rng, 2) for _ in range(40)]
    graphs = []
    for circuit in range(CIRCUITS):
        for vocabulary in range(VOCABULARIES):
            for copy in range(per_cell):
                tokens = [0, *(1 + 10 * vocabulary + rng.choice(9, 6, replace=False)).tolist()]
                edges = random_edges(rng, 12)
                for token in tokens[1:]:
                    edges |= of_token[token]
                edges |= {pair: weight for pair, weight in of_circuit[circuit].items() if rng.random() < 0.8}
                name = f"c{circuit}-v{vocabulary}-{copy}"
                labels = {"circuit": f"c{circuit}", "vocabulary": f"v{vocabulary}"}
                graphs.append(planted_graph(name, tokens, edges, **labels))
    return graphs


def test_planted_circuits_are_told_apart_by_graphs_and_not_by_texts(tmp_path: Path) -> None:
    store = make_store(str(tmp_path / "store"), crossed(0))
    facts = similar_prompts(store, cluster="circuit").facts
    assert facts["separation_graphs"] > 0.95
    assert facts["separation_beyond_texts"] > 0.95
    assert 0.45 < facts["separation_texts"] < 0.55
    assert similar_prompts(store, cluster="vocabulary").facts["separation_texts"] > 0.95
    found = similar_prompts(store, cluster="circuit", max_text=0.3)
    assert len(found.unlike_texts) == found.facts["listed"] > 50
    assert (found.unlike_texts["same_cluster"] == "yes").mean() > 0.9
    assert (found.unlike_texts["text"] <= 0.3).all()
    assert found.facts["by_chance"] <= 0.1
    assert "'t0'" in found.unlike_texts["shared_tokens"][0]


def test_where_graphs_carry_nothing_beyond_texts_nothing_is_found_beyond_texts(tmp_path: Path) -> None:
    num_listed, separations = [], []
    for seed in range(8):
        store = make_store(str(tmp_path / str(seed)), crossed(seed, strength=0, per_cell=3))
        facts = similar_prompts(store, cluster="circuit").facts
        num_listed.append(facts["listed"])
        separations.append(facts["separation_beyond_texts"])
    assert similar_prompts(store, cluster="vocabulary").facts["separation_graphs"] > 0.8
    assert num_listed == [0] * 8
    assert abs(np.mean(separations) - 0.5) < 0.02
    assert np.ptp(separations) < 0.2


def test_an_excess_in_one_half_alone_is_chance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        independent = rng.exponential(1.0, (2, 2_000)) - 0.5
        assert least_excess(independent, np.zeros(2_000, dtype=np.intp), 0.1)[1] == 0
    planted = rng.exponential(0.1, (2, 2_000))
    planted -= np.median(planted, axis=1, keepdims=True)
    planted[:, :40] += 3.0
    least, number, by_chance = least_excess(planted, np.zeros(2_000, dtype=np.intp), 0.1)
    assert 40 <= number <= 60
    assert by_chance <= 0.1
    assert least < 3.0


def test_the_separation_is_the_share_of_comparisons_that_are_won() -> None:
    score, is_same = np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, True, False, True])
    assert separation(score, is_same) == (1 + 0.5 + 1 + 1) / 4
    assert separation(score, is_same, np.array([0, 0, 1, 1])) == 1.0
    assert math.isnan(separation(score, np.zeros(4, dtype=bool)))


def test_what_cannot_be_compared_is_refused_or_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(PromptNotFound, match="p3"):
        similar_prompts(store, "p3")
    with pytest.raises(ConfigError, match="not among the 1 prompt that meet"):
        similar_prompts(store, "p03", where="id=p01")
    refused: dict[str, Any] = {"top": 0, "samples": 3, "max_text": 1.5, "q": 0.0, "edges": "both"}
    for name, value in refused.items():
        with pytest.raises(ConfigError, match=name):
            similar_prompts(store, **{name: value})
    with pytest.raises(ConfigError, match=r"do not fit into --memory-gb 1e-05 .* --samples 256"):
        similar_prompts(store, memory_gb=1 / 100_000)
    with pytest.raises(ConfigError, match=r"256 samples of 8 prompts need --memory-gb 0\.0002"):
        similar_prompts(store, memory_gb=1 / 100_000, samples=256)
    unknown = replace(GRAPHS[0], influence_N=np.full_like(GRAPHS[0].influence_N, np.nan), prompt_id="unknown")
    bare = random_graph("bare", density=0.0)
    mixed = make_store(str(tmp_path / "mixed"), [unknown, bare, *GRAPHS[:3]])
    found = similar_prompts(mixed, cluster=None)
    assert {*found.neighbours["prompt"]} == {graph.prompt_id for graph in GRAPHS[:3]}
    assert found.facts["prompts_without_influence"] == found.facts["prompts_without_edges"] == 1
    assert ["are left out" in found.warnings[0], "similar to no graph" in found.warnings[1]] == [True, True]
    with pytest.raises(ConfigError, match="'unknown'"):
        similar_prompts(mixed, "unknown")
    one = similar_prompts(make_store(str(tmp_path / "one"), GRAPHS[:1]))
    assert len(one.neighbours) == len(one.unlike_texts) == 0
    assert any("three prompts" in text for text in one.warnings)
