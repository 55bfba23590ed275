"""The map of prompts: planted circuits are apart, noise is not, and places are those of the formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from planted_graphs import Edges, planted_graph, random_edges
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine import prompt_map as module
from distributed_tracer.mine.edge_shares import read_edge_shares
from distributed_tracer.mine.prompt_map import PromptMap, prompt_map
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.scan import find_sites
from distributed_tracer.store.reader import Store

CIRCUITS: tuple[Edges, ...] = tuple(
    {
        ((layer, 900 + 10 * number + step), (layer + 1, 900 + 10 * number + step)): 2.0
        for layer in (0, 1)
        for step in (0, 1)
    }
    for number in (0, 1)
)


def graphs(count: int, circuits: Sequence[Edges], seed: int = 0, own: int = 12) -> list[Graph]:
    """Return graphs of random edges, with the circuits in turn. Texts and ids say nothing of the circuit."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        edges = random_edges(rng, own) | (circuits[number % len(circuits)] if circuits else {})
        found.append(
            planted_graph(f"p{(7 * number) % count:03d}", rng.integers(0, 9, 5).tolist(), edges, group=number % 2)
        )
    return found


def stored(tmp_path: Path, made: list[Graph], *, part: int = 1000) -> Store:
    return make_store(str(tmp_path / "store"), *(made[first : first + part] for first in range(0, len(made), part)))


def group_of(made: Sequence[Graph], found: PromptMap) -> npt.NDArray[np.intp]:
    groups = {graph.prompt_id: graph.metadata["group"] for graph in made}
    return np.array([groups[id_] for id_ in found.ids])


def separation(place_I2: Any, group_I: Any) -> float:
    """Return the distance of two groups' means / the mean distance of a point from its own group's mean."""
    means = [place_I2[group_I == group].mean(axis=0) for group in (0, 1)]
    spread = np.mean([np.linalg.norm(place_I2[group_I == group] - means[group], axis=1).mean() for group in (0, 1)])
    return float(np.linalg.norm(means[0] - means[1]) / spread)


def vectors(store: Store) -> npt.NDArray[np.float64]:
    """Return the roots of all shares of edges, dense, by prompt in the order of ids."""
    prompts = choose_prompts(store, (), None)
    found: dict[tuple[int, int], float] = {}
    for shares in read_edge_shares(prompts, find_sites(prompts, 10_000)[0], 10_000):
        triples = zip(shares.rank_X.tolist(), shares.key_X.tolist(), shares.share_X.tolist(), strict=True)
        found |= {(rank, key): share for rank, key, share in triples}
    keys = {key: column for column, key in enumerate(sorted({key for _, key in found}))}
    dense = np.zeros((len(prompts), len(keys)))
    for (rank, key), share in found.items():
        dense[rank, keys[key]] = np.sqrt(share)
    return dense


def distances(place_IX: Any) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.linalg.norm(place_IX[:, None] - place_IX[None], axis=2)
    return found


def test_the_prompts_of_two_planted_circuits_are_apart(tmp_path: Path) -> None:
    made = graphs(40, CIRCUITS)
    found = prompt_map(stored(tmp_path, made))
    assert sorted(found.ids) == list(found.ids)
    group_I = group_of(made, found)
    x_I = found.place_I2[:, 0]
    assert max(x_I[group_I == 0].max(), x_I[group_I == 1].max()) > 0 > min(x_I.min(), -1e-9)
    assert x_I[group_I == 0].min() > x_I[group_I == 1].max() or x_I[group_I == 1].min() > x_I[group_I == 0].max()
    assert separation(found.place_I2, group_I) > 4
    assert found.share_2[0] > 3 * found.share_2[1]


def test_a_store_without_structure_shows_no_separation_and_says_how_little_it_holds(tmp_path: Path) -> None:
    made = graphs(40, ())
    found = prompt_map(stored(tmp_path, made))
    group_I = group_of(made, found)
    own = separation(found.place_I2, group_I)
    rng = np.random.default_rng(0)
    shuffled = [separation(found.place_I2, rng.permutation(group_I)) for _ in range(199)]
    assert own <= np.quantile(shuffled, 0.995)
    assert found.share_2.sum() < 3 * 2 / (len(made) - 1)
    assert found.neighbours_kept < 0.6


def test_distances_of_three_prompts_are_those_of_their_shares(tmp_path: Path) -> None:
    store = stored(tmp_path, graphs(3, CIRCUITS))
    found, dense = prompt_map(store), vectors(store)
    np.testing.assert_allclose(distances(found.place_I2), distances(dense), rtol=1e-9)
    np.testing.assert_allclose(found.share_2.sum(), 1.0, rtol=1e-9)
    assert found.share_of_all == pytest.approx(1.0, rel=1e-9)
    assert found.num_neighbours == 1
    assert found.neighbours_kept == 1.0


@pytest.mark.parametrize("dense_limit", [module._DENSE, 3])
def test_places_are_principal_components(dense_limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DENSE", dense_limit)
    store = stored(tmp_path, graphs(30, CIRCUITS), part=11)
    found, dense = prompt_map(store), vectors(store)
    centred = dense - dense.mean(axis=0)
    basis, size, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.place_I2), np.abs(basis[:, :2] * size[:2]), rtol=0, atol=1e-7)
    np.testing.assert_allclose(found.share_2, size[:2] ** 2 / (size**2).sum(), rtol=1e-7)


def test_prompts_beyond_the_sample_are_placed_by_their_own_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = graphs(40, CIRCUITS)
    store = stored(tmp_path, made, part=7)
    monkeypatch.setattr(module, "MOST_SPANNING", 12)
    monkeypatch.setattr(module, "_BATCH_PROMPTS", 5)
    calls: list[tuple[int, int]] = []
    found = prompt_map(store, lambda done, total: calls.append((done, total)))
    spanning = module._chosen(store)[0]
    dense, is_spanning = vectors(store), np.array([id_ in spanning for id_ in found.ids])
    mean = dense[is_spanning].mean(axis=0)
    _, size, axes = np.linalg.svd(dense[is_spanning] - mean, full_matrices=False)
    expected = (dense - mean) @ axes[:2].T
    np.testing.assert_allclose(np.abs(found.place_I2), np.abs(expected), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.share_2, size[:2] ** 2 / (size**2).sum(), rtol=1e-9)
    assert found.share_of_all == pytest.approx((expected**2).sum() / ((dense - mean) ** 2).sum(), rel=1e-9)
    assert (found.num_spanning, found.num_chosen, found.num_prompts) == (12, 40, 40)
    assert separation(found.place_I2, group_of(made, found)) > 4
    assert calls[0] == (0, 40)
    assert calls[-1] == (40, 40)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_more_edges_than_are_read_leave_a_sample_that_stays_as_the_store_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = graphs(40, CIRCUITS)
    few = make_store(str(tmp_path / "few"), made[:20])
    all_ = make_store(str(tmp_path / "all"), made)
    monkeypatch.setattr(module, "MOST_EDGES", int(all_.catalogue.columns["num_edges"][:10].sum()))
    monkeypatch.setattr(module, "MOST_SPANNING_EDGES", module.MOST_EDGES // 2)
    found = prompt_map(all_)
    assert 3 <= found.num_spanning < found.num_chosen == len(found.ids) < 15
    assert found.num_prompts == 40
    held = set(few.catalogue.ids)
    assert {*found.ids} & held <= set(prompt_map(few).ids)


def test_the_same_prompts_have_the_same_map_however_they_are_stored(tmp_path: Path) -> None:
    made = graphs(24, CIRCUITS)
    one = prompt_map(make_store(str(tmp_path / "one"), made))
    other = prompt_map(make_store(str(tmp_path / "other"), *([graph] for graph in reversed(made))))
    assert (one.id, list(one.ids)) == (other.id, list(other.ids))
    np.testing.assert_allclose(one.place_I2, other.place_I2, rtol=0, atol=1e-9)
    again = prompt_map(make_store(str(tmp_path / "again"), made))
    assert np.array_equal(one.place_I2, again.place_I2)
    assert prompt_map(make_store(str(tmp_path / "fewer"), made[1:])).id != one.id


def test_equal_graphs_are_one_point(tmp_path: Path) -> None:
    same = graphs(1, CIRCUITS)[0]
    found = prompt_map(stored(tmp_path, [replace(same, prompt_id=f"p{number}") for number in range(5)]))
    assert not found.place_I2.any()
    assert np.isnan(found.share_2).all()
    assert np.isnan(found.share_of_all)


def _without_influence(graph: Graph) -> Graph:
    return replace(graph, influence_N=np.full(len(graph.nodes), np.nan, np.float32))


def _without_edges(graph: Graph) -> Graph:
    return planted_graph(graph.prompt_id, [1, 2, 3], {})


@pytest.mark.parametrize(("change", "counted"), [(_without_influence, (2, 0)), (_without_edges, (0, 2))])
def test_prompts_without_a_vector_have_no_place_and_are_counted(
    change: Callable[[Graph], Graph], counted: tuple[int, int], tmp_path: Path
) -> None:
    made = graphs(8, CIRCUITS)
    store = stored(tmp_path, [*map(change, made[:2]), *made[2:]])
    found = prompt_map(store)
    assert set(found.ids) == {graph.prompt_id for graph in made[2:]}
    none = (found.num_without_influence, found.num_without_edges)
    assert sum(none) == 2
    assert change is _without_edges or none == counted


def test_too_few_prompts_and_different_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a map needs 3 prompts at least.*2 have some"):
        prompt_map(stored(tmp_path / "few", graphs(2, CIRCUITS)))
    with pytest.raises(ConfigError, match="a map needs 3 prompts at least"):
        prompt_map(stored(tmp_path / "none", []))
    mixed = [random_graph(f"m{number}", seed=number, num_layers=2 + number % 2) for number in range(4)]
    with pytest.raises(ConfigError, match="different numbers of layers"):
        prompt_map(stored(tmp_path / "mixed", mixed))
