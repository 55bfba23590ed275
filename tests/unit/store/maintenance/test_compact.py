"""Compacting and the index: the same answers before and after, whatever else happens meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import AWKWARD, assert_same, random_graph
from random_stores import make_store, write_part

from distributed_tracer.errors import StoreCorrupt, StoreError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.report.status import status_of
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance import compact as compacting
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store


def crowded(name: str, seed: int) -> Graph:
    """A graph in which the few features there are act at many positions."""
    return random_graph(name, seed=seed, num_layers=2, num_positions=30, num_active=2000, density=0.001)


GRAPHS = [crowded(f"p{i}", i) for i in range(6)]


def answers(store: Store) -> dict[str, Any]:
    """What a reader may ask for."""
    sites = {(int(n.layer_N[i]), int(n.feature_N[i])) for n in (GRAPHS[0].nodes,) for i in range(0, 200, 40)}
    return {
        "digest": store.digest(),
        "ids": list(store),
        "entries": [store.entry(name) for name in store],
        "occurrences": {site: list(store.occurrences(*site).rows()) for site in [*sites, (0, 5000), (1, 5000)]},
        "asked": dict(Ledger(store.url).content_hashes()),
        "status": {k: v for k, v in status_of(store.url).items() if k not in ("parts", "bytes", "orphans", "written")},
    }


def test_everything_is_the_same_before_and_after(store_url: str) -> None:
    store = make_store(store_url, GRAPHS[:2], AWKWARD.values(), GRAPHS[2:5])
    before = answers(store)
    done = compact(store_url)
    assert (done.num_prompts, done.parts_before, done.parts_after, done.index) == (5 + len(AWKWARD), 3, 1, 1)
    after = open_store(store_url)
    assert len(after.catalogue.commits) == 1
    assert repr(answers(after)) == repr(before)
    for graph in (*GRAPHS[:5], *AWKWARD.values()):
        assert_same(after.graph(graph.prompt_id), graph)
    assert store.digest() == before["digest"], "who opened it before goes on reading"
    assert after.verify() > 0
    assert compact(store_url).index is None, "nothing has changed"


def test_what_comes_later_is_found_and_put_into_the_next_index(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    make_store(url, GRAPHS[:1], GRAPHS[1:2])
    compact(url)
    ledger = Ledger(url)
    ledger.commit(write_part(url, GRAPHS[2:4]))
    expected = answers(make_store(f"{url}-plain", GRAPHS[:1], GRAPHS[1:2], GRAPHS[2:4]))
    later = open_store(url)
    assert len(later.catalogue.commits) == 2
    assert {**answers(later), "status": None} == {**expected, "status": None}
    assert compact(url).index == 2
    ledger.commit(write_part(url, GRAPHS[3:5]))  # one of them is a second time
    expected = answers(make_store(f"{url}-more", GRAPHS[:3], GRAPHS[3:5]))
    assert {**answers(open_store(url)), "status": None} == {**expected, "status": None}


def test_superseded_parts_are_not_needed(store_url: str) -> None:
    before = answers(make_store(store_url, GRAPHS[:2], GRAPHS[1:4]))
    compact(store_url)
    root, store = open_backend(store_url), open_store(store_url)
    assert len(store.catalogue.superseded) == 2
    for commit in store.catalogue.superseded:
        root.remove(f"commits/{commit.name}")
        root.remove(f"parts/{commit.part}/zarr.json")
    after = open_store(store_url)
    assert answers(after) == before
    assert Ledger(store_url).done() == {"p0", "p1", "p2", "p3"}
    root.remove("index/0000000001.json")
    assert answers(open_store(store_url)) == before, "without an index it is a store of one part"


def test_only_small_parts_are_put_together(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), GRAPHS[:3], GRAPHS[3:4], GRAPHS[4:5], GRAPHS[5:])
    done = compact(str(tmp_path), part_prompts=5)
    assert (done.parts_before, done.parts_after) == (4, 2)
    sizes = [len(manifest.prompts) for manifest in open_store(str(tmp_path)).manifests]
    assert sizes == [3, 3]
    assert open_store(str(tmp_path)).digest() == store.digest()
    assert compact(str(tmp_path), part_prompts=100, part_edges=10).index is None


def test_parts_with_and_without_all_active_features_stay_apart(tmp_path: Path) -> None:
    some = [random_graph(f"p{i}", seed=i, num_selected=7) for i in range(4)]
    make_store(str(tmp_path), some[:1], some[1:2], store_active=False)
    store = make_store(str(tmp_path), some[2:3], some[3:])
    compact(str(tmp_path))
    after = open_store(str(tmp_path))
    assert after.digest() == store.digest()
    assert [len(after.graph(f"p{i}").active) for i in range(4)] == [7, 7, 40, 40]
    assert [after.entry(f"p{i}").num_active for i in range(4)] == [40] * 4


def test_a_crash_before_the_index_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(make_store(str(tmp_path), GRAPHS[:2], GRAPHS[2:4]))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(compacting, "write_index", crash)
        with pytest.raises(KeyboardInterrupt):
            compact(str(tmp_path))
    assert answers(open_store(str(tmp_path))) == before
    assert compact(str(tmp_path)).parts_after == 1
    assert answers(open_store(str(tmp_path))) == before


def test_of_two_compactions_one_wins_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(make_store(str(tmp_path), GRAPHS[:2], GRAPHS[2:4]))
    write = compacting.write_index

    def overtaken(*args: Any) -> None:
        monkeypatch.setattr(compacting, "write_index", write)
        compact(str(tmp_path))
        write(*args)

    monkeypatch.setattr(compacting, "write_index", overtaken)
    with pytest.raises(StoreError, match="made by somebody else meanwhile"):
        compact(str(tmp_path))
    assert answers(open_store(str(tmp_path))) == before
    assert compact(str(tmp_path)).parts_after == 1
    assert answers(open_store(str(tmp_path))) == before


@pytest.mark.parametrize("key", ["index/*.json", "index/*/zarr.json", "index/*/prompts/id/c/0"])
def test_a_damaged_index_is_an_error(tmp_path: Path, key: str) -> None:
    make_store(str(tmp_path), GRAPHS[:2])
    compact(str(tmp_path))
    (path,) = tmp_path.glob(key)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 64
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt, match="index"):
        open_store(str(tmp_path)).verify()


def test_an_index_counts_features_as_graphs_do(tmp_path: Path) -> None:
    make_store(str(tmp_path), GRAPHS[:3], GRAPHS[3:])
    compact(str(tmp_path))
    index = open_store(str(tmp_path)).index
    assert index is not None
    columns = index.features
    sites = [
        {(int(g.nodes.layer_N[n]), int(g.nodes.feature_N[n])) for n in np.flatnonzero(g.nodes.kind_N == 0)}
        for g in GRAPHS
    ]
    rows = zip(*(columns[f"features/{name}"].tolist() for name in ("layer", "feature", "num_prompts")), strict=True)
    assert {(layer, feature): count for layer, feature, count in rows} == {
        site: sum(site in of for of in sites) for of in sites for site in of
    }


@pytest.mark.parametrize("graphs", [[], [AWKWARD["without features"]]])
def test_a_store_without_features_can_be_compacted(tmp_path: Path, graphs: list[Graph]) -> None:
    store = make_store(str(tmp_path), *([graph] for graph in graphs))
    assert compact(str(tmp_path)).index == 1
    after = open_store(str(tmp_path))
    assert after.digest() == store.digest()
    assert len(after) == len(graphs)
    assert len(after.occurrences(0, 0)) == 0
