"""A contrast of edges equals one by dictionaries, finds what is planted, and says what graphs without a row cannot."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from atlas_by_dictionary import Site
from edge_sets import NAMES, TARGET, Edge, edge_graph, share_means, values_of
from numpy.testing import assert_array_equal
from random_stores import make_store
from rounding import nearly, round_off

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.columns import KINDS
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine import edge_values, set_tests, spill
from distributed_tracer.mine.contrast import contrast_features
from distributed_tracer.mine.contrast_edges import OF_TARGET, EdgeContrastResult, contrast_edges
from distributed_tracer.mine.set_tests import COLUMNS
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store

FEATURE = int(NodeKind.FEATURE)
PLANTED: Edge = ((1, FEATURE, 1), (0, FEATURE, 0))
ONLY_A: Site = (1, FEATURE, 2)
SITES: list[Site] = [(layer, FEATURE, feature) for layer in range(2) for feature in range(3)]
EDGES: list[Edge] = [(target, source) for target in [*SITES[3:], TARGET] for source in SITES[:3]]


def planted(number: int, name: str, rng: np.random.Generator) -> Graph:
    """A prompt of set a has one edge more strongly, one of set b lacks a feature."""
    more, without = ({PLANTED: 4.0}, []) if name == "a" else ({}, [ONLY_A])
    return edge_graph(f"{name}-{number}", rng, more, without=without, topic=number // 3, pair=number)


RNG = np.random.default_rng(3)
GRAPHS = [planted(number, name, RNG) for number in range(30) for name in "ab"]
A, B = ([f"{name}-{number}" for number in range(30)] for name in "ab")
OPTIONS: dict[str, Any] = {
    "cluster": {graph.prompt_id: f"{graph.prompt_id[0]}{graph.metadata['topic']}" for graph in GRAPHS}
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("edges")), GRAPHS[:25], GRAPHS[25:])


@pytest.fixture(scope="module")
def result(store: Store) -> EdgeContrastResult:
    return contrast_edges(store, A, B, **OPTIONS, permutations=999)


def rows_of(result: EdgeContrastResult) -> dict[Edge, dict[str, Any]]:
    """The rows by edge."""
    return {
        tuple((row[f"{side}_layer"], KINDS.index(row[f"{side}_kind"]), row[f"{side}_feature"]) for side in SIDES): row
        for row in result.edges.rows()
    }


SIDES = ("target", "source")


def same(one: EdgeContrastResult, other: EdgeContrastResult) -> bool:
    """Whether two results are equal bit for bit."""
    return (
        all(
            one.edges[name].tolist() == other.edges[name].tolist()
            if one.edges[name].dtype == object
            else one.edges[name].tobytes() == other.edges[name].tobytes()
            for name in one.edges.columns
        )
        and list(one.tokens.rows()) == list(other.tokens.rows())
        and repr((one.warnings, one.facts)) == repr((other.warnings, other.facts))
    )


def test_means_presence_and_bounds_are_those_of_dictionaries_bit_for_bit(result: EdgeContrastResult) -> None:
    rows = rows_of(result)
    clusters: dict[Edge, set[str]] = {}
    for graph in GRAPHS:
        for edge in values_of(graph)[0]:
            clusters.setdefault(edge, set()).add(OPTIONS["cluster"][graph.prompt_id])
    assert rows.keys() == {edge for edge, names in clusters.items() if len(names) >= 3}
    assert result.facts["too_rare"] == len(clusters) - len(rows)
    seen = set()
    for edge, row in rows.items():
        for name in "ab":
            expected = share_means([graph for graph in GRAPHS if graph.prompt_id[0] == name], edge, "topic")
            for of, value in expected.items():
                assert_array_equal(row[f"{of}_{name}"], value, err_msg=f"{edge} {of}_{name}")
                seen.add((of, np.isnan(value), value == 0))
            assert row[f"rows_{name}"] == 30 - expected["unknown"]
    assert {("mean", False, False), ("mean", True, False), ("unknown", False, True), ("unknown", False, False)} <= seen
    assert {("missing", False, False), ("presence", False, True)} <= seen


def test_an_edge_is_tested_if_enough_clusters_of_both_sets_together_have_it(store: Store) -> None:
    clusters: dict[Edge, set[str]] = {}
    prompts: dict[Edge, int] = {}
    for graph in GRAPHS:
        for edge in values_of(graph)[0]:
            clusters.setdefault(edge, set()).add(OPTIONS["cluster"][graph.prompt_id])
            prompts[edge] = prompts.get(edge, 0) + 1
    enough = {edge for edge, names in clusters.items() if len(names) >= 17}
    assert enough < {edge for edge, number in prompts.items() if number >= 17}
    assert rows_of(contrast_edges(store, A, B, **OPTIONS, permutations=99, min_clusters=17)).keys() == enough


def test_a_planted_edge_is_found_by_its_share_and_a_target_of_one_set_by_presence_alone(
    result: EdgeContrastResult,
) -> None:
    found = {edge for edge, row in rows_of(result).items() if row["q"] <= 0.05}
    rows = rows_of(result)
    assert PLANTED in found
    assert rows[PLANTED]["p_welch"] < 0.01
    others = found - {PLANTED}
    assert all(ONLY_A in edge or edge[0] == PLANTED[0] for edge in others)  # shares of one row add up
    into = [edge for edge in others if edge[0] == ONLY_A]
    assert into
    for edge in into:
        assert np.isnan(
            [rows[edge][name] for name in ("mean_b", "difference", "g", "p_welch", "p_permutation", "p_max")]
        ).all()
        assert rows[edge]["p"] == 2 * rows[edge]["p_presence"]
        assert rows[edge]["row_share_b"] == 0
    assert result.facts["found_by_presence_alone"] == len(into)
    assert any(f"{len(into)} edges are found by presence alone" in text for text in result.warnings)
    assert any("an absent edge counts as 0" in text for text in result.warnings)


def test_results_depend_neither_on_order_parts_and_compaction_nor_on_memory_and_blocks(
    store: Store, result: EdgeContrastResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = np.random.default_rng(1).permutation(len(GRAPHS))
    shuffled = [GRAPHS[number] for number in order]
    url = str(tmp_path / "other")
    other = make_store(url, shuffled[:9], shuffled[9:40], shuffled[40:])
    assert same(contrast_edges(other, A[::-1], iter(B[::-1]), **OPTIONS, permutations=999), result)
    compact(url)
    monkeypatch.setattr(set_tests, "ELEMENTS", 7 * len(GRAPHS))
    plan = edge_values.AtlasPlan(100, 50)
    monkeypatch.setattr(edge_values.AtlasPlan, "of", lambda *_: plan)
    num_records = sum(len(graph.nodes) + len(graph.source_E) for graph in GRAPHS)
    monkeypatch.setattr(spill, "PARTITION_RECORDS", num_records // 5)
    assert same(contrast_edges(open_store(url), A, B, **OPTIONS, permutations=999, folder=tmp_path), result)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert not same(contrast_edges(store, A, B, **OPTIONS, permutations=999, seed=1), result)


def test_within_pairs_a_row_counts_where_both_prompts_have_it(store: Store) -> None:
    result = contrast_edges(store, A, B, cluster="topic", paired="pair")
    assert (result.facts["clusters_a"], result.facts["assignments"], result.facts["exact"]) == (10, 1024, True)
    row = rows_of(result)[PLANTED]
    by_pair: dict[int, dict[str, float]] = {}
    for graph in GRAPHS:
        weight, rows = values_of(graph)
        if PLANTED[0] in rows:
            share = weight.get(PLANTED, 0.0) / rows[PLANTED[0]][0]
            if np.isfinite(share):
                by_pair.setdefault(graph.metadata["pair"], {})[graph.prompt_id[0]] = share
    topics: dict[int, list[float]] = {}
    for pair, sides in by_pair.items():
        if len(sides) == 2:
            topics.setdefault(pair // 3, []).append(sides["a"] - sides["b"])
    expected = np.mean([np.mean(differences) for differences in topics.values()])
    assert row["difference"] == nearly(expected, 1000)
    assert row["clusters_a"] == row["clusters_b"] == len(topics)
    assert row["p_permutation"] < 0.01


def test_edges_that_only_read_other_words_are_marked(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    graphs = [
        edge_graph(f"{name}{number}", rng, tokens=(token, 3, 3), awkward=False, keep=1.0)
        for number in range(8)
        for name, token in (("a", 0), ("b", 1))
    ]
    ids = [[graph.prompt_id for graph in graphs if graph.prompt_id[0] == name] for name in "ab"]
    result = contrast_edges(make_store(str(tmp_path), graphs), *ids, permutations=999)
    assert {row["token"]: row["only_in"] for row in result.tokens.rows()} == {NAMES[0]: "a", NAMES[1]: "b"}
    rows = rows_of(result)
    for edge, row in rows.items():
        assert row["source_token"] == (NAMES[edge[1][2]] if edge[1][1] == NodeKind.TOKEN else "")
        assert row["target_token"] == (" T" if edge[0] == TARGET else "")
        if edge[1] in ((-1, NodeKind.TOKEN, 0), (-1, NodeKind.TOKEN, 1)):
            assert row["differing_tokens"] == 1
        if edge == (TARGET, (-1, NodeKind.TOKEN, 3)):
            assert row["differing_tokens"] == 0
    assert any(0 < row["differing_tokens"] < 1 for row in rows.values())
    of_names = [row for edge, row in rows.items() if edge[1][:2] == (-1, NodeKind.TOKEN) and edge[1][2] < 2]
    found = sum(row["q"] <= 0.05 for row in of_names)
    assert found > 0
    assert result.facts["found_at_differing_tokens"] >= found


def test_complete_rows_lack_nothing_and_no_warning_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    graphs = [edge_graph(f"{name}{number}", rng, awkward=False) for number in range(8) for name in "ab"]
    ids = [[graph.prompt_id for graph in graphs if graph.prompt_id[0] == name] for name in "ab"]
    result = contrast_edges(make_store(str(tmp_path), graphs), *ids, permutations=99)
    for name in "ab":
        missing = result.edges[f"missing_{name}"]
        assert missing[~np.isnan(missing)].max() < round_off(torch.float32, 30)
    assert not any("absent edge" in text or "not known" in text for text in result.warnings)


def test_shuffled_labels_of_clusters_find_nothing(store: Store) -> None:
    topics = sorted({*OPTIONS["cluster"].values()})
    found = []
    for seed in range(6):
        chosen = {*np.random.default_rng(seed).permutation(topics)[:10].tolist()}
        sets = [[id_ for id_, name in OPTIONS["cluster"].items() if (name in chosen) == side] for side in (True, False)]
        found.append(contrast_edges(store, *sets, **OPTIONS, permutations=999).facts["found"])
    assert sum(found) <= 1


def test_stores_that_differ_by_cluster_alone_show_nothing_unless_clusters_are_ignored(tmp_path: Path) -> None:
    with_clusters: list[int] = []
    without: list[int] = []
    for number in range(4):
        rng = np.random.default_rng(100 + number)
        graphs = []
        for topic in range(16):
            more = {edge: float(rng.normal(0.0, 3.0)) for edge in EDGES}
            lacks = [site for site in SITES if rng.random() < 0.5]
            own = [edge_graph(f"{topic}-{one}", rng, more, without=lacks, topic=topic) for one in range(8)]
            graphs += own
        store = make_store(str(tmp_path / str(number)), graphs)
        ids = [[graph.prompt_id for graph in graphs if (graph.metadata["topic"] < 8) == side] for side in (True, False)]
        for cluster, counts in (("topic", with_clusters), (None, without)):
            counts.append(contrast_edges(store, *ids, cluster=cluster, permutations=1_999).facts["found"])
            of_features = contrast_features(store, *ids, cluster=cluster, permutations=1_999, measure="activation")
            counts.append(of_features.facts["found"])
    assert sum(found > 0 for found in with_clusters) <= 1  # of 8 contrasts
    assert min(np.array(without).reshape(4, 2).sum(0)) > 4, (without, with_clusters)


def test_sets_without_common_edges_give_an_empty_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    store = make_store(str(tmp_path), [edge_graph(f"p{number}", rng, keep=0.0) for number in range(4)])
    result = contrast_edges(store, ["p0", "p1"], ["p2", "p3"])
    assert len(result.edges) == len(result.found) == 0
    assert result.edges.columns[8:] == [*COLUMNS, *OF_TARGET, "differing_tokens"]


def test_too_little_memory_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="memory must be at least"):
        contrast_edges(store, A, B, memory_gb=0.01)


def test_the_document_describes_the_columns_of_edges(result: EdgeContrastResult) -> None:
    document = (Path(__file__).parents[3] / "docs" / "contrast.md").read_text(encoding="utf-8")
    section = document.partition("\n## The columns of edges\n")[2].partition("\n## ")[0]
    described = [
        name
        for line in section.split("\n")
        if line.startswith("| ")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert sorted([*described, *COLUMNS]) == sorted(result.edges.columns)
