"""Chains through an atlas are the strongest ones of all, and are counted in the graphs as a search finds them there."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from atlas_by_dictionary import site_of
from random_graphs import random_graph
from random_stores import make_store
from results_in_batches import ResultInBatches
from rounding import of_roundings

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.columns import KINDS
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine.atlas import mine_atlas
from distributed_tracer.mine.chain_support import chain_support
from distributed_tracer.mine.chain_tables import CHAIN_COLUMNS, EDGE_COLUMNS
from distributed_tracer.mine.chains import best_chains
from distributed_tracer.mine.findings import Findings, FindingTable, mine_findings
from distributed_tracer.mine.mine_chains import mine_chains, plan_chains, strongest_chains
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import Result, open_result
from distributed_tracer.mine.sites import site_codes
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store

ROUNDING = of_roundings(torch.float64, 200)
"""For sums of a few dozen products."""
Code = int
Site = tuple[str, int, int]


def upward(graph: Graph, num_features: int = 4, num_tokens: int = 3) -> Graph:
    """The graph without edges that do not go to a later layer, and with few features and tokens, so that they recur."""
    nodes, target_E = graph.nodes, graph.target_E()
    keep = nodes.layer_N[graph.source_E] < nodes.layer_N[target_E]
    degree = np.bincount(target_E[keep], minlength=len(nodes))
    modulus_N = np.where(nodes.kind_N == 0, num_features, np.where(nodes.kind_N == 2, num_tokens, 1 << 30))
    feature_N = np.where(nodes.feature_N < 0, nodes.feature_N, nodes.feature_N % modulus_N).astype(np.int32)
    sums = np.bincount(target_E[keep], np.abs(np.nan_to_num(graph.weight_E[keep])), len(nodes))
    return replace(
        graph,
        nodes=replace(nodes, feature_N=feature_N),
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=graph.source_E[keep],
        weight_E=graph.weight_E[keep],
        row_abs_sum_N=np.where(degree > 0, 1.25 * sums, np.nan).astype(np.float32),
        targets=tuple(replace(target, token_id=number) for number, target in enumerate(graph.targets)),
    )


def graphs() -> list[Graph]:
    """Graphs whose targets are in different numbers of prompts, and some of whose weights and sums are not known."""
    sizes: Any = {"num_positions": 4, "num_active": 14, "density": 0.3}
    found = []
    for number in range(6):
        graph = upward(random_graph(f"p{number}", seed=number, **sizes))
        targets = tuple(replace(one, token_id=place + (number > 3)) for place, one in enumerate(graph.targets))
        weight_E, row_N = graph.weight_E.copy(), graph.row_abs_sum_N.copy()
        weight_E[3 + number :: 17] = [np.nan, np.inf][number % 2]
        row_N[np.flatnonzero(~np.isnan(row_N))[number]] = np.nan
        metadata = {"family": f"f{number % 3}"}
        found.append(replace(graph, targets=targets, weight_E=weight_E, row_abs_sum_N=row_N, metadata=metadata))
    return found


GRAPHS = graphs()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("chains") / "store"), GRAPHS[:2], GRAPHS[2:])


@pytest.fixture(scope="module")
def atlas(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Result:
    found = mine_atlas(store, tmp_path_factory.mktemp("chains") / "atlas", cluster="family")
    return ResultInBatches(found.path, found.info)


def code(layer: int, kind: int, feature: int) -> Code:
    return int(site_codes(np.array([layer]), np.array([kind]), np.array([feature]))[0])


def every_chain(
    atlas: Result, begin: Sequence[str], target: int | None, min_edges: int, min_prompts: int
) -> list[tuple[float, tuple[Code, ...]]]:
    """All chains of an atlas with their strengths, found by walking down from the targets."""
    sources: dict[Site, list[tuple[Site, float]]] = defaultdict(list)
    number: dict[Site, int] = {}
    for row in atlas.table("edges").rows():
        ends = [tuple(row[f"{side}_{name}"] for name in ("kind", "layer", "feature")) for side in ("source", "target")]
        count = row["prompts_row"] - (row["prompts"] - row["prompts_share"])
        number[ends[1]] = row["prompts_target"]
        if row["prompts"] >= min_prompts and count > 0:
            sources[ends[1]].append((ends[0], abs(row["sum_share"] / count)))

    def down(site: Site) -> Iterator[tuple[list[float], list[Site]]]:
        if site[0] in begin:
            yield [], [site]
        for source, share in sources[site]:
            for shares, sites in down(source):
                yield [*shares, share], [*sites, site]

    found = []
    for end in [site for site in sources if site[0] == "target" and target in (None, site[2])]:
        for shares, sites in down(end):
            product = 1.0
            for share in shares:
                product *= share
            strength = product * (number[end] / len(GRAPHS))
            if len(shares) >= min_edges and strength > 0:
                found.append((strength, tuple(code(s[1], KINDS.index(s[0]), s[2]) for s in sites)))
    return sorted(found, key=lambda chain: -chain[0])


@pytest.mark.parametrize("k", [1, 7, 60])
@pytest.mark.parametrize(
    ("begin", "target", "min_edges", "min_prompts"),
    [(("token",), None, 1, 1), (("token",), 1, 2, 2), (("token", "error"), None, 3, 1), (("feature",), None, 2, 1)],
)
def test_the_strongest_chains_are_those_of_a_search_through_all_bit_for_bit(
    atlas: Result, k: int, begin: tuple[str, ...], target: int | None, min_edges: int, min_prompts: int
) -> None:
    expected = every_chain(atlas, begin, target, min_edges, min_prompts)
    assert len(expected) > 20
    found = best_chains(atlas, k, begin, target, min_edges, min_prompts)
    assert [chain.strength for chain in found] == [strength for strength, _ in expected[:k]]
    sites_of = defaultdict(set)
    for strength, sites in expected:
        sites_of[strength].add(sites)
    for chain in found:
        assert chain.sites in sites_of[chain.strength]
        assert len(chain.shares) == len(chain.prompts) == len(chain.sites) - 1 >= min_edges
        assert math.prod(map(abs, chain.shares)) == chain.product
        assert min(chain.prompts) >= min_prompts
    assert len({chain.sites for chain in found}) == len(found)


def ways(graph: Graph, chain: Sequence[Code]) -> list[float]:
    """The shares of all ways along a chain through the nodes of one graph, NaN for one that is not known."""
    nodes = graph.nodes
    code_N = [code(*site_of(graph, node)) for node in range(len(nodes))]
    edges = {(source, target): weight for source, target, weight in graph.edges()}

    def onward(node: int, place: int) -> Iterator[float]:
        if place == len(chain) - 1:
            yield 1.0
            return
        for (source, target), weight in edges.items():
            if source != node or code_N[target] != chain[place + 1]:
                continue
            if nodes.position_N[source] <= nodes.position_N[target]:
                share = abs(float(weight)) / float(graph.row_abs_sum_N[target])
                share = share if math.isfinite(share) else math.nan
                yield from (share * rest for rest in onward(target, place + 1))

    starts = (node for node in range(len(nodes)) if code_N[node] == chain[0])
    return [share for start in starts for share in onward(start, 0)]


def test_support_and_shares_are_those_of_a_search_through_every_graph(store: Store, atlas: Result) -> None:
    chains = [chain.sites for chain in best_chains(atlas, 25, min_prompts=1)]
    supports = chain_support(choose_prompts(store, (), "family"), chains)
    assert {support.prompts for support in supports} > {0, 1}
    assert {support.prompts_unknown for support in supports} >= {0, 1}
    for chain, support in zip(chains, supports, strict=True):
        found = {graph.prompt_id: ways(graph, chain) for graph in GRAPHS}
        whole = [graph for graph in GRAPHS if found[graph.prompt_id]]
        with_target = [g for g in GRAPHS if chain[-1] in (code(*site_of(g, node)) for node in range(len(g.nodes)))]
        assert support.prompts == len(whole)
        assert support.clusters == len({graph.metadata["family"] for graph in whole})
        assert support.prompts_target == len(with_target)
        assert support.clusters_target == len({graph.metadata["family"] for graph in with_target})
        assert support.prompts_unknown == sum(math.isnan(sum(found[graph.prompt_id])) for graph in whole)
        values = defaultdict(list)
        for graph in with_target:
            if not math.isnan(value := sum(found[graph.prompt_id])):
                values[graph.metadata["family"]].append(value)
        means = [sum(own) / len(own) for own in values.values()]
        assert support.share == pytest.approx(sum(means) / len(means), rel=ROUNDING)
        assert math.isnan(support.low) == (len(set(means)) == 1)
        assert math.isnan(support.low) or 0 <= support.low < support.share < support.high


def test_the_same_bits_come_of_any_order_of_parts_and_any_size_of_reads(
    store: Store, atlas: Result, tmp_path: Path
) -> None:
    expected = strongest_chains(store, atlas, 20, min_prompts=1)
    chains = [chain.sites for chain in best_chains(atlas, 20, min_prompts=1)]
    few, many = (chain_support(choose_prompts(store, (), "family"), chains, rows) for rows in (1, 1 << 20))
    assert repr(few) == repr(many)
    for name, parts in (("shuffled", (GRAPHS[3:], GRAPHS[1:3], GRAPHS[:1])), ("compacted", (GRAPHS[4:], GRAPHS[:4]))):
        other = make_store(str(tmp_path / name), *parts)
        if name == "compacted":
            compact(str(tmp_path / name))
            other = open_store(str(tmp_path / name))
        again = strongest_chains(
            other, mine_atlas(other, tmp_path / f"{name}-atlas", cluster="family"), 20, min_prompts=1
        )
        for table in ("chains", "edges"):
            columns = getattr(expected, table)
            for column in columns.columns:
                values = getattr(again, table)[column]
                assert values.tolist() == columns[column].tolist() or values.tobytes() == columns[column].tobytes()


def with_edges(graph: Graph, weights: dict[tuple[int, int], float]) -> Graph:
    """The graph with these edges instead of its own; the sum of each row is that of its edges."""
    order = sorted(weights, key=lambda edge: (edge[1], edge[0]))
    target_E = np.array([target for _, target in order])
    degree = np.bincount(target_E, minlength=len(graph.nodes))
    weight_E = np.array([weights[edge] for edge in order], dtype=np.float32)
    sums = np.bincount(target_E, np.abs(weight_E), len(graph.nodes))
    return replace(
        graph,
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=np.array([source for source, _ in order], dtype=np.int32),
        weight_E=weight_E,
        row_abs_sum_N=np.where(degree > 0, sums, np.nan).astype(np.float32),
    )


def places(graph: Graph, kind: int, layer: int) -> list[int]:
    """The nodes of a kind in a layer, by position."""
    return np.flatnonzero((graph.nodes.kind_N == kind) & (graph.nodes.layer_N == layer)).tolist()


def chain_graph(number: int, weights: Sequence[float]) -> tuple[Graph, list[int]]:
    """A graph with noise, and a chain of one token, features of layers 0 and 1 and a target with these weights."""
    graph = upward(random_graph(f"q{number}", seed=number, num_positions=3, num_active=9, density=0.4))
    graph = replace(graph, metadata={"family": f"f{number // 2}"})
    nodes = graph.nodes
    feature_N = nodes.feature_N.copy()
    sites = [places(graph, 2, -1)[0], places(graph, 0, 0)[0], places(graph, 0, 1)[-1], places(graph, 3, 3)[0]]
    for node, name in zip(sites[:3], (777, 888, 999), strict=True):
        feature_N[node] = name
    graph = replace(graph, nodes=replace(nodes, feature_N=feature_N))
    edges = {(s, t): 0.01 * float(np.nan_to_num(w)) for s, t, w in graph.edges()}
    for edge, weight in zip(itertools.pairwise(sites), weights, strict=True):
        edges.pop(edge, None)
        if weight:
            edges[edge] = weight
    return with_edges(graph, edges), sites


CHAIN = (code(-1, 2, 777), code(0, 0, 888), code(1, 0, 999), code(3, 3, 0))


def made(tmp_path: Path, graphs: Sequence[Graph], name: str = "s") -> tuple[Store, Result]:
    own = make_store(str(tmp_path / name), graphs)
    return own, mine_atlas(own, tmp_path / f"{name}-atlas", cluster="family")


def test_a_planted_chain_is_found_first_with_the_prompts_and_clusters_that_have_it(tmp_path: Path) -> None:
    graphs = [chain_graph(number, (2.0, -1.5, 3.0))[0] for number in range(6)]
    found = strongest_chains(*made(tmp_path, graphs), 5)
    first = next(found.chains.rows())
    assert best_chains(made(tmp_path, graphs, "t")[1], 1)[0].sites == CHAIN
    assert (first["edges"], first["sign"], first["prompts"], first["clusters"]) == (3, -1, 6, 3)
    assert "0:888 → 1:999" in first["path"]
    assert 0.8 < first["mean_share"] / first["product_of_shares"] < 1.25
    assert first["low"] < first["mean_share"] < first["high"]
    edges = found.edges.where(found.edges["chain"] == 1)
    assert edges["source_feature"].tolist() == [777, 888, 999]
    assert edges["target_kind"].tolist() == ["feature", "feature", "target"]
    assert edges["step"].tolist() == [1, 2, 3]


def test_a_chain_whose_edges_come_from_different_prompts_is_whole_in_none_and_a_warning_says_so(tmp_path: Path) -> None:
    graphs = [chain_graph(number, (5.0, 0.0, 5.0) if number % 2 else (0.0, 5.0, 0.0))[0] for number in range(6)]
    store, atlas = made(tmp_path, graphs)
    found = strongest_chains(store, atlas, 1)
    row = next(found.chains.rows())
    assert best_chains(atlas, 1)[0].sites == CHAIN
    assert row["product_of_shares"] > 0.05
    assert row["prompts"] == row["clusters"] == row["mean_share"] == 0
    assert math.isnan(row["low"])
    assert found.facts["whole_in_a_graph"] == 0
    assert any("whole in no graph" in text for text in found.warnings)


def test_a_chain_that_goes_back_in_position_does_not_count(tmp_path: Path) -> None:
    graphs = [chain_graph(number, (2.0, 2.0, 2.0))[0] for number in range(3)]
    first, second = chain_graph(0, (2.0, 2.0, 2.0))[1][:2]
    assert graphs[0].nodes.position_N[second] < 2
    position_N = graphs[0].nodes.position_N.copy()
    position_N[first] = 2  # the token now stands after the feature that it is an input of
    moved = replace(graphs[0], nodes=replace(graphs[0].nodes, position_N=position_N))
    for number, (first_graph, count) in enumerate(((graphs[0], 3), (moved, 2))):
        store = make_store(str(tmp_path / str(number)), [first_graph, *graphs[1:]])
        assert chain_support(choose_prompts(store, (), None), [CHAIN])[0].prompts == count


@pytest.mark.parametrize("weight", [np.inf, np.nan])
def test_a_share_that_is_not_known_is_counted_and_left_out_of_the_mean(weight: float, tmp_path: Path) -> None:
    graphs = [chain_graph(number, (2.0, weight if not number else 2.0, 2.0))[0] for number in range(4)]
    store = make_store(str(tmp_path / "s"), graphs)
    found = chain_support(choose_prompts(store, (), None), [CHAIN])[0]
    assert (found.prompts, found.prompts_unknown, found.prompts_target) == (4, 1, 4)
    known = [sum(ways(graph, CHAIN)) for graph in graphs[1:]]
    assert found.share == pytest.approx(sum(known) / 3, rel=ROUNDING)


def test_other_prompts_than_those_of_the_atlas_confirm_a_chain_or_do_not(tmp_path: Path) -> None:
    graphs = [chain_graph(number, (3.0, 3.0, 3.0) if number < 4 else (0.0, 0.0, 0.0))[0] for number in range(6)]
    store = make_store(str(tmp_path / "s"), graphs)
    atlas = mine_atlas(store, tmp_path / "a", where=["family<=f1"], cluster="family")
    same, other = (strongest_chains(store, atlas, 1, where=where) for where in (None, "family>=f2"))
    assert (same.facts["prompts"], other.facts["prompts"]) == (4, 2)
    assert same.facts["prompts_of_the_atlas"]
    assert not other.facts["prompts_of_the_atlas"]
    assert same.chains["prompts"].tolist() == [4]
    assert other.chains["prompts"].tolist() == [0]
    assert other.facts["with_their_target"] == 1
    assert sum("same prompts" in text for text in (*same.warnings, *other.warnings)) == 1
    elsewhere = [replace(one, token_id=40 + place) for place, one in enumerate(graphs[0].targets)]
    third = make_store(str(tmp_path / "t"), [replace(graphs[0], targets=tuple(elsewhere))])
    found = strongest_chains(third, atlas, 1)
    assert math.isnan(found.chains["mean_share"][0])
    assert (found.facts["with_their_target"], found.chains["prompts_target"].tolist()) == (0, [0])
    assert any("a target that no graph" in text for text in found.warnings)


def test_chains_become_a_result_that_says_what_its_columns_mean(store: Store, atlas: Result, tmp_path: Path) -> None:
    plan = plan_chains(store, atlas, 5, min_prompts=1)
    assert "5 chains of an average graph of " in plan.describe()
    result = mine_chains(plan, tmp_path / "out")
    found = strongest_chains(store, atlas, 5, min_prompts=1)
    assert result.table("chains")["path"].tolist() == found.chains["path"].tolist()
    assert result.table("edges")["source_kind"].tolist() == found.edges["source_kind"].tolist()
    assert result.describe("chains")["column"].tolist() == list(CHAIN_COLUMNS)
    assert result.describe("edges")["column"].tolist() == list(EDGE_COLUMNS)
    assert result.facts == found.facts
    assert mine_chains(plan, tmp_path / "out").info == open_result(tmp_path / "out").info
    for other in ({"min_edges": 1}, {"cluster": "family", "where": ["family=f1"]}):
        with pytest.raises(ConfigError):
            mine_chains(plan_chains(store, atlas, 5, min_prompts=1, **other), tmp_path / "out")


def test_what_cannot_be_answered_is_refused_by_name(store: Store, atlas: Result, tmp_path: Path) -> None:
    for options, says in (
        ({"k": 0}, "number of chains must be at least 1"),
        ({"begin": "target"}, "kind of node that a chain may begin with"),
        ({"target": 12345}, "no chain from token to the target with token id 12345"),
        ({"target": "nonsense"}, "nonsense"),
        ({"min_edges": 0}, "number of edges"),
        ({"min_prompts": 99}, "no chain from token to a target"),
        ({"k": 100_000, "memory_gb": 0.02}, "--memory-gb"),
        ({"where": "family=none"}, "no prompt of"),
    ):
        with pytest.raises(ConfigError, match=says):
            strongest_chains(store, atlas, **options)
    other = mine_findings(
        tmp_path / "other", "pairs", choose_prompts(store, (), None), {}, lambda: Findings({"t": FindingTable({}, {})})
    )
    with pytest.raises(ConfigError, match="not an atlas"):
        best_chains(other, 1)
    down = make_store(str(tmp_path / "down"), [random_graph("a", seed=1)])
    with pytest.raises(ConfigError, match="do not go to a later layer"):
        best_chains(mine_atlas(down, tmp_path / "down-atlas"), 1)
