from __future__ import annotations

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
from distributed_tracer.query.prompt_vectors import prompt_vectors
from distributed_tracer.store.read import part_range
from distributed_tracer.store.reader import Store


def crowded(number: int) -> Graph:
    graph = random_graph(f"p{number}", seed=number, num_layers=2, num_positions=6, num_active=12)
    features = graph.nodes.where(NodeKind.FEATURE)
    graph.nodes.feature_N[features] %= 7
    return graph


GRAPHS = [crowded(i) for i in range(6)] + [random_graph("without", num_active=0)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("vectors")), GRAPHS[:3], GRAPHS[3:])


def dense_slowly(ids: list[str], measure: str) -> tuple[list[tuple[int, int]], list[list[float]]]:
    graphs = {graph.prompt_id: graph for graph in GRAPHS}
    found: dict[tuple[str, int, int], list[tuple[float, float]]] = {}
    for prompt in ids:
        nodes, influence_N = graphs[prompt].nodes, graphs[prompt].influence_N
        for n in nodes.where(NodeKind.FEATURE):
            key = prompt, int(nodes.layer_N[n]), int(nodes.feature_N[n])
            found.setdefault(key, []).append((float(influence_N[n]), float(nodes.activation_N[n])))
    sites = sorted({site for _, *site_ in found for site in [(site_[0], site_[1])]})

    def value(nodes: list[tuple[float, float]]) -> float:
        if measure == "influence":
            return sum(influence for influence, _ in nodes)
        return max(activation for _, activation in nodes) if measure == "activation" else float(bool(nodes))

    return sites, [[value(found[i, *s]) if (i, *s) in found else 0.0 for s in sites] for i in ids]


@pytest.mark.parametrize("most", [1, 1 << 20])
@pytest.mark.parametrize("measure", ["influence", "activation", "presence"])
def test_every_feature_of_every_graph_has_its_value(
    store: Store, monkeypatch: pytest.MonkeyPatch, measure: Any, most: int
) -> None:
    monkeypatch.setattr(part_range, "ROWS", most)
    for ids in (None, ["p4", "without", "p1"]):
        vectors = prompt_vectors(store, ids, measure)
        sites, rows = dense_slowly(ids or sorted(store), measure)
        assert vectors.ids == (ids or sorted(store))
        assert [tuple(row.values()) for row in vectors.features.rows()] == sites
        for own, expected in zip(vectors.matrix_IF.toarray().tolist(), rows, strict=True):
            assert own == [nearly(value, 12) for value in expected]
        assert vectors.matrix_IF.nnz == np.count_nonzero(rows)
        assert len(repr(vectors)) < 80


def test_similarities_are_cosines_and_the_nearest_prompts_come_first(store: Store) -> None:
    vectors = prompt_vectors(store)
    dense = vectors.matrix_IF.toarray()
    norm = np.sqrt((dense**2).sum(axis=1))
    last = vectors.ids.index("without")
    cosine = vectors.cosine()
    expected = dense @ dense.T / np.where(norm > 0, norm, 1) / np.where(norm > 0, norm, 1)[:, None]
    assert cosine.ravel().tolist() == [nearly(value, 30) for value in expected.ravel().tolist()]
    assert not cosine[last].any(), "a prompt without features is like no other, and nothing is NaN"
    found = vectors.nearest("p2", top=None)
    own = vectors.ids.index("p2")
    order = sorted((i for i in range(len(vectors.ids)) if i != own), key=lambda i: (-expected[own, i], vectors.ids[i]))
    assert found["prompt"].tolist() == [vectors.ids[i] for i in order]
    assert found["cosine"].tolist() == [nearly(expected[own, i], 30) for i in order]
    assert len(vectors.nearest("p2", top=2)) == 2


def test_influence_that_is_not_known_is_no_vector(tmp_path: Path) -> None:
    unknown = replace(crowded(1), influence_N=np.full_like(crowded(1).influence_N, np.nan))
    store = make_store(str(tmp_path), [unknown, crowded(2)])
    with pytest.raises(ConfigError, match="the influence of features is not known for 'p1': try measure='presence'"):
        prompt_vectors(store)
    assert prompt_vectors(store, "p2").ids == ["p2"]
    assert prompt_vectors(store, measure="presence").matrix_IF.nnz > 0


def test_wrong_questions_are_answered_with_what_there_is(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no measure 'weight'; there are influence, activation, presence"):
        prompt_vectors(store, measure="weight")  # type: ignore[arg-type]
    with pytest.raises(PromptNotFound, match=r"no prompt 'P2' among these 1\. Did you mean 'p2'"):
        prompt_vectors(store, "p2").nearest("P2")
    empty = prompt_vectors(make_store(str(tmp_path)))
    assert (empty.ids, len(empty.features), empty.cosine().shape) == ([], 0, (0, 0))
