"""A contrast of two sets of prompts, over stores of which it is known what is active, a node, or different."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from random_graphs import random_graph
from random_stores import make_store
from rounding import nearly

from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import ActiveTable, NodeKind, NodeTable
from distributed_tracer.mine import set_tests
from distributed_tracer.mine.contrast import ContrastResult, contrast_features
from distributed_tracer.mine.set_tests import COLUMNS
from distributed_tracer.mine.statistics import welch
from distributed_tracer.store.reader import Store

Sites = Mapping[tuple[int, int, int], tuple[float, float | None]]
"""By layer, position and feature: activation, and influence of its node, or None if it is no node."""
PLANTED, WEAKER, PRUNED, RARE = (0, 7), (1, 3), (1, 5), (0, 9)


def graph_of(prompt: str, sites: Sites, tokens: tuple[str, ...] = ("a", "b"), **metadata: Any) -> Graph:
    """A graph without edges that has exactly these active features, and those nodes."""
    base = random_graph(prompt, num_layers=2, num_positions=len(tokens), num_active=0, metadata=metadata, text=prompt)
    order = sorted(sites)
    layer, position, feature = np.array(order).reshape(-1, 3).T
    activation = np.array([sites[site][0] for site in order], dtype=np.float32)
    active = ActiveTable(layer.astype(np.int16), position.astype(np.int32), feature.astype(np.int32), activation)
    kept = np.array([sites[site][1] is not None for site in order], dtype=bool)
    selected = ActiveTable(
        *(column[kept] for column in (active.layer_A, active.position_A, active.feature_A, activation))
    )
    last = np.full(len(base.targets), len(tokens) - 1, dtype=np.int32)
    nodes = NodeTable.build(selected, 2, base.tokens_P, last)
    influence = np.zeros(len(nodes), dtype=np.float32)
    influence[nodes.where(NodeKind.FEATURE)] = [sites[site][1] for site in order if sites[site][1] is not None]
    of_rows = dict.fromkeys(
        ("row_abs_sum_N", "row_abs_sum_all_N", "row_abs_dropped_N", "constant_N"),
        np.zeros(len(nodes), dtype=np.float32),
    )
    return replace(
        base,
        **of_rows,
        nodes=nodes,
        indptr=np.zeros(len(nodes) + 1, dtype=np.int64),
        source_E=np.zeros(0, dtype=np.int32),
        weight_E=np.zeros(0, dtype=np.float32),
        influence_N=influence,
        active=active,
        token_strings=tokens,
    )


def planted(name: str, number: int, rng: np.random.Generator, **metadata: Any) -> Graph:
    """A prompt of set a has two features more strongly; one of set b has the others as often."""
    more = 1.0 if name == "a" else 0.0
    sites: dict[tuple[int, int, int], tuple[float, float | None]] = {}
    for layer in range(2):
        for feature in range(8):
            if rng.random() < 0.8:
                extra = more if (layer, feature) in (PLANTED, WEAKER) else 0.0
                strength = float(rng.exponential(0.3)) + extra
                sites[layer, int(rng.integers(0, 2)), feature] = (5 * strength, strength)
    if rng.random() < 0.5:
        sites[PRUNED[0], 0, PRUNED[1]] = (1.0, None)
    if number == 0:
        sites[RARE[0], 1, RARE[1]] = (1.0, 1.0)
    tokens = ("x" if name == "a" else "y", "z")
    return graph_of(
        f"{name}-{number}", sites, tokens, topic=f"{name}{number // 4}", number=number, pair=number // 2, **metadata
    )


RNG = np.random.default_rng(1)
GRAPHS = [planted(name, number, RNG, block=number // 8) for number in range(48) for name in "ab"]
A, B = ([f"{name}-{number}" for number in range(48)] for name in "ab")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("contrast")), GRAPHS[:50], GRAPHS[50:])


def row_of(result: ContrastResult, layer: int, feature: int) -> dict[str, Any]:
    """The row of one feature."""
    return next(row for row in result.features.rows() if (row["layer"], row["feature"]) == (layer, feature))


def same(one: ContrastResult, other: ContrastResult) -> bool:
    """Whether two results are equal bit for bit."""
    return (
        all(one.features[name].tobytes() == other.features[name].tobytes() for name in one.features.columns)
        and list(one.tokens.rows()) == list(other.tokens.rows())
        and repr((one.warnings, one.facts)) == repr((other.warnings, other.facts))
    )


@pytest.mark.parametrize("measure", ["influence", "activation"])
def test_planted_differences_are_found_and_nothing_else(store: Store, measure: Any) -> None:
    result = contrast_features(store, A, B, cluster="topic", measure=measure)
    found = {(row["layer"], row["feature"]) for row in result.found.rows()}
    assert found == {PLANTED, WEAKER}
    assert result.facts["found"] == 2
    assert (result.facts["prompts_a"], result.facts["clusters_a"], result.facts["clusters_b"]) == (48, 12, 12)
    assert result.facts["too_rare"] == 1
    assert (result.found["half_1"] > 0).all()
    assert (result.found["half_2"] > 0).all()
    assert result.facts["replicated"] > 0.5


@pytest.mark.parametrize("measure", ["influence", "activation"])
def test_values_are_zero_where_inactive_unknown_where_pruned_and_averaged_by_cluster(
    store: Store, measure: Any
) -> None:
    result = contrast_features(store, A, B, cluster="topic", measure=measure)
    for site in (PLANTED, PRUNED):
        means, present, unknown = {}, {}, {}
        for name in "ab":
            values = np.zeros((12, 4))
            fires = np.zeros((12, 4))
            for graph in (graph for graph in GRAPHS if graph.prompt_id.startswith(name)):
                place = divmod(graph.metadata["number"], 4)
                of_active = (graph.active.layer_A == site[0]) & (graph.active.feature_A == site[1])
                nodes = graph.nodes
                of_nodes = (
                    (nodes.kind_N == NodeKind.FEATURE) & (nodes.layer_N == site[0]) & (nodes.feature_N == site[1])
                )
                fires[place] = of_active.any()
                values[place] = graph.active.activation_A[of_active].astype(float).sum()
                if measure == "influence":
                    values[place] = graph.influence_N[of_nodes].astype(float).sum()
                    if of_nodes.sum() < of_active.sum():
                        values[place] = np.nan
            unknown[name], present[name] = int(np.isnan(values).sum()), fires
            with np.errstate(invalid="ignore"):
                known = ~np.isnan(values)
                means[name] = np.where(known, values, 0).sum(1) / known.sum(1)
        expected = welch(means["a"][:, None], means["b"][:, None])
        row = row_of(result, *site)
        for ours in ("mean_a", "mean_b", "difference", "low", "high", "g", "df", "t"):
            assert row[ours] == nearly(getattr(expected, ours)[0], 1000), ours
        assert row["p_welch"] == nearly(expected.p[0], 1000)
        for name in "ab":
            assert row[f"prompts_{name}"] == present[name].sum()
            assert row[f"presence_{name}"] == nearly(present[name].mean(), 100)
            assert row[f"unknown_{name}"] == unknown[name]
        assert measure == "activation" or (unknown["a"] > 0) == (site == PRUNED)
    assert any("not known" in text for text in result.warnings) == (measure == "influence")


def test_results_do_not_depend_on_the_order_of_prompts_on_parts_or_on_blocks_bit_for_bit(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = contrast_features(store, A, B, cluster="topic")
    order = np.random.default_rng(1).permutation(len(GRAPHS))
    shuffled = [GRAPHS[number] for number in order]
    other = make_store(str(tmp_path), shuffled[:9], shuffled[9:40], shuffled[40:])
    assert same(contrast_features(other, [*A[::-1], A[3]], iter(B[::-1]), cluster="topic"), expected)
    monkeypatch.setattr(set_tests, "ELEMENTS", 3 * len(GRAPHS))
    assert same(
        contrast_features(other, A, B, cluster={graph.prompt_id: graph.metadata["topic"] for graph in GRAPHS}), expected
    )
    assert not same(contrast_features(store, A, B, cluster="topic", seed=1), expected)


def test_shuffled_labels_of_clusters_find_nothing(store: Store) -> None:
    topics = sorted({graph.metadata["topic"] for graph in GRAPHS})
    found = []
    for seed in range(10):
        chosen = set(np.random.default_rng(seed).permutation(topics)[:12].tolist())
        a, b = ([g.prompt_id for g in GRAPHS if (g.metadata["topic"] in chosen) == side] for side in (True, False))
        found.append(contrast_features(store, a, b, cluster="topic", permutations=999).facts["found"])
    assert sum(found) <= 1


def test_within_pairs_the_differences_are_tested(store: Store) -> None:
    result = contrast_features(store, A, B, cluster="block", paired="pair")
    assert (result.facts["clusters_a"], result.facts["assignments"], result.facts["exact"]) == (6, 64, True)
    row, other = row_of(result, *PLANTED), contrast_features(store, A, B, cluster="block", paired="number")
    assert row["p_permutation"] == 2 / 64
    assert row["mean_a"] - row["mean_b"] == nearly(row["difference"], 100)
    assert row["difference"] == nearly(row_of(other, *PLANTED)["difference"], 1000)  # pairs are of equal size
    alone = contrast_features(store, A[:20], B[4:], paired="number")
    assert (alone.facts["prompts_a"], alone.facts["prompts_b"], alone.facts["clusters_a"]) == (16, 16, 16)
    assert any("32 prompts are left out" in text for text in alone.warnings)


def test_tokens_that_differ_are_listed_and_features_that_only_name_them_are_marked(tmp_path: Path) -> None:
    graphs = []
    for number in range(8):
        graphs.append(graph_of(f"a{number}", {(0, 0, 1): (1.0, 0.1), (0, 1, 2): (1.0, 0.1)}, ("Le", "same")))
        graphs.append(graph_of(f"b{number}", {(0, 1, 2): (2.0 + number / 9, 0.1)}, ("The", "same")))
    store = make_store(str(tmp_path), graphs)
    ids = [[graph.prompt_id for graph in graphs if graph.prompt_id[0] == name] for name in "ab"]
    result = contrast_features(store, *ids, measure="activation")
    assert [tuple(row.values()) for row in result.tokens.rows()] == [("Le", 1.0, 0.0, "a"), ("The", 0.0, 1.0, "b")]
    assert row_of(result, 0, 1)["differing_tokens"] == 1.0
    assert row_of(result, 0, 2)["differing_tokens"] == 0.0


def test_what_does_not_vary_within_the_sets_has_no_t_and_is_judged_by_presence(tmp_path: Path) -> None:
    graphs = [graph_of(f"{name}{i}", {(0, 0, 1): (1.0, 0.1)} if name == "a" else {}) for i in range(7) for name in "ab"]
    ids = [[graph.prompt_id for graph in graphs if graph.prompt_id[0] == name] for name in "ab"]
    row = row_of(contrast_features(make_store(str(tmp_path), graphs), *ids), 0, 1)
    assert np.isnan(row["p_welch"])
    assert np.isnan(row["g"])
    assert row["p_presence"] == 2 / 3432
    assert row["p"] == 2 * row["p_presence"]


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({}, "no clusters are named"),
        ({"cluster": "id"}, "each cluster has one prompt"),
        ({"cluster": "block"}, "in both sets are 6 clusters"),
        ({"cluster": "block"}, "set a has only 6 clusters"),
        ({"cluster": "num_tokens"}, "set a is one cluster, '2': nothing is tested"),
        ({"cluster": "topic", "test": "welch", "paired": "number"}, None),
        ({"cluster": "block", "test": "welch"}, "Welch's test alone"),
    ],
)
def test_what_makes_numbers_doubtful_is_said(store: Store, options: dict[str, Any], warning: str | None) -> None:
    if warning is None:  # a pair must not lie in two clusters
        with pytest.raises(ConfigError, match="the prompts of pair '0' are in the clusters 'a0', 'b0'"):
            contrast_features(store, A, B, **options)
        return
    result = contrast_features(store, A, B, **options)
    assert any(warning in text for text in result.warnings)
    assert warning in repr(result)
    if options == {"cluster": "num_tokens"}:
        assert result.facts["tested"] == len(result.found) == 0
        for name in ("p", "q", "q_by", "p_max", "p_welch", "p_permutation", "p_presence", "t", "g"):
            assert np.isnan(result.features[name]).all(), name


def test_too_few_clusters_for_any_finding_are_no_proof_of_equality(store: Store) -> None:
    ids = [
        [graph.prompt_id for graph in GRAPHS if graph.metadata["topic"] in (f"{s}0", f"{s}1", f"{s}2")] for s in "ab"
    ]
    result = contrast_features(store, *ids, cluster="topic")
    assert result.facts["found"] == 0
    assert any("finding nothing says nothing here; there are no more" in text for text in result.warnings)
    least = 2 / result.facts["assignments"]
    assert result.facts["assignments"] == 20
    assert row_of(result, *PLANTED)["p"] >= least > row_of(result, *PLANTED)["p_welch"]


def test_too_few_assignments_that_are_drawn_are_no_proof_of_equality_either(store: Store) -> None:
    few = contrast_features(store, A, B, cluster="topic", permutations=99)
    assert few.facts["found"] == 0
    assert any("finding nothing says nothing here; draw more of them (permutations)" in text for text in few.warnings)
    more = contrast_features(store, A, B, cluster="topic", permutations=999)
    assert more.facts["found"] == 2
    assert not any("says nothing" in text for text in more.warnings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster": "topics"}, "column or metadata that names a cluster 'topics'.*topic"),
        ({"cluster": {"a-0": "x"}}, "no cluster in the given mapping for 95 prompts"),
        ({"paired": "topic"}, "no pair has prompts in both sets"),
        ({"measure": "weight"}, "measure 'weight'"),
        ({"test": "t"}, "test 't'"),
        ({"q": 5}, "between 0 and 1, not 5"),
        ({"min_clusters": 0}, "min_clusters must be an integer of at least 1, not 0"),
        ({"permutations": 9.5}, "permutations must be an integer of at least 99, not 9.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(store: Store, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        contrast_features(store, A, B, **options)


def test_sets_that_overlap_are_empty_or_unknown_are_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="in both sets are 'a-0'"):
        contrast_features(store, A, [*B, "a-0"])
    with pytest.raises(ConfigError, match="set b has no prompts"):
        contrast_features(store, A, [])
    with pytest.raises(PromptNotFound):
        contrast_features(store, A, ["nobody"])


def test_graphs_that_do_not_say_what_is_inactive_are_refused(tmp_path: Path) -> None:
    graphs = [graph_of(f"p{number}", {(0, 0, 1): (1.0, 0.1)}) for number in range(6)]
    ids = [graph.prompt_id for graph in graphs]
    without = make_store(str(tmp_path / "without"), graphs, store_active=False)
    with pytest.raises(ConfigError, match="no-store-active"):
        contrast_features(without, ids[:3], ids[3:])
    nothing = [replace(graph, active=graph_of("p", {}).active) for graph in graphs]
    with pytest.raises(ConfigError, match="not known where features are inactive"):
        contrast_features(make_store(str(tmp_path / "nothing"), nothing), ids[:3], ids[3:])
    unknown = [replace(graph, influence_N=np.full_like(graph.influence_N, np.nan)) for graph in graphs]
    store = make_store(str(tmp_path / "unknown"), unknown)
    with pytest.raises(ConfigError, match="try measure='activation'"):
        contrast_features(store, ids[:3], ids[3:])
    assert len(contrast_features(store, ids[:3], ids[3:], measure="activation").features) == 1


def test_a_store_without_features_gives_an_empty_table(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), [graph_of(f"p{number}", {}) for number in range(4)])
    result = contrast_features(store, ["p0", "p1"], ["p2", "p3"])
    assert len(result.features) == len(result.found) == 0
    assert_array_equal(result.features.columns, ["layer", "feature", *COLUMNS, "differing_tokens"])


def test_the_document_describes_all_columns_and_no_others(store: Store) -> None:
    document = (Path(__file__).parents[3] / "docs" / "contrast.md").read_text(encoding="utf-8")
    section = document.partition("\n## The columns\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.split("\n") if line.startswith("| ")]
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(described) == sorted(contrast_features(store, A, B).features.columns)
