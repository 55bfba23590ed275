from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from random_graphs import random_graph
from random_stores import make_store
from rounding import nearly

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.feature_counts import feature_counts

GRAPHS = [random_graph(f"p{i}", seed=i, num_layers=2, num_positions=30, num_active=900, density=0.0) for i in range(6)]


def counted_slowly(graphs: list[Graph]) -> dict[tuple[int, int], tuple[int, int, float, float]]:
    """(layer, feature) -> prompts, nodes, mean influence over prompts, mean activation over nodes."""
    influence: dict[tuple[int, int], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    activations: dict[tuple[int, int], list[float]] = defaultdict(list)
    for graph in graphs:
        for n in graph.nodes.where(NodeKind.FEATURE):
            key = (int(graph.nodes.layer_N[n]), int(graph.nodes.feature_N[n]))
            influence[key][graph.prompt_id] += float(graph.influence_N[n])
            activations[key].append(float(graph.nodes.activation_N[n]))
    return {
        key: (len(found), len(activations[key]), sum(found.values()) / len(found), float(np.mean(activations[key])))
        for key, found in influence.items()
    }


def test_features_are_counted_over_prompts_of_all_parts(tmp_path: Path) -> None:
    table = feature_counts(make_store(str(tmp_path), GRAPHS[:2], GRAPHS[2:5], GRAPHS[5:]))
    expected = counted_slowly(GRAPHS)
    assert len(table) == len(expected)
    assert max(table["nodes"]) > max(table["prompts"]) > 1
    for row in table.rows():
        prompts, nodes, influence, activation = expected[row["layer"], row["feature"]]
        assert (row["prompts"], row["nodes"]) == (prompts, nodes)
        assert (row["mean_influence"], row["mean_activation"]) == (nearly(influence, nodes), nearly(activation, nodes))
    order = [(-row["prompts"], -row["mean_influence"]) for row in table.rows()]
    assert order == sorted(order)


def test_top_rows_are_the_first_rows_and_parts_do_not_matter(tmp_path: Path) -> None:
    one = make_store(str(tmp_path / "one"), GRAPHS)
    many = make_store(str(tmp_path / "many"), *([graph] for graph in reversed(GRAPHS)))
    top, everything = feature_counts(one, top=7), feature_counts(many)
    assert len(top) == 7
    assert list(zip(top["layer"], top["feature"], strict=True)) == list(
        zip(everything["layer"][:7], everything["feature"][:7], strict=True)
    )


def test_a_prompt_written_twice_counts_once(tmp_path: Path) -> None:
    once = feature_counts(make_store(str(tmp_path / "once"), GRAPHS[:2]))
    twice = feature_counts(make_store(str(tmp_path / "twice"), GRAPHS[:2], GRAPHS[:1]))
    assert once["prompts"].tolist() == twice["prompts"].tolist()


def test_a_store_without_features_gives_an_empty_table(tmp_path: Path) -> None:
    assert len(feature_counts(make_store(str(tmp_path / "a")))) == 0
    assert len(feature_counts(make_store(str(tmp_path / "b"), [random_graph(num_active=0)]))) == 0
