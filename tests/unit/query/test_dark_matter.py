from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from random_graphs import random_graph
from random_stores import make_store
from rounding import nearly

from distributed_tracer.graph.graph import Graph
from distributed_tracer.query.dark_matter import dark_matter


def with_errors(prompt_id: str, *share_L: float) -> Graph:
    graph = random_graph(prompt_id, num_active=5)
    return replace(graph, scores=replace(graph.scores, error_share_L=share_L))


def test_error_shares_are_averaged_by_layer_and_the_worst_prompt_is_named(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), [with_errors("b", 0.1, 0.4)], [with_errors("a", 0.3, 0.0), with_errors("c", 0.2)])
    table = dark_matter(store)
    assert list(table["layer"]) == [0, 1]
    assert list(table["prompts"]) == [3, 2]
    assert list(table["mean_error_share"]) == nearly([0.2, 0.2], 3)
    assert list(table["max_error_share"]) == [0.3, 0.4]
    assert list(table["max_prompt"]) == ["a", "b"]


def test_layers_add_up_to_the_share_of_the_prompts(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), [random_graph(f"p{i}", seed=i) for i in range(4)])
    terms = 4 * 3  # prompts and layers
    assert dark_matter(store)["mean_error_share"].sum() == nearly(store.prompts["error_share"].mean(), terms)


def test_an_empty_store_has_no_layers(tmp_path: Path) -> None:
    assert len(dark_matter(make_store(str(tmp_path)))) == 0
