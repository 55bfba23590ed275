"""Prompts that are added to an atlas give the statistics of an atlas of all prompts, bit for bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mined_graphs import assert_same_statistics, graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, ResultError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine import atlas, scan, spill
from distributed_tracer.mine.atlas import mine_atlas
from distributed_tracer.mine.result import Result, open_result
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import Store, open_store

GRAPHS = [graph(number) for number in range(12)]


@pytest.fixture(autouse=True)
def many_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "PARTITION_RECORDS", 2000)
    monkeypatch.setattr(atlas, "FOLD_SHARE", 10.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The atlas of all prompts, made at once."""
    folder = tmp_path_factory.mktemp("whole")
    return mine_atlas(make_store(str(folder / "store"), GRAPHS), folder / "r", cluster="family")


def grown(url: Path, graphs: list[Graph]) -> Store:
    """The store after a run has added these graphs to it."""
    return make_store(str(url), graphs)


@pytest.mark.parametrize("sizes", [(6, 6), (1,) * 12, (2, 1, 4, 5)], ids=str)
def test_any_number_of_additions_gives_the_statistics_of_one_go(
    sizes: tuple[int, ...], whole: Result, tmp_path: Path
) -> None:
    graphs = GRAPHS.copy()
    random.Random(len(sizes)).shuffle(graphs)
    for size in sizes:
        own, graphs = graphs[:size], graphs[size:]
        found = mine_atlas(grown(tmp_path / "store", own), tmp_path / "r", cluster="family")
    assert len(found.info["atlas"]["added"]) == len(sizes) - 1
    assert found.info["num_prompts"] == 12
    assert found.info["num_feature_rows"] == whole.info["num_feature_rows"] == len(found.table("features", "layer"))
    assert_same_statistics(found, whole)
    assert np.array_equal(found.table("edges", "lift")["lift"], whole.table("edges", "lift")["lift"])


def test_only_the_new_prompts_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine_atlas(grown(tmp_path / "store", GRAPHS[:10]), tmp_path / "r")
    read = []

    def noted(prompts: Any, *args: Any, **options: Any) -> Any:
        for scanned in scan.scan_ranges(prompts, *args, **options):
            read.extend(entry.id for entry in scanned.part_range.entries)
            yield scanned

    monkeypatch.setattr("distributed_tracer.mine.atlas_tasks.scan_ranges", noted)
    mine_atlas(grown(tmp_path / "store", GRAPHS[10:]), tmp_path / "r")
    assert read == ["prompt-10", "prompt-11"]


def test_an_atlas_with_added_prompts_is_read_by_this_program_alone_until_it_is_folded(
    whole: Result, tmp_path: Path
) -> None:
    mine_atlas(grown(tmp_path / "store", GRAPHS[:7]), tmp_path / "r", cluster="family")
    store = grown(tmp_path / "store", GRAPHS[7:])
    added = mine_atlas(store, tmp_path / "r", cluster="family")
    assert added.tables == ["edges", "features", "sites"]
    assert added.describe("features")["column"].tolist() == whole.describe("features")["column"].tolist()
    with pytest.raises(ConfigError, match=r"prompts that were added in files of their own.*--fold"):
        added.files("instances")
    again = mine_atlas(store, tmp_path / "r", cluster="family")
    assert again.info == added.info
    folded = mine_atlas(store, tmp_path / "r", cluster="family", fold=True)
    assert folded.info["files"] == mine_atlas(store, tmp_path / "anew", cluster="family").info["files"]
    assert_same_statistics(folded, whole)
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["provenance.json", "tables"]


def test_an_atlas_is_made_anew_when_a_share_of_its_edges_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atlas, "FOLD_SHARE", 0.2)
    mine_atlas(grown(tmp_path / "store", GRAPHS[:9]), tmp_path / "r", cluster="family")
    few = mine_atlas(grown(tmp_path / "store", GRAPHS[9:10]), tmp_path / "r", cluster="family")
    assert len(few.info["atlas"]["added"]) == 1
    store = grown(tmp_path / "store", GRAPHS[10:])
    many = mine_atlas(store, tmp_path / "r", cluster="family")
    assert many.info["atlas"]["added"] == []
    assert many.info["files"] == mine_atlas(store, tmp_path / "anew", cluster="family").info["files"]


def test_an_addition_that_was_stopped_leaves_the_atlas_as_it_was(
    whole: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = mine_atlas(grown(tmp_path / "store", GRAPHS[:9]), tmp_path / "r", cluster="family")
    store = grown(tmp_path / "store", GRAPHS[9:])

    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(atlas, "write_document", stop)
        with pytest.raises(KeyboardInterrupt):
            mine_atlas(store, tmp_path / "r", cluster="family")
    left = open_result(tmp_path / "r")
    assert left.info == before.info
    assert_same_statistics(left, before)
    (tmp_path / "r" / "added" / "0001" / "rest").write_bytes(b"of another run")
    monkeypatch.setattr("distributed_tracer.mine.atlas_tasks.write_spill", stop)  # which is done and is not done again
    assert_same_statistics(mine_atlas(store, tmp_path / "r", cluster="family"), whole)
    assert not (tmp_path / "r" / "added" / "0001" / "rest").exists()


def test_other_graphs_or_settings_are_refused(tmp_path: Path) -> None:
    mine_atlas(grown(tmp_path / "store", GRAPHS[:3]), tmp_path / "r")
    fewer = make_store(str(tmp_path / "fewer"), GRAPHS[1:5])
    with pytest.raises(ConfigError, match=r"made otherwise:\n  prompts"):
        mine_atlas(fewer, tmp_path / "r")
    other = [replace(GRAPHS[8], prompt_id=GRAPHS[2].prompt_id), *GRAPHS[:2], *GRAPHS[3:5]]
    with pytest.raises(ConfigError, match=r"made otherwise:\n  prompts"):
        mine_atlas(make_store(str(tmp_path / "other"), other), tmp_path / "r")
    with pytest.raises(ConfigError, match="cluster"):
        mine_atlas(grown(tmp_path / "store", GRAPHS[3:5]), tmp_path / "r", cluster="family")


def test_additions_do_not_depend_on_parts(whole: Result, tmp_path: Path) -> None:
    """The parts of the store may be rewritten between two additions."""
    mine_atlas(grown(tmp_path / "a", GRAPHS[:8]), tmp_path / "r", cluster="family")
    other = make_store(str(tmp_path / "b"), GRAPHS[9:], GRAPHS[3:9], GRAPHS[:3])
    assert len(Ledger(other.url).done()) == 12
    assert_same_statistics(mine_atlas(open_store(other.url), tmp_path / "r", cluster="family"), whole)


def test_an_atlas_whose_folding_was_stopped_is_completed_by_the_same_command(
    whole: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine_atlas(grown(tmp_path / "store", GRAPHS[:9]), tmp_path / "r", cluster="family")
    store = grown(tmp_path / "store", GRAPHS[9:])
    mine_atlas(store, tmp_path / "r", cluster="family")

    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("distributed_tracer.mine.atlas_tasks.reduce_block", stop)
        with pytest.raises(KeyboardInterrupt):
            mine_atlas(store, tmp_path / "r", cluster="family", fold=True)
    with pytest.raises(ResultError, match="not finished: run the same `mine` command again"):
        open_result(tmp_path / "r")
    folded = mine_atlas(store, tmp_path / "r", cluster="family", fold=True)
    assert folded.info["atlas"]["added"] == []
    assert_same_statistics(folded, whole)
