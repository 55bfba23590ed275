"""Differences of targets against targets that are differences, and path sums against all paths one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_graphs import finite, random_graph, with_edges_upwards
from rounding import nearly, of_tiny_model
from tiny import CASES

from distributed_tracer import Prompt, TargetSpec, TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.target_difference import path_sums, target_difference


def upward(seed: int = 0) -> Graph:
    graph = with_edges_upwards(finite(random_graph("up", seed=seed, num_active=14, num_positions=3, density=0.6)))
    return replace(graph, row_abs_sum_N=1 + graph.row_abs_sum_N)


def test_the_direct_difference_is_the_row_of_a_target_that_is_the_difference() -> None:
    case = CASES / "llama_relu_plt"
    model, transcoders = load_model(str(case / "model")), load_transcoders(str(case / "transcoders"))
    targets = (TargetSpec(token=7), TargetSpec(token=9), TargetSpec(token=7, minus=9))
    prompt = Prompt(id="p", text="Fact: the capital", targets=targets)
    graph = attribute(prompt, model, transcoders, TraceConfig(None))
    found = target_difference(graph, 0, 1)
    sources, weights = graph.row(int(graph.nodes.where(NodeKind.TARGET)[2]))
    expected = np.zeros(len(graph.nodes))
    expected[sources] = weights
    difference = np.zeros(len(graph.nodes))
    difference[found["node"]] = found["direct_difference"]
    np.testing.assert_allclose(difference, expected, rtol=0, atol=of_tiny_model(graph.weight_E))
    assert np.abs(expected).max() > 100 * of_tiny_model(graph.weight_E)
    assert np.abs(found["share"]).sum() == nearly(1.0, len(found))
    paths = np.zeros(len(graph.nodes))
    paths[found["node"]] = found["paths_difference"]
    assert np.abs(paths).max() > 100 * of_tiny_model(graph.weight_E)
    whole = path_sums(graph, int(graph.nodes.where(NodeKind.TARGET)[2]))
    np.testing.assert_allclose(paths, whole, rtol=0, atol=3 * of_tiny_model(graph.weight_E))


def walked(graph: Graph, node: int, factor: float, is_last: bool, sums: np.ndarray, into: np.ndarray) -> None:
    """Add what each path to `node` carries to its first node."""
    for source, weight in zip(*graph.row(node), strict=True):
        carried = factor * float(weight) / (1.0 if is_last else sums[node])
        into[source] += carried
        walked(graph, int(source), carried, False, sums, into)


@pytest.mark.parametrize("seed", range(3))
def test_path_sums_are_sums_over_all_paths(seed: int) -> None:
    graph = upward(seed)
    whole = graph.row_abs_sum_N.astype(float)
    stored = np.bincount(graph.target_E(), np.abs(graph.weight_E.astype(float)), len(graph.nodes))
    for node in graph.nodes.where(NodeKind.TARGET):
        for rows, sums in (("whole", whole), ("stored", stored)):
            expected = np.zeros(len(graph.nodes))
            walked(graph, int(node), 1.0, True, sums, expected)
            assert path_sums(graph, int(node), rows).tolist() == nearly(expected.tolist(), 1000)
            assert (expected < 0).any()


def test_rows_are_the_nodes_with_an_effect_in_the_order_that_is_asked_for() -> None:
    graph = upward(1)
    first, second = (int(node) for node in graph.nodes.where(NodeKind.TARGET))
    found = target_difference(graph, 0, 1)
    assert found.columns[:6] == ["node", "kind", "layer", "position", "feature", "name"]
    a, b = (dict(zip(*(part.tolist() for part in graph.row(node)), strict=True)) for node in (first, second))
    for row in found.rows():
        node = row["node"]
        assert (row["direct_a"], row["direct_b"]) == (a.get(node, 0.0), b.get(node, 0.0))
        assert row["direct_difference"] == row["direct_a"] - row["direct_b"]
        assert row["paths_difference"] == row["paths_a"] - row["paths_b"]
        assert row["name"] == graph.node_label(node)
        assert row["kind"] == ("feature", "error", "token", "target")[graph.nodes.kind_N[node]]
    sizes = np.abs(found["direct_difference"]).tolist()
    assert sizes == sorted(sizes, reverse=True)
    assert {*a, *b} <= {*found["node"].tolist()}
    assert not {first, second} & {*found["node"].tolist()}
    by_paths = np.abs(target_difference(graph, 0, 1, by="paths")["paths_difference"]).tolist()
    assert by_paths == sorted(by_paths, reverse=True)
    assert by_paths != np.abs(found["paths_difference"]).tolist()
    swapped = target_difference(graph, 1, 0)
    assert swapped["direct_difference"].tolist() == (-found["direct_difference"]).tolist()


def test_targets_are_named_by_number_or_label() -> None:
    labels = (" Austin", " Dallas")
    graph = upward()
    targets = tuple(replace(target, label=label) for target, label in zip(graph.targets, labels, strict=True))
    graph = replace(graph, targets=targets)
    found = target_difference(graph, 0, 1)["share"].tolist()
    for a, b in ((" Austin", " Dallas"), ("Austin", 1), (np.int64(0), "Dallas")):
        assert target_difference(graph, a, b)["share"].tolist() == found
    with pytest.raises(ConfigError, match="no target 'Austen'; there are ' Austin', ' Dallas'"):
        target_difference(graph, "Austen", 0)
    with pytest.raises(ConfigError, match="target 2 is not among the 2 of 'up', counted from 0"):
        target_difference(graph, 0, 2)
    with pytest.raises(ConfigError, match="a target must be an integer, not"):
        target_difference(graph, 0, 1.5)
    same = replace(graph, targets=tuple(replace(target, label=" Austin") for target in targets))
    with pytest.raises(ConfigError, match="2 targets of 'up' have the label ' Austin': give the number of one"):
        target_difference(same, "Austin", 0)


def test_sums_that_are_not_known_are_not_guessed() -> None:
    graph = upward()
    imported = replace(graph, row_abs_sum_N=np.full_like(graph.row_abs_sum_N, np.nan))
    with pytest.raises(ConfigError, match=r"of 'up' are not known, because the sums of \d+ of its rows are not"):
        target_difference(imported, 0, 1)
    assert len(target_difference(imported, 0, 1, rows="stored"))
    with pytest.raises(ConfigError, match="no way to normalise rows 'all'"):
        target_difference(graph, 0, 1, rows="all")
    with pytest.raises(ConfigError, match="no order of differences 'size'"):
        target_difference(graph, 0, 1, by="size")
    with pytest.raises(RuntimeError, match="cycle"):
        target_difference(finite(random_graph(density=0.5)), 0, 1, rows="stored")


def test_a_target_differs_from_itself_by_nothing() -> None:
    found = target_difference(upward(), 0, 0)
    assert not found["direct_difference"].any()
    assert np.isnan(found["share"]).all()
    assert found["paths_a"].any()
