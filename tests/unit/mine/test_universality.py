"""Two stores compared: what is the same is matched, what was replaced is not, and chance gives nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paired_stores import LAYERS, Site, World, graphs, permuted, random_world
from random_stores import make_store
from rounding import of_roundings
from torch import float32, float64

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine.prompt_shuffles import PromptShuffles
from distributed_tracer.mine.universality import Universality, universality
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store

NUM_PROMPTS = 60
CLUSTER = [f"c{prompt % 12}" for prompt in range(NUM_PROMPTS)]
TEMPLATE = [f"t{prompt % 2}" for prompt in range(NUM_PROMPTS)]
FIELDS: dict[str, Any] = {"subject": CLUSTER, "template": TEMPLATE}
OPTIONS: dict[str, Any] = {"cluster": "subject", "within": "template", "shuffles": 99}
WORLD = random_world(1)
REPLACED = [1, 4, 7, 13, 16, 19, 22, 25, 28, 31, 34]


def store_of(path: Path, world: World) -> Store:
    return make_store(str(path), graphs(world, **FIELDS))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_of(tmp_path_factory.mktemp("a") / "a", WORLD)


@pytest.fixture(scope="module")
def partly(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Universality, Mapping[Site, Site]]:
    """The store against a copy of other numbers in which a known share of features is replaced."""
    world, names = permuted(WORLD, 2, REPLACED)
    return universality(store, store_of(tmp_path_factory.mktemp("b") / "b", world), **OPTIONS), names


def found_matches(result: Universality) -> dict[Site, Site]:
    rows = result.matches.where(result.matches["matched"] == "yes").rows()
    return {(row["layer_a"], row["feature_a"]): (row["layer_b"], row["feature_b"]) for row in rows}


def summary(result: Universality, quantity: str) -> dict[str, Any]:
    return next(row for row in result.summary.rows() if row["quantity"] == quantity)


@pytest.mark.parametrize("measure", ["correlation", "jaccard"])
def test_a_copy_with_other_numbers_is_matched_whole_and_its_edges_are_conserved(
    measure: Any, store: Store, tmp_path: Path
) -> None:
    world, names = permuted(WORLD, 2)
    result = universality(store, store_of(tmp_path / "b", world), measure=measure, **OPTIONS)
    assert result.facts["unknown_a"] == result.facts["unknown_b"] == 0
    assert found_matches(result) == names
    assert result.facts["unmatched_a"] == result.facts["unmatched_b"] == 0
    assert summary(result, "features_a")["value"] == summary(result, "features_b")["value"] == 1
    assert summary(result, "features_a")["floor"] < 0.1
    equal = summary(result, "equal_sign")
    assert equal["value"] == equal["ceiling"] == 1 > equal["floor"]
    assert equal["p"] == 1 / (1 + OPTIONS["shuffles"])
    strong = summary(result, "strong")
    assert strong["value"] == strong["ceiling"] == 1
    assert strong["number"] == (result.edges["conserved"] == "yes").sum() > 5
    assert strong["floor"] < 0.2
    overlap = summary(result, "overlap")
    assert 0.999 < overlap["value"] <= overlap["ceiling"] == 1
    assert overlap["floor"] < 0.5
    assert overlap["halves_same"] < 1
    layers = result.layers.where(result.layers["matched"] > 0)
    assert layers["layer_a"].tolist() == layers["layer_b"].tolist() == list(range(LAYERS))


def test_the_store_against_itself_is_the_ceiling_of_1(store: Store) -> None:
    result = universality(store, store, **OPTIONS)
    assert all(a == b for a, b in found_matches(result).items())
    for row in result.summary.rows():
        assert row["value"] == row["ceiling"], row
        assert row["value"] == 1
        assert (
            np.isnan(row["halves_other"])
            or row["quantity"].startswith("features")
            or (row["halves_same"] == pytest.approx(row["halves_other"], abs=of_roundings(float64, 1_000)))
        )
    matches = result.matches
    assert (matches["mutual"] == "yes").all()
    assert (np.abs(matches["correlation"] - 1) < 2.0**-40).all()
    assert (matches["jaccard"] == 1).all()


def test_features_that_were_replaced_are_unmatched_and_all_others_are_matched(
    partly: tuple[Universality, Mapping[Site, Site]],
) -> None:
    result, names = partly
    replaced = {WORLD.site(feature) for feature in REPLACED}
    assert found_matches(result) == {a: b for a, b in names.items() if a not in replaced}
    features = {(row["store"], row["layer"], row["feature"]): row["status"] for row in result.features.rows()}
    assert all(features["a", *site] == "unmatched" and features["b", *names[site]] == "unmatched" for site in replaced)
    kept = 1 - len(REPLACED) / (LAYERS * WORLD.features_per_layer)
    assert summary(result, "features_a")["value"] == summary(result, "features_b")["value"] == kept
    interval = summary(result, "features_a")
    assert interval["low"] < kept < interval["high"]


@pytest.fixture(scope="module")
def independent(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Store, Store]]:
    """Pairs of stores over the same prompts whose features have nothing in common."""
    folder = tmp_path_factory.mktemp("independent")
    worlds = {
        f"{name}{seed}": random_world(seed + add, 30, 5, 4)
        for seed in range(8)
        for name, add in (("a", 100), ("b", 200))
    }
    stores = {name: make_store(str(folder / name), graphs(world)) for name, world in worlds.items()}
    return [(stores[f"a{seed}"], stores[f"b{seed}"]) for seed in range(8)]


def test_independent_stores_have_no_more_matches_than_the_rate_says(independent: list[tuple[Store, Store]]) -> None:
    """Each of the 8 comparisons has any match with a probability of at most 5%: four of them have with 0.04%. Of 192
    p-values, a share of 0.2 is at most 0.2; 5 standard deviations of independent ones are 0.14."""
    with_any, p_alone = 0, []
    for a, b in independent:
        result = universality(a, b, shuffles=299)
        assert result.facts["tests"] >= 11
        assert 0.05 / result.facts["tests"] > result.facts["least_p"]  # so that a single match can be found
        with_any += result.facts["matched"] > 0
        p_alone += [p for p in result.features["p_alone"].tolist() if np.isfinite(p)]
    assert with_any <= 3
    assert np.mean(np.array(p_alone) <= 0.2) < 0.34


def test_shuffling_each_position_by_itself_would_find_matches_in_independent_stores(
    independent: list[tuple[Store, Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why whole prompts are shuffled: positions of a prompt are not independent."""

    def small(by_position: bool) -> float:
        p_alone = []
        for a, b in independent:
            with monkeypatch.context() as patched:
                if by_position:
                    patched.setattr(PromptShuffles, "order", order_of_positions)
                result = universality(a, b, shuffles=99)
            p_alone += [p for p in result.features["p_alone"].tolist() if np.isfinite(p)]
        return float(np.mean(np.array(p_alone) <= 0.05))

    assert small(by_position=True) > 2 * small(by_position=False)
    assert small(by_position=True) > 0.1


def order_of_positions(shuffles: PromptShuffles, number: int) -> Any:
    """An order of prompts for each position, with the same number of positions in each prompt."""
    rng = np.random.default_rng((shuffles.seed, number))
    num_prompts, num_positions = len(shuffles.template_X), int(shuffles.num_sites_X[0])
    rows = np.stack([rng.permutation(num_prompts) for _ in range(num_positions)], axis=1)
    return (rows * num_positions + np.arange(num_positions)).reshape(-1)


def test_features_that_only_follow_the_template_are_unknown_and_match_without_templates_alone(tmp_path: Path) -> None:
    """Both stores have a feature that is active at one position of every prompt of a template."""
    world = random_world(3)
    for feature, prompts in ((0, slice(0, None, 2)), (14, slice(1, None, 2))):
        world.activation[feature] = 0.0
        world.activation[feature, prompts, 2] = 1.0
    copy, names = permuted(world, 4)
    a, b = store_of(tmp_path / "a", world), store_of(tmp_path / "b", copy)
    result = universality(a, b, **OPTIONS)
    own = {(row["layer"], row["feature"]): row for row in result.features.rows() if row["store"] == "a"}
    for site in ((0, 0), (1, 2)):
        assert own[site]["status"] == "unknown"
        assert own[site]["why_unknown"] == "the same at each position of each template"
        assert own[site]["templates_varying"] == 0
    assert {site: names[site] for site in own if own[site]["status"] == "matched"} == found_matches(result)
    without = universality(a, b, shuffles=99)
    assert found_matches(without) == names
    assert any("--within FIELD" in warning for warning in without.warnings)
    assert any("--cluster FIELD" in warning for warning in without.warnings)


def test_features_of_too_few_clusters_are_unknown_and_counted(tmp_path: Path) -> None:
    world = random_world(5)
    world.activation[3] = 0.0
    world.activation[3, :1, 2:] = 1.0
    copy, names = permuted(world, 6)
    result = universality(store_of(tmp_path / "a", world), store_of(tmp_path / "b", copy), **OPTIONS)
    rare = [row for row in result.features.rows() if row["status"] == "unknown"]
    assert [(row["store"], row["layer"], row["feature"], row["clusters"]) for row in rare] == [
        ("a", 0, 3, 1),
        ("b", *names[0, 3], 1),
    ]
    assert {row["why_unknown"] for row in rare} == {"active in too few clusters"}
    assert result.facts["unknown_a"] == summary(result, "features_a")["unknown"] == 1
    assert summary(result, "features_a")["value"] == 1


def same(one: Universality, other: Universality) -> bool:
    """Whether two results are the same bits."""
    return all(
        repr(getattr(one, name)[column].tolist()) == repr(getattr(other, name)[column].tolist())
        for name in one.COLUMNS
        for column in getattr(one, name).columns
    ) and repr((one.warnings, {**one.facts, "store_b": ""})) == repr((other.warnings, {**other.facts, "store_b": ""}))


@pytest.mark.parametrize("measure", ["correlation", "jaccard"])
def test_results_are_the_same_bits_for_any_order_of_parts_and_any_memory(
    measure: Any, store: Store, tmp_path: Path
) -> None:
    world, _ = permuted(WORLD, 2, REPLACED)
    options: dict[str, Any] = {**OPTIONS, "shuffles": 29, "measure": measure}
    expected = universality(store, store_of(tmp_path / "b", world), **options)
    shuffled = random.Random(1).sample(graphs(world, **FIELDS), NUM_PROMPTS)
    make_store(str(tmp_path / "parts"), shuffled[:7], shuffled[7:30], shuffled[30:])
    again = random.Random(2).sample(graphs(WORLD, **FIELDS), NUM_PROMPTS)
    own = make_store(str(tmp_path / "own"), again[:40], again[40:])
    assert same(expected, universality(own, open_store(str(tmp_path / "parts")), **options))
    compact(str(tmp_path / "parts"))
    assert same(expected, universality(own, open_store(str(tmp_path / "parts")), **options, memory_gb=1 / 1024))


def test_prompts_of_one_store_alone_are_left_out_and_other_texts_are_refused(store: Store, tmp_path: Path) -> None:
    world, _ = permuted(WORLD, 2)
    own = graphs(world, **FIELDS)
    extra = replace(own[0], prompt_id="extra")
    fewer = make_store(str(tmp_path / "fewer"), [*own[10:], extra])
    result = universality(store, fewer, **OPTIONS)
    assert [result.facts[f"prompts{name}"] for name in ("", "_only_a", "_only_b")] == [NUM_PROMPTS - 10, 10, 1]
    assert "10 prompts in store a alone, such as 'p000': left out" in result.warnings
    assert "1 prompt in store b alone, such as 'extra': left out" in result.warnings
    hostile = [replace(own[0], text="other \x1b[31m"), *own[1:3], replace(own[3], text="another"), *own[4:]]
    with pytest.raises(
        ConfigError, match=r"^2 prompts with different texts in the two stores: 'p000', 'p003'\. Prompts"
    ):
        universality(store, make_store(str(tmp_path / "texts"), hostile), **OPTIONS)
    alone = make_store(str(tmp_path / "alone"), [extra])
    with pytest.raises(ConfigError, match="have no prompt in common"):
        universality(store, alone, **OPTIONS)


def test_other_tokens_are_aligned_by_characters(store: Store, tmp_path: Path) -> None:
    """Store b splits each token into two, of which the second one has the activation, and begins with a BOS token."""
    world, names = permuted(WORLD, 2)
    num, prompts, positions = world.activation.shape
    split = np.zeros((num, prompts, 2 * positions + 1))
    split[:, :, 2::2] = world.activation
    texts = [[f" p{prompt:03d}-{position}" for position in range(positions)] for prompt in range(prompts)]
    tokens = [["<bos>", *(piece for text in own for piece in (text[:3], text[3:]))] for own in texts]
    b = make_store(str(tmp_path / "b"), graphs_of(replace(world, activation=split), tokens))
    result = universality(store, b, **OPTIONS)
    assert found_matches(result) == names
    assert result.facts["positions"] == prompts * positions
    assert result.facts["prompts_of_other_tokens"] == prompts
    assert any("prompts with other tokens in the two stores" in warning for warning in result.warnings)


def graphs_of(world: World, tokens: list[list[str]]) -> list[Graph]:
    """Graphs whose texts lack the first token."""
    return [replace(graph, text="".join(graph.token_strings[1:])) for graph in graphs(world, tokens, **FIELDS)]


def test_conserved_edges_are_those_of_plain_loops(
    partly: tuple[Universality, Mapping[Site, Site]], store: Store
) -> None:
    result, names = partly
    rows = {
        ((row["source_layer_a"], row["source_feature_a"]), (row["target_layer_a"], row["target_feature_a"])): row
        for row in result.edges.rows()
    }
    matched = found_matches(result)
    expected = {}
    for target, source in np.argwhere(WORLD.weight):
        ends = WORLD.site(int(source)), WORLD.site(int(target))
        last = WORLD.activation[:, :, -1] > 0
        prompts = np.flatnonzero(last[source] & last[target])
        if len(prompts) and {*ends} <= matched.keys():
            expected[ends] = {CLUSTER[prompt] for prompt in prompts}
    assert rows.keys() == expected.keys()
    for ends, row in rows.items():
        assert (row["source_layer_b"], row["source_feature_b"]) == names[ends[0]]
        assert row["clusters_a"] == row["clusters_b"] == len(expected[ends]) == row["together_a"]
        assert row["share_a"] * row["share_b"] > 0
        assert (row["conserved"] == "unknown") == (len(expected[ends]) < 3)
    strong = summary(result, "strong")
    assert strong["value"] >= 0.5 > 3 * strong["floor"]
    assert strong["p"] == 1 / (1 + OPTIONS["shuffles"])
    sources = list(rows)[:3]
    for source, target in sources:
        assert rows[source, target]["share_a"] == pytest.approx(
            mean_share(source, target), rel=of_roundings(float32, 16)
        )


def mean_share(source: Site, target: Site) -> float:
    """The mean over clusters of the mean over prompts of the share of influence that an edge passes on."""
    of_cluster: dict[str, list[float]] = {}
    for graph, cluster in zip(graphs(WORLD, **FIELDS), CLUSTER, strict=True):
        found = total = 0.0
        for begin, end, weight in graph.edges():
            share = abs(weight) / float(graph.row_abs_sum_N[end])
            total += share
            ends = [(int(graph.nodes.layer_N[node]), int(graph.nodes.feature_N[node])) for node in (begin, end)]
            if ends == [source, target]:
                found += np.copysign(share, weight)
        of_cluster.setdefault(cluster, []).append(found / total if total else 0.0)
    return float(np.mean([np.mean(values) for values in of_cluster.values()]))


def test_edges_that_were_rewired_are_no_more_conserved_than_by_chance(store: Store, tmp_path: Path) -> None:
    """All features match, but the edges of store b belong to other pairs of features."""
    world, names = permuted(WORLD, 2)
    rng = np.random.default_rng(7)
    per = world.features_per_layer
    order = np.concatenate([layer * per + rng.permutation(per) for layer in range(LAYERS)])
    rewired = replace(world, weight=world.weight[np.ix_(order, order)])
    result = universality(store, store_of(tmp_path / "b", rewired), **OPTIONS)
    assert found_matches(result) == names
    assert summary(result, "equal_sign")["p"] > 0.01
    assert summary(result, "equal_sign")["value"] < 0.4
    assert summary(result, "strong")["p"] > 0.01
    assert summary(result, "strong")["value"] < 0.3
    assert not (result.edges["conserved"] == "yes").any()


def test_settings_out_of_range_are_refused(store: Store) -> None:
    for options, message in (
        ({"measure": "cosine"}, "no measure 'cosine'"),
        ({"shuffles": 5}, "shuffles must be an integer of at least 19, not 5"),
        ({"q": 1.5}, "q is a rate between 0 and 1, not 1.5"),
        ({"min_clusters": 0}, "min_clusters must be an integer of at least 1, not 0"),
        ({"within": "nothing"}, "no metadata 'nothing'"),
        ({"memory_gb": 2.0**-20}, "--memory-gb"),
    ):
        with pytest.raises(ConfigError, match=message):
            universality(store, store, **options)  # type: ignore[arg-type]
