"""Roles and pathways: planted ones are found, data without structure give none, and nothing depends on the parts."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from community_results import HOSTILE, Chosen, write_communities
from planted_graphs import Edges, planted_graph
from random_stores import make_store
from rounding import nearly
from scipy.sparse import coo_array
from scipy.stats import binom, chisquare, hypergeom

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine.cluster_edges import ClusterEdges
from distributed_tracer.mine.communities import (
    Communities,
    find_communities,
    mine_communities,
    plan_communities,
)
from distributed_tracer.mine.community_enrichment import enrichment, smallest_rates
from distributed_tracer.mine.community_labels import (
    community_features,
    community_groups,
    features_by_community,
    write_labels,
)
from distributed_tracer.mine.community_runs import find_levels, largest_of, max_p
from distributed_tracer.mine.community_settings import CommunitySettings
from distributed_tracer.mine.leiden import leiden, modularity
from distributed_tracer.mine.partition_likeness import best_matches, membership_information, rand_index
from distributed_tracer.mine.pathway_graph import pathway_graph
from distributed_tracer.mine.role_graph import role_graph
from distributed_tracer.mine.shuffled_edges import SHUFFLES, shuffled, swapped
from distributed_tracer.mine.statistics import q_values
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store

pytest.importorskip("graspologic_native")
NUM_GROUPS, NUM_CLUSTERS = 6, 36
ROLES = CommunitySettings(resolutions=(1.0, 4.0), neighbours=8, bootstraps=6, shuffles=29)


def role_edges(rng: np.random.Generator, groups: list[int]) -> Edges:
    """Edges of features of some roles: 4 in layer 1 and 4 in layer 2, fed by 6 features of layer 0, and feeding 6 of
    layer 3. No edge joins two features of a role."""
    found: Edges = {}
    for group in groups:
        for layer, member in itertools.product((1, 2), range(4)):
            site = layer, 10 * group + member
            for end in range(6):
                if rng.random() < 0.6:
                    found[(0, 10 * group + end), site] = float(rng.lognormal(0, 0.3))
                if rng.random() < 0.6:
                    found[site, (3, 10 * group + end)] = float(rng.lognormal(0, 0.3)) * (-1) ** end
    return found | noise(rng, 15)


def path_edges(rng: np.random.Generator, groups: list[int]) -> Edges:
    """Edges within some pathways: 4 features in each layer, joined to those of the next; and inhibition of the next
    pathway, which is stronger."""
    found: Edges = {}
    for group in groups:
        for layer, (a, b) in itertools.product(range(3), itertools.product(range(4), repeat=2)):
            if rng.random() < 0.6:
                found[(layer, 10 * group + a), (layer + 1, 10 * group + b)] = float(rng.lognormal(0, 0.3))
            if rng.random() < 0.4:
                other = (group + 1) % NUM_GROUPS
                found[(layer, 10 * group + a), (layer + 1, 10 * other + b)] = -3 * float(rng.lognormal(0, 0.3))
    return found | noise(rng, 20)


def noise(rng: np.random.Generator, count: int) -> Edges:
    """Weak edges between any features of two layers."""
    found: Edges = {}
    for _ in range(count):
        low, high = sorted(rng.choice(4, 2, replace=False).tolist())
        ends = [(layer, int(10 * rng.integers(0, NUM_GROUPS) + rng.integers(0, 6))) for layer in (low, high)]
        found[ends[0], ends[1]] = float(0.3 * rng.lognormal(0, 0.5) * rng.choice([-1, 1]))
    return found


def graphs_of(make: Any, seed: int = 0) -> list[Graph]:
    rng = np.random.default_rng(seed)
    found = []
    for cluster in range(NUM_CLUSTERS):
        groups = sorted({cluster % NUM_GROUPS, *rng.integers(0, NUM_GROUPS, cluster % 3 // 2).tolist()})
        metadata = {"topic": f"topic {cluster}", "about": f"group {cluster % NUM_GROUPS}"}
        found += [
            planted_graph(f"p{cluster:02d}-{number}", [1, 2 + cluster % NUM_GROUPS], make(rng, groups), **metadata)
            for number in range(1 + cluster % 2)
        ]
    return found


ROLE_GRAPHS, PATH_GRAPHS = graphs_of(role_edges), graphs_of(path_edges)


@pytest.fixture(scope="module")
def role_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("roles") / "store"), ROLE_GRAPHS[:20], ROLE_GRAPHS[20:])


@pytest.fixture(scope="module")
def roles(role_store: Store) -> Communities:
    return find_communities(plan_communities(role_store, "roles", cluster="topic", settings=ROLES))


@pytest.fixture(scope="module")
def path_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("paths") / "store"), PATH_GRAPHS)


def agreement(found: Communities, level: int, layers: tuple[int, ...]) -> float:
    """The adjusted Rand index between a partition and the planted groups, of the features of some layers."""
    rows = [
        row
        for row in found.members.rows()
        if row["level"] == level and row["layer"] in layers and row["feature"] % 10 < 4
    ]
    one, other = (np.array([of(row) for row in rows]) for of in (_community, _group))
    return rand_index(one, other)


def _community(row: dict[str, Any]) -> int:
    return int(row["community"])


def _group(row: dict[str, Any]) -> int:
    return int(row["feature"]) // 10


def test_planted_roles_are_found_though_no_edge_joins_their_features(roles: Communities) -> None:
    assert agreement(roles, 1, (1, 2)) == 1.0
    found: dict[int, list[dict[str, Any]]] = {group: [] for group in range(NUM_GROUPS)}
    for row in roles.communities.rows():
        members = {(m["layer"], m["feature"]) for m in roles.members.rows() if m["community"] == row["community"]}
        assert len(members) == row["size"]
        for group in range(NUM_GROUPS):
            if {(layer, 10 * group + member) for layer in (1, 2) for member in range(4)} <= members:
                found[group].append(row)
    for group, rows in found.items():
        (best,) = sorted(rows, key=lambda row: row["verdict"] == "significant")[-1:]
        assert best["verdict"] == "significant", best
        assert best["p_identity"] <= 0.05
        assert best["stability"] > 0.7
        assert best["layer_information"] < 0.5
        values = {one["value"] for one in roles.enrichment.rows() if one["community"] == best["community"]}
        assert f"group {group}" in values
    levels = [*roles.levels.rows()]
    assert levels[1]["z_identity"] > 5
    assert levels[1]["ari"] > 0.6


def test_planted_pathways_are_found_and_inhibition_between_them_is_reported(path_store: Store) -> None:
    found = find_communities(plan_communities(path_store, "pathways", cluster="topic", settings=ROLES))
    assert agreement(found, 0, (0, 1, 2, 3)) > 0.95
    own = found.communities.where(found.communities["level"] == 0)
    assert (own["verdict"] == "significant").sum() >= NUM_GROUPS - 1
    groups: dict[int, Counter[int]] = {}
    for row in found.members.rows():
        groups.setdefault(row["community"], Counter())[_group(row)] += 1
    group_of = {community: counts.most_common(1)[0][0] for community, counts in groups.items()}
    strongest = max(
        (row for row in found.between.rows() if row["level"] == 0 and row["source"] != row["target"]),
        key=lambda row: row["negative"],
    )
    assert group_of[strongest["target"]] == (group_of[strongest["source"]] + 1) % NUM_GROUPS
    assert strongest["inhibition"] > 0.9


def test_pathways_do_not_see_roles(role_store: Store) -> None:
    """They find what a role is fed by, the role, and what it feeds: features of all layers. The role alone, in layers 1
    and 2, has no edge."""
    found = find_communities(plan_communities(role_store, "pathways", cluster="topic", settings=ROLES))
    layers: dict[int, set[int]] = {}
    for row in found.members.rows():
        if row["level"] == 0:
            layers.setdefault(row["community"], set()).add(row["layer"])
    assert [layers[community] for community in range(NUM_GROUPS)] == [{0, 1, 2, 3}] * NUM_GROUPS


def test_rescaled_transcoders_change_nothing(role_store: Store, roles: Communities, tmp_path: Path) -> None:
    """A larger encoder of a feature makes every edge into it larger by the same factor."""

    def rescaled(edges: Edges) -> Edges:
        return {pair: weight * 2.0 ** (sum(pair[1]) % 9 - 4) for pair, weight in edges.items()}

    graphs = graphs_of(lambda rng, groups: rescaled(role_edges(rng, groups)))
    store = make_store(str(tmp_path / "store"), graphs)
    other = find_communities(plan_communities(store, "roles", cluster="topic", settings=ROLES))
    for name in Communities.COLUMNS:
        assert [*map(str, getattr(other, name).rows())] == [*map(str, getattr(roles, name).rows())], name


def test_bytes_do_not_depend_on_parts_or_passes(role_store: Store, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    other = make_store(str(tmp_path / "other"), ROLE_GRAPHS[30:], ROLE_GRAPHS[:7][::-1], ROLE_GRAPHS[7:30])
    digests = []
    settings = CommunitySettings((1.0,), 8, bootstraps=2, shuffles=2)
    for name, store, memory_gb in (("a", role_store, 2.0), ("b", other, 2.0), ("c", other, 3 / 1000)):
        if name == "c":
            compact(other.url)
            store = open_store(other.url)
        plan = plan_communities(store, "roles", cluster="topic", memory_gb=memory_gb, settings=settings)
        result = mine_communities(plan, tmp_path / f"result-{name}")
        digests.append({path: digest for path, (_, digest) in result.info["files"].items()})
    assert digests[0] == digests[1] == digests[2]


def test_too_little_memory_and_too_few_features_are_refused(role_store: Store) -> None:
    with pytest.raises(ConfigError, match=r"edges in clusters do not fit into 0\.0001 GB: give more with --memory-gb"):
        find_communities(plan_communities(role_store, "roles", cluster="topic", memory_gb=1 / 10_000))
    few = CommunitySettings(min_clusters=37)
    with pytest.raises(ConfigError, match=r"0 features of \d+ are nodes in at least 37 clusters of 36"):
        find_communities(plan_communities(role_store, "roles", cluster="topic", settings=few))
    with pytest.raises(ConfigError, match=r"resolutions must ascend, not \[2\.0, 1\.0\]"):
        CommunitySettings(resolutions=(2.0, 1.0))
    with pytest.raises(ConfigError, match="shuffles must be at least 0, not -1"):
        CommunitySettings(shuffles=-1)


def test_a_missing_package_is_named_before_any_work(role_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graspologic_native", None)
    with pytest.raises(ConfigError, match=r"need graspologic-native: pip install 'distributed-tracer\[communities\]'"):
        plan_communities(role_store, "roles")


def test_communities_become_labels_and_groups(role_store: Store, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    plan = plan_communities(role_store, "roles", cluster="topic", settings=ROLES)
    result = mine_communities(plan, tmp_path / "result")
    features = community_features(result)
    assert len(features) == len({(row["layer"], row["feature"]) for row in features.rows()})
    assert write_labels(result, tmp_path / "labels.csv") == len(features)
    assert (tmp_path / "labels.csv").read_text().startswith("layer,index,text\n")
    graph = role_store["p00-0"]
    groups = community_groups(result, graph, level=1)
    community_of = {(row["layer"], row["feature"]): row["community"] for row in features.rows()}
    assert groups
    for group in groups:
        assert len({community_of[key.layer, key.feature] for key in group.members}) == 1
    with pytest.raises(ConfigError, match=r"has the levels \[0, 1\], not 2"):
        community_features(result, 2)


def test_communities_are_called_by_kind_and_number(role_store: Store, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    coarse, fine = Chosen(0, "same", [(1, 0), (2, 0), (1, 1)]), Chosen(1, "same", [(1, 0), (2, 0)])
    result = write_communities(role_store, tmp_path / "a", [coarse, fine, Chosen(1, HOSTILE, [(1, 1)], "unstable")])
    assert features_by_community(result) == {"role 0: same": [(1, 1)], "role 1: same": [(1, 0), (2, 0)]}
    assert features_by_community(result, 1, every=True) == {
        "role 1: same": [(1, 0), (2, 0)],
        f"role 2: {HOSTILE}": [(1, 1)],
    }
    none = write_communities(role_store, tmp_path / "b", [Chosen(0, "weak", [(1, 0)], "a layer")])
    with pytest.raises(ConfigError, match="has no communities to use: none of them is significant"):
        features_by_community(none)


def random_edges_of_clusters(rng: np.random.Generator, num_clusters: int = 30, size: int = 40) -> ClusterEdges:
    """Edges without structure: each cluster has features at random, some of which are more frequent, and edges between
    them at random."""
    layer_N = np.repeat(np.arange(4, dtype=np.int16), size)
    frequency_N = rng.beta(1, 3, len(layer_N))
    rows = []
    for cluster in range(num_clusters):
        active = np.flatnonzero(rng.random(len(layer_N)) < frequency_N)
        source, target = (rng.choice(active, 6 * len(active)) for _ in "ab")
        pairs = {(a, b) for a, b in zip(source.tolist(), target.tolist(), strict=True) if layer_N[a] < layer_N[b]}
        rows += [(a, b, cluster) for a, b in pairs]
    source_E, target_E, cluster_E = (np.array(column, dtype=np.int32) for column in zip(*rows, strict=True))
    share_E = rng.lognormal(0, 1, len(rows)) * rng.choice([-1, 1], len(rows))
    nodes = np.arange(len(layer_N)), layer_N, np.zeros(len(layer_N), dtype=np.int8)
    edges = ClusterEdges(source_E, target_E, cluster_E, share_E, *nodes, len(layer_N), num_clusters)
    return edges.replaced(source_E, target_E)


def rates(repetitions: int, kind: str) -> dict[str, int]:
    """In how many repetitions any community of data without structure has a p of at most 0.05."""
    settings = CommunitySettings((4.0,), neighbours=8, seeds=1, bootstraps=0, shuffles=19)
    make = partial(role_graph, neighbours=8) if kind == "roles" else pathway_graph
    found = Counter[str]()
    for repetition in range(repetitions):
        edges = random_edges_of_clusters(np.random.default_rng((7, repetition)), 15, 25)
        (level,) = find_levels(edges, make, settings)
        for shuffle in SHUFFLES:
            found[shuffle] += bool(np.nanmin(level.p_values(shuffle), initial=1.0) <= 0.05)
    return found


@pytest.mark.slow
def test_data_without_structure_give_no_significant_role_above_the_rate() -> None:
    found = rates(20, "roles")
    most = int(binom.ppf(0.999, 20, 0.05))
    assert all(found[shuffle] <= most for shuffle in SHUFFLES), found


@pytest.mark.slow
def test_data_without_structure_give_no_significant_pathway_above_the_rate() -> None:
    found = rates(20, "pathways")
    most = int(binom.ppf(0.999, 20, 0.05))
    assert all(found[shuffle] <= most for shuffle in SHUFFLES), found


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["roles", "pathways"])
def test_the_rate_holds_over_many_repetitions(kind: str) -> None:
    found = rates(100, kind)
    most = int(binom.ppf(0.999, 100, 0.05))
    assert all(found[shuffle] <= most for shuffle in SHUFFLES), found


def test_p_of_the_best_of_many_communities_is_rarely_small_if_all_runs_are_alike() -> None:
    rng, hits, repetitions = np.random.default_rng(0), 0, 400
    for _ in range(repetitions):
        runs = [
            [(int(rng.integers(1, 6)), float(value)) for value in rng.random(int(rng.integers(1, 20)))]
            for _ in range(20)
        ]
        hits += bool(max_p([largest_of(run) for run in runs], runs).min() <= 0.05)
    assert hits <= binom.ppf(0.999, repetitions, 0.05)
    strong = [[(3, 2.0)], *runs[1:]]
    assert max_p([largest_of(run) for run in strong], strong).min() == 1 / 20


def margins(edges: ClusterEdges) -> tuple[Counter[Any], Counter[Any]]:
    """How often each feature is in a cluster, and how many features of each layer each cluster has."""
    ends = {
        (cluster, node)
        for side in (edges.source_E, edges.target_E)
        for cluster, node in zip(edges.cluster_E.tolist(), side.tolist(), strict=True)
    }
    return Counter(node for _, node in ends), Counter((cluster, int(edges.layer_N[node])) for cluster, node in ends)


def test_shuffled_names_keep_how_often_features_occur_and_how_many_a_cluster_has() -> None:
    edges = random_edges_of_clusters(np.random.default_rng(3))
    other = shuffled(edges, "identity", np.random.default_rng(1))
    assert margins(other) == margins(edges)
    assert sorted(other.share_E.tolist()) == sorted(edges.share_E.tolist())
    assert (other.source_E != edges.source_E).mean() > 0.5


def test_shuffled_ends_keep_the_degrees_of_each_feature_between_two_layers_in_a_cluster() -> None:
    def degrees(of: ClusterEdges) -> Counter[Any]:
        layer = of.layer_N.tolist()
        ends = zip(of.source_E.tolist(), of.target_E.tolist(), of.cluster_E.tolist(), strict=True)
        found = Counter[Any]()
        for source, target, cluster in ends:
            found["out", source, layer[target], cluster] += 1
            found["in", target, layer[source], cluster] += 1
        return found

    edges = random_edges_of_clusters(np.random.default_rng(4))
    other = shuffled(edges, "edges", np.random.default_rng(1))
    assert degrees(other) == degrees(edges)
    pairs = [{*zip(of.source_E.tolist(), of.target_E.tolist(), of.cluster_E.tolist())} for of in (edges, other)]  # noqa: B905
    assert len(pairs[0] & pairs[1]) < 0.5 * len(pairs[0])


def test_swaps_reach_every_table_of_the_same_margins_equally_often() -> None:
    cluster, node = np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 0, 2, 1, 2])
    rng, drawn = np.random.default_rng(0), Counter[Any]()
    for _ in range(1200):
        found = swapped(cluster, node, 3, rng)
        drawn[frozenset(zip(cluster.tolist(), found.tolist(), strict=True))] += 1
    tables = {
        frozenset(zip(cluster.tolist(), order, strict=True))
        for order in itertools.permutations(node.tolist())
        if len({*zip(cluster.tolist(), order, strict=True)}) == len(node)
    }
    assert drawn.keys() == tables
    assert chisquare([*drawn.values()]).pvalue > 1 / 1000


def test_leiden_is_reproducible_and_finds_cliques() -> None:
    blocks = np.kron(np.eye(4), np.ones((5, 5))) - np.eye(20)
    blocks[4, 5] = blocks[5, 4] = 1.0
    graph = coo_array(np.pad(blocks, ((0, 1), (0, 1)))).tocsr()
    label = leiden(graph, 1.0, 3)
    assert label.tolist() == [*np.repeat(range(4), 5).tolist(), -1]
    assert (leiden(graph, 1.0, 3) == label).all()
    total = blocks.sum()
    degrees = [blocks[label[:20] == one].sum() for one in range(4)]
    assert modularity(graph, label, 1.0) == nearly(80 / total - sum((one / total) ** 2 for one in degrees), 100)


def test_the_rand_index_equals_that_of_counting_pairs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(-1, 3, (2, 12))
        own = [np.where(label < 0, 100 + np.arange(12), label) for label in (one, other)]
        pairs = [[a == b for a, b in itertools.combinations(label.tolist(), 2)] for label in own]
        both, ones, others = (sum(map(all, zip(*pairs, strict=True))), *map(sum, pairs))
        expected = ones * others / len(pairs[0])
        most = (ones + others) / 2
        assert rand_index(one, other) == nearly(1.0 if most == expected else (both - expected) / (most - expected), 100)


def test_a_community_that_is_a_layer_is_known_by_its_layer() -> None:
    layer = np.repeat(range(4), 10)
    label = np.where(layer == 2, 0, np.arange(40) % 2 + 1)
    known = membership_information(label, layer, 3)
    assert known[0] == nearly(1.0, 100)
    assert known[1] < 0.5


def test_matches_count_only_nodes_that_are_present() -> None:
    label, other = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, -1, 1, 1])
    overlap, match = best_matches(label, other, np.array([True, True, True, False, True, True]))
    assert overlap.tolist() == nearly([2 / 3, 2 / 3], 100)
    assert match.tolist() == [0, 1]


def test_enrichment_equals_the_hypergeometric_distribution_and_counts_all_tests() -> None:
    acts = coo_array(np.array([[1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0]], dtype=float)).tocsr()
    has = coo_array(np.array([[1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 1, 0, 1, 1, 1, 0]], dtype=float)).tocsr()
    table, tests = enrichment(acts, [("a", "x"), ("a", "y")], has, 1.0)
    assert tests == 4
    first = next(iter(table.rows()))
    assert (first["community"], first["value"], first["clusters_both"]) == (0, "x", 3)
    assert first["p"] == nearly(float(hypergeom.sf(2, 8, 3, 3)), 100)
    p = np.array([0.01, 0.04, 0.03])
    assert smallest_rates(p, 6) == nearly(q_values(np.concatenate([p, np.ones(3)]))[:3], 100)
