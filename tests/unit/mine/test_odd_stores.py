"""Stores that are damaged, tiny, mixed or silent about themselves: a clear error, or an answer that says its limits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from atlas_by_dictionary import atlas_of
from random_graphs import random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.config import RunConfig
from distributed_tracer.errors import ConfigError, StoreCorrupt, StoreError, StoreMismatch
from distributed_tracer.mine.atlas import mine_atlas
from distributed_tracer.runtime.task_runner import task_runner
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.reader import open_store

GRAPHS = [random_graph(f"p{number}", seed=number, num_active=20, num_positions=3) for number in range(4)]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("change", ["flipped", "missing"])
def test_a_damaged_store_is_an_error_that_names_the_object_and_no_result(
    workers: int, change: str, tmp_path: Path
) -> None:
    store = make_store(str(tmp_path / "store"), GRAPHS[:2], GRAPHS[2:])
    damaged = sorted((tmp_path / "store" / "parts").rglob("edges/weight/c/0"))[1]
    whole = damaged.read_bytes()
    if change == "missing":
        damaged.unlink()
    else:
        damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with task_runner(RunConfig(workers=workers, progress=False)) as run:
        with pytest.raises(StoreError, match=r"edges/weight/c/0"):
            mine_atlas(store, tmp_path / "r", run=run)
        assert not (tmp_path / "r" / "tables").exists()
        damaged.write_bytes(whole)
        mended = mine_atlas(store, tmp_path / "r", run=run)
    assert mended.info["num_prompts"] == 4


def test_a_single_prompt_has_an_atlas(tmp_path: Path) -> None:
    result = mine_atlas(make_store(str(tmp_path / "store"), GRAPHS[:1]), tmp_path / "r")
    edges, features = atlas_of(GRAPHS[:1], {"p0": None})
    assert result.table("edges", "sum")["sum"].tolist() == [row["sum"] for row in edges]
    assert set(result.table("edges", "prompts")["prompts"]) == {1}
    assert len(result.table("features")) == len(features)


def test_a_store_whose_prompts_are_without_metadata_has_no_clusters_and_says_so(tmp_path: Path) -> None:
    store = make_store(str(tmp_path / "store"), GRAPHS)
    with pytest.raises(ConfigError, match="metadata 'family'"):
        mine_atlas(store, tmp_path / "r", cluster="family")
    assert mine_atlas(store, tmp_path / "r").info["num_clusters"] is None


def pruned(url: str, graphs: Any, **trace: Any) -> str:
    ledger = Ledger(url)
    ledger.create_or_check({**RUN_INFO, "identity": {"model": "tiny", "trace": trace}})
    ledger.commit(write_part(url, graphs))
    return url


def test_pruned_and_complete_graphs_cannot_be_in_one_store_and_a_result_says_which_they_are(tmp_path: Path) -> None:
    complete = pruned(str(tmp_path / "complete"), GRAPHS[:2], keep_all=True)
    thresholds = {"node_threshold": 0.8, "edge_threshold": 0.98}
    cut = pruned(str(tmp_path / "cut"), GRAPHS[2:], keep_all=False, **thresholds)
    with pytest.raises(StoreMismatch, match=r"trace\.keep_all: .* has true, .* false"):
        merge_stores(str(tmp_path / "merged"), [complete, cut])
    assert mine_atlas(open_store(complete), tmp_path / "r").info["graphs"] == "complete graphs"
    about = mine_atlas(open_store(cut), tmp_path / "s").info["graphs"]
    assert about == "pruned graphs (node threshold 0.8, edge threshold 0.98)"


@pytest.mark.parametrize("identity", [{}, {"imported": True}, {"trace": None}, {"trace": {"round_size": 4}}])
def test_a_store_that_does_not_say_how_it_was_traced_has_an_atlas_that_says_so(
    identity: dict[str, Any], tmp_path: Path
) -> None:
    make_store(str(tmp_path / "store"), GRAPHS)
    run = json.loads((tmp_path / "store" / "run.json").read_text())
    (tmp_path / "store" / "run.json").write_text(json.dumps({**run, "identity": identity}))
    result = mine_atlas(open_store(str(tmp_path / "store")), tmp_path / "r")
    assert result.info["graphs"] == "graphs of which it is not recorded whether they are pruned"


def test_a_store_that_is_cleaned_while_it_is_mined_is_an_error_and_the_same_command_then_completes(
    tmp_path: Path,
) -> None:
    url = str(tmp_path / "store")
    store = make_store(url, GRAPHS[:2], GRAPHS[2:])
    before = open_store(url)
    compact(url)
    collect_garbage(url, grace_hours=0.0)
    for commit in before.catalogue.commits:
        shutil.rmtree(tmp_path / "store" / "parts" / commit.part, ignore_errors=True)
        (tmp_path / "store" / "commits" / commit.name).unlink(missing_ok=True)
    with pytest.raises(StoreCorrupt, match="is gone; if the store was cleaned meanwhile, open it again"):
        mine_atlas(store, tmp_path / "r")
    assert mine_atlas(open_store(url), tmp_path / "r").info["num_prompts"] == 4
