from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store
from rounding import nearly

from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.compare_groups import compare_groups
from distributed_tracer.store.read import part_range
from distributed_tracer.store.reader import Store


def crowded(number: int) -> Graph:
    """A graph of few different features at many positions; those of odd prompts have other numbers more often."""
    graph = random_graph(f"p{number}", seed=number, num_layers=2, num_positions=6, num_active=30)
    features = graph.nodes.where(NodeKind.FEATURE)
    graph.nodes.feature_N[features] %= 7 + 2 * (number % 2)
    return graph


GRAPHS = [crowded(i) for i in range(9)]
A, B = ["p1", "p3", "p5", "p7"], ["p0", "p2", "p8"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("groups")), GRAPHS[:4], GRAPHS[4:], [random_graph("p3", seed=77)])


def counted_slowly(ids: list[str]) -> dict[tuple[int, int], dict[str, float]]:
    nodes_of: dict[tuple[int, int], list[tuple[str, float, float]]] = defaultdict(list)
    for graph in GRAPHS:
        if graph.prompt_id in ids:
            nodes = graph.nodes
            for n in nodes.where(NodeKind.FEATURE):
                site = int(nodes.layer_N[n]), int(nodes.feature_N[n])
                nodes_of[site].append((graph.prompt_id, float(graph.influence_N[n]), float(nodes.activation_N[n])))
    return {
        site: {
            "prompts": len({prompt for prompt, _, _ in found}),
            "share": len({prompt for prompt, _, _ in found}) / len(ids),
            "influence": sum(influence for _, influence, _ in found) / len(ids),
            "activation": sum(activation for _, _, activation in found) / len(found),
        }
        for site, found in nodes_of.items()
    }


NOTHING = {"prompts": 0, "share": 0.0, "influence": 0.0, "activation": math.nan}


@pytest.mark.parametrize("most", [1, 1 << 20])
def test_features_of_two_groups_are_counted_and_averaged(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(part_range, "ROWS", most)
    expected = {"a": counted_slowly(A), "b": counted_slowly(B)}
    table = compare_groups(store, [*A, A[0]], iter(B))
    assert {(row["layer"], row["feature"]) for row in table.rows()} == expected["a"].keys() | expected["b"].keys()
    assert len(table) == len(expected["a"].keys() | expected["b"].keys()) > len(expected["b"])
    for row in table.rows():
        site = row["layer"], row["feature"]
        for group, of in expected.items():
            for measure, value in of.get(site, NOTHING).items():
                shown = row[f"{measure}_{group}"]
                assert shown == nearly(value, 200) or (math.isnan(shown) and math.isnan(value))
        assert row["share_difference"] == row["share_a"] - row["share_b"]
        assert row["influence_difference"] == row["influence_a"] - row["influence_b"]


@pytest.mark.parametrize("by", ["share", "influence"])
def test_the_largest_differences_come_first(store: Store, by: Any) -> None:
    table = compare_groups(store, A, B, by=by)
    sizes = np.abs(table[f"{by}_difference"])
    assert (np.diff(sizes) <= 0).all()
    assert sizes[0] > sizes[-1]
    top = compare_groups(store, A, B, by=by, top=3)
    assert repr(list(top.rows())) == repr(list(table.rows())[:3])


def test_the_other_way_round_the_differences_have_the_other_sign(store: Store) -> None:
    one, other = compare_groups(store, A, B), compare_groups(store, B, A)
    assert one["feature"].tolist() == other["feature"].tolist()
    assert one["share_difference"].tolist() == (-other["share_difference"]).tolist()


def test_influence_that_is_not_known_is_not_compared(tmp_path: Path) -> None:
    unknown = replace(crowded(1), influence_N=np.full_like(crowded(1).influence_N, np.nan))
    store = make_store(str(tmp_path), [unknown, crowded(2)])
    table = compare_groups(store, "p1", "p2")
    assert np.isnan(table["influence_difference"]).any()
    assert not np.isnan(table["share_difference"]).any()
    with pytest.raises(ConfigError, match="the influence of features is not known for some of these graphs: try by="):
        compare_groups(store, "p1", "p2", by="influence")


def test_groups_that_cannot_be_compared_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"in both groups are 'p0', 'p1', 'p2' and 1 more: leave them out of one"):
        compare_groups(store, ["p0", "p1", "p2", "p3"], ["p3", "p2", "p1", "p0", "p4"])
    with pytest.raises(ConfigError, match="group b has no prompts"):
        compare_groups(store, A, [])
    with pytest.raises(PromptNotFound, match="no prompt 'nope'"):
        compare_groups(store, A, "nope")
    with pytest.raises(ConfigError, match=r"no order 'shares'; there are share, influence. Did you mean 'share'"):
        compare_groups(store, A, B, by="shares")  # type: ignore[arg-type]
    bare = make_store(str(tmp_path), [random_graph("a", num_active=0), random_graph("b", num_active=0)])
    assert len(compare_groups(bare, "a", "b")) == 0
