from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_graphs import AWKWARD, random_graph
from random_stores import make_store

from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.format.digest import graph_digest

GRAPHS = [random_graph(f"p{i}", seed=i) for i in range(5)]


def test_the_digest_is_of_the_content_not_of_how_it_was_written(store_url: str, tmp_path: Path) -> None:
    one = make_store(store_url, GRAPHS[:3], GRAPHS[3:])
    other = make_store(str(tmp_path / "other"), *([graph] for graph in reversed(GRAPHS)))
    assert one.digest() == other.digest()
    assert one.digest() != make_store(str(tmp_path / "less"), GRAPHS[:4]).digest()


def test_the_digest_of_an_empty_store_exists(tmp_path: Path) -> None:
    assert make_store(str(tmp_path)).digest() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def with_first(values: np.ndarray, value: float) -> np.ndarray:
    changed = values.copy()
    changed[0] = value
    return changed


CHANGES: dict[str, Callable[[Graph], Graph]] = {
    "id": lambda g: replace(g, prompt_id="else"),
    "text": lambda g: replace(g, text="else"),
    "no text": lambda g: replace(g, text=None),
    "metadata": lambda g: replace(g, metadata={"a": 1}),
    "token": lambda g: replace(g, tokens_P=with_first(g.tokens_P, -5)),
    "weight sign of zero": lambda g: replace(g, weight_E=with_first(g.weight_E, 0.0)),
    "edge": lambda g: replace(g, source_E=with_first(g.source_E, 1 - min(1, g.source_E[0]))),
    "constant": lambda g: replace(g, constant_N=with_first(g.constant_N, 9.0)),
    "active": lambda g: replace(g, active=replace(g.active, activation_A=with_first(g.active.activation_A, 9.0))),
    "target": lambda g: replace(g, targets=(replace(g.targets[0], label="x"), *g.targets[1:])),
    "target number": lambda g: replace(g, targets=tuple(reversed(g.targets))),
    "score": lambda g: replace(g, scores=replace(g.scores, closing_error=1.0)),
    "error share": lambda g: replace(g, scores=replace(g.scores, error_share_L=(0.0,) * 3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_graph_changes_the_digest(change: str) -> None:
    changed = CHANGES[change](GRAPHS[0])
    assert graph_digest(changed) != graph_digest(GRAPHS[0])
    assert graph_digest(GRAPHS[0]) == graph_digest(replace(GRAPHS[0]))


def test_bytes_that_move_from_one_column_to_the_next_change_the_digest() -> None:
    one, other = random_graph("ab", text="c"), random_graph("a", text="bc")
    assert graph_digest(one) != graph_digest(other)


def test_metadata_count_as_an_object_not_as_text() -> None:
    one = random_graph(metadata={"a": 1, "b": 2})
    other = random_graph(metadata={"b": 2, "a": 1})
    assert graph_digest(one) == graph_digest(other)


def test_awkward_graphs_have_different_digests() -> None:
    assert len({graph_digest(graph) for graph in AWKWARD.values()}) == len(AWKWARD)
