"""The atlas equals the one made by dictionaries bit for bit, however the work and the store are divided."""

from __future__ import annotations

import errno
import random
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from atlas_by_dictionary import atlas_of
from mined_graphs import FEW_FEATURES, assert_same_statistics, graph
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, ResultError
from distributed_tracer.mine import (
    active,
    atlas,
    atlas_build,
    atlas_tasks,
    block_files,
    cooccurrence,
    reduce_block,
    spill,
)
from distributed_tracer.mine.atlas import mine_atlas, plan_atlas
from distributed_tracer.mine.atlas_build import AtlasPlan
from distributed_tracer.mine.partition import EDGE_BYTES
from distributed_tracer.mine.result import Result, open_result
from distributed_tracer.mine.sites import site_codes
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.reader import Store, open_store

GRAPHS = [graph(number) for number in range(9)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("atlas") / "store"), GRAPHS[:5], GRAPHS[5:])


@pytest.fixture(scope="module")
def result(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return mine_atlas(store, tmp_path_factory.mktemp("atlas") / "result", cluster="family")


def tables(result: Result) -> dict[str, bytes]:
    """The bytes of all files of the tables."""
    return {name: (result.path / name).read_bytes() for name in result.info["files"]}


def test_every_number_equals_that_of_a_dictionary_bit_for_bit(result: Result) -> None:
    clusters = {one.prompt_id: one.metadata.get("family") for one in GRAPHS}
    edges, features = atlas_of(GRAPHS, clusters)
    for name, expected in (("edges", edges), ("features", features)):
        found = result.table(name)
        assert len(found) == len(expected) > 30
        for column in found.columns:
            values = np.array([row[column] for row in expected])
            same = found[column] == values
            if values.dtype.kind == "f":
                same |= np.isnan(found[column].astype(float)) & np.isnan(values)
            assert same.all(), (name, column, found[column][~same][:3], values[~same][:3])


def test_stored_tables_and_the_documented_sql_give_the_same_rows(result: Result) -> None:
    """The pairs of the two stored tables are different, and their moments are those of the table of edges."""
    con = duckdb.connect()
    for name in ("edges_once", "edges_recurring", "instances", "sites"):
        con.execute(f"create view {name} as from read_parquet({[str(file) for file in result.files(name)]})")
    found = con.execute(
        """
        with pairs as (
            select source, target, prompts, sum, sum_abs from edges_recurring
            union all
            select source, target, 1, case when isfinite(weight) then weight else 0 end,
                   case when isfinite(weight) then abs(weight) else 0 end from edges_once)
        select s.layer, s.feature, t.layer, t.feature, p.prompts, s.prompts, t.prompts_row, p.sum, p.sum_abs
        from pairs p join sites s on p.source = s.site join sites t on p.target = t.site order by target, source
        """
    ).fetchnumpy()
    names = ["source_layer", "source_feature", "target_layer", "target_feature", "prompts", "prompts_source"]
    edges = result.table("edges", [*names, "prompts_row", "sum", "sum_abs", "instances"])
    assert len(result.table("edges_once")) == (edges["instances"] == 1).sum() > 30
    assert len(result.table("instances")) == edges["instances"][edges["instances"] > 1].sum() > 30
    for ours, theirs in zip(edges.columns[:-1], found.values(), strict=True):
        assert np.array_equal(edges[ours], theirs), ours


def test_columns_that_are_asked_for_alone_are_those_of_the_whole_table(result: Result) -> None:
    whole = result.table("edges")
    for column in whole.columns:
        alone = result.table("edges", column)[column]
        assert np.array_equal(alone, whole[column], equal_nan=alone.dtype.kind == "f"), column


def test_the_store_has_everything_that_makes_the_comparison_strict(result: Result) -> None:
    table = result.table("edges")
    for column in ("prompts_unknown", "instances_at_8_up", "prompts_dropped_unknown", "instances_negative"):
        assert table[column].any() or column == "prompts_dropped_unknown", column
    assert (table["prompts_share"] < table["prompts"]).any()
    assert (table["instances"] > table["prompts"]).any()
    assert (table["prompts"] < table["prompts_both"]).any()
    assert (table["clusters"] < table["prompts"]).any()


@pytest.mark.parametrize("plan", [AtlasPlan(1, 300), AtlasPlan(700, 40), AtlasPlan(10_000, 1_000)], ids=str)
def test_files_do_not_depend_on_how_much_is_read_or_ordered_at_once(
    plan: AtlasPlan, store: Store, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AtlasPlan, "of", lambda *args: plan)
    monkeypatch.setattr(reduce_block, "_PAIRS_AT_ONCE", 7)
    assert tables(mine_atlas(store, tmp_path / "r", cluster="family")) == tables(result)


def test_files_do_not_depend_on_how_ranges_are_divided_among_tasks(
    store: Store, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a task for each prompt, and blocks are reduced from the files of tasks in any order."""
    monkeypatch.setattr(atlas_build, "PIECE_ROWS", 1)
    monkeypatch.setattr(atlas_tasks, "Spill", lambda paths: spill.Spill(paths[::-1]))
    monkeypatch.setattr(AtlasPlan, "of", lambda *args: AtlasPlan(1, 10_000))
    assert tables(mine_atlas(store, tmp_path / "r", cluster="family")) == tables(result)


@pytest.mark.parametrize(("records", "group"), [(40, 9), (600, 50), (10**9, 1000)])
def test_statistics_do_not_depend_on_partitions_blocks_and_row_groups(
    records: int, group: int, store: Store, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "PARTITION_RECORDS", records)
    monkeypatch.setattr(block_files, "GROUP_ROWS", group)
    monkeypatch.setattr(cooccurrence, "_LOOKUPS_AT_ONCE", 5)
    monkeypatch.setattr(active, "_MOST_RECENT", 2)
    found = mine_atlas(store, tmp_path / "r", cluster="family")
    assert (len(found.info["atlas"]["cuts"]) > 16) == (records < 1000)
    assert_same_statistics(found, result)


def test_files_do_not_depend_on_parts_their_order_compaction_or_merging(result: Result, tmp_path: Path) -> None:
    shuffled = GRAPHS.copy()
    random.Random(1).shuffle(shuffled)
    parts = [shuffled[first : first + 2] for first in range(0, len(shuffled), 2)]
    stores = {"shuffled": make_store(str(tmp_path / "shuffled"), *parts)}
    compact(make_store(str(tmp_path / "compacted"), *reversed(parts)).url)
    stores["compacted"] = open_store(str(tmp_path / "compacted"))
    halves = [make_store(str(tmp_path / name), own).url for name, own in (("a", shuffled[:4]), ("b", shuffled[4:]))]
    merge_stores(str(tmp_path / "merged"), halves)
    stores["merged"] = open_store(str(tmp_path / "merged"))
    for name, one in stores.items():
        assert tables(mine_atlas(one, tmp_path / f"of-{name}", cluster="family")) == tables(result), name


def test_chosen_prompts_give_the_atlas_of_a_store_that_has_only_them(store: Store, tmp_path: Path) -> None:
    chosen = mine_atlas(store, tmp_path / "chosen", where="family=f1")
    own = [one for one in GRAPHS if one.metadata.get("family") == "f1"]
    alone = mine_atlas(make_store(str(tmp_path / "own"), own), tmp_path / "alone")
    assert tables(chosen) == tables(alone)
    assert chosen.info["num_prompts"] == len(own)


def test_what_a_store_does_not_say_of_active_features_is_unknown_and_not_zero(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ["prompts_active", "prompts_active_known", "prompts_computed", "prompts_computed_known"]
    own = [[GRAPHS[0]], [GRAPHS[1]], GRAPHS[2:4]]
    mixed = make_store(str(tmp_path / "mixed"), *own)  # of the first it is not known which edges were computed
    found = mine_atlas(mixed, tmp_path / "mixed-result").table("features", columns)
    assert set(found["prompts_active_known"]) == {4}
    assert set(found["prompts_computed_known"]) == {2}
    assert found["prompts_active"].max() == 4
    without = make_store(str(tmp_path / "without"), GRAPHS[:4], store_active=False)
    assert not any(mine_atlas(without, tmp_path / "r").table("features", columns)[name].any() for name in columns)
    monkeypatch.setattr(active, "_MOST_PLACES", FEW_FEATURES)  # of one layer
    assert not any(mine_atlas(store, tmp_path / "few").table("features", columns)[name].any() for name in columns)


def test_features_that_are_too_many_together_are_unknown_as_if_they_were_counted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One prompt has a feature in layer 5, another one the feature 9 in layer 0."""
    ones = np.ones(1, dtype=np.int64)
    parts = [
        active.ActiveCounts.of_codes(
            site_codes(np.array([layer]), np.zeros(1, np.int64), np.array([feature])), ones, ones, 1, 1
        )
        for layer, feature in ((5, 0), (0, 9))
    ]
    monkeypatch.setattr(active, "_MOST_PLACES", 60)
    assert active.ActiveCounts.joined(parts).num_active_known == 2
    monkeypatch.setattr(active, "_MOST_PLACES", 59)
    found = active.ActiveCounts.joined(parts)
    assert (found.num_active_known, len(found.place_I), found.is_too_many) == (0, 0, True)
    assert active.ActiveCounts.joined([found, parts[0]]).is_too_many


def test_counts_of_many_pieces_are_added_without_holding_all_of_them() -> None:
    code_I = site_codes(np.zeros(50_000, np.int64), np.zeros(50_000, np.int64), np.arange(50_000))
    one = np.ones(len(code_I), np.int64)
    tracemalloc.start()
    found = active.ActiveCounts.joined(active.ActiveCounts.of_codes(code_I.copy(), one, one, 1, 1) for _ in range(60))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.num_active_I.tolist() == [60] * len(code_I)
    assert found.num_active_known == found.num_computed_known == 60
    assert peak < 20 * code_I.nbytes


def test_a_finished_result_is_left_as_it_is_and_another_is_not_overwritten(store: Store, tmp_path: Path) -> None:
    first = mine_atlas(store, tmp_path / "r")
    times = [file.stat().st_mtime_ns for file in first.files("instances")]
    again = mine_atlas(store, tmp_path / "r", memory_gb=0.1, fold=True)
    assert [file.stat().st_mtime_ns for file in again.files("instances")] == times
    with pytest.raises(ConfigError, match=r"made otherwise:\n  cluster: the result has null, this run"):
        mine_atlas(store, tmp_path / "r", cluster="family")


@pytest.mark.parametrize("stop_at", ["write_spill", "reduce_block", "write_document"])
def test_a_run_that_was_stopped_leaves_no_result_and_the_same_command_completes(
    stop_at: str, store: Store, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(atlas if stop_at == "write_document" else atlas_tasks, stop_at, stop)
        with pytest.raises(KeyboardInterrupt):
            mine_atlas(store, tmp_path / "r", cluster="family")
    assert not (tmp_path / "r" / "tables").exists()
    with pytest.raises(ResultError, match=r"not finished: run the same `mine` command again"):
        open_result(tmp_path / "r")
    assert tables(mine_atlas(store, tmp_path / "r", cluster="family")) == tables(result)
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["provenance.json", "tables"]


def test_a_folder_with_other_files_is_refused_and_stays_as_it_is(store: Store, tmp_path: Path) -> None:
    (tmp_path / "r" / "work").mkdir(parents=True)
    (tmp_path / "r" / "tables").mkdir()
    with pytest.raises(ConfigError, match="has files and is no result of mining"):
        mine_atlas(store, tmp_path / "r")
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["tables", "work"]
    with pytest.raises(ConfigError, match="there is no directory"):
        mine_atlas(store, tmp_path / "none" / "r")


def test_a_full_disk_is_a_clear_error(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill, "write_array", full)
    with pytest.raises(ResultError, match=r"the disk of .*r is full: [\d,]+ bytes of temporary files and the "):
        mine_atlas(store, tmp_path / "r")
    assert list((tmp_path / "r").rglob("*.parquet")) == []


def test_memory_stays_below_the_option(tmp_path: Path) -> None:
    """What an edge takes while it is ordered, times the edges of the largest partition, is more than the option."""
    many = [graph(number, 800) for number in range(12)]
    store = make_store(str(tmp_path / "store"), many[:11], many[11:])
    del many
    tracemalloc.start()
    found = mine_atlas(store, tmp_path / "r", memory_gb=0.05)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rows = found.info["atlas"]["rows"]
    assert max(map(sum, zip(rows["edges_once"], rows["instances"], strict=True))) * EDGE_BYTES > 0.05e9
    assert peak < 0.05e9


def test_memory_that_is_too_small_is_refused_with_what_is_needed(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"at least 0\.05 GB, not 0\.01"):
        plan_atlas(store, memory_gb=0.01)
    with pytest.raises(ConfigError, match=r"10,000,000 different nodes need at least --memory-gb 3\.38, not 1"):
        AtlasPlan.of(1.0, 10**7)
    with pytest.raises(ConfigError, match=r"1,000,000,000 different nodes: at most 536,870,912 can be mined"):
        AtlasPlan.of(1000, 10**9)
    assert AtlasPlan.of(3.4, 10**7).most_edges > 0


def test_what_cannot_be_mined_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no graphs to mine"):
        mine_atlas(make_store(str(tmp_path / "empty")), tmp_path / "r")
    with pytest.raises(ConfigError, match=r"no prompt of .* meets num_tokens>=100"):
        mine_atlas(store, tmp_path / "r", where="num_tokens>=100")
    with pytest.raises(ConfigError, match=r"no metadata 'famly'.*family"):
        mine_atlas(store, tmp_path / "r", cluster="famly")
    mixed = make_store(str(tmp_path / "mixed"), [random_graph("a"), random_graph("b", num_layers=4)])
    with pytest.raises(ConfigError, match=r"3 \(such as 'a'\), 4 \(such as 'b'\).*--where num_layers=3"):
        mine_atlas(mixed, tmp_path / "mixed-result")
    assert mine_atlas(mixed, tmp_path / "mixed-result", where="num_layers=3").info["num_prompts"] == 1
    bare = make_store(str(tmp_path / "bare"), [random_graph("a", density=0.0)])
    with pytest.raises(ConfigError, match="no edges to mine"):
        mine_atlas(bare, tmp_path / "bare-result")


def test_a_result_says_what_its_columns_mean_and_where_it_comes_from(result: Result) -> None:
    stored = {"active", "edges_once", "edges_recurring", "features", "instances", "nodes", "prompts", "sites"}
    assert set(result.tables) == {"edges", *stored}
    for table in result.tables:
        about = result.describe(table)
        assert about["column"].tolist() == result.stream(table).columns
        assert all(about["meaning"])
    assert result.info["num_clusters"] == 3
    assert result.info["num_without_cluster"] == 2
    assert result.info["num_edge_rows"] == len(result.table("edges", "sum"))
    with pytest.raises(ConfigError, match="no column 'weight'"):
        result.stream("edges", ["weight"])
    with pytest.raises(ConfigError, match=r"no table 'edge'.*edges"):
        result.table("edge")
    with pytest.raises(ConfigError, match=r"made while it is read.*edges_once, edges_recurring"):
        result.files("edges")


def test_a_damaged_file_or_document_is_an_error(store: Store, tmp_path: Path) -> None:
    result = mine_atlas(store, tmp_path / "r")
    file = result.files("features")[0]
    file.write_bytes(file.read_bytes()[:-1] + b"X")
    with pytest.raises(ResultError, match=r"features\.parquet is not as it was written"):
        open_result(tmp_path / "r").table("features")
    document = tmp_path / "r" / "provenance.json"
    document.write_bytes(document.read_bytes().replace(b'"num_prompts":9', b'"num_prompts":8'))
    with pytest.raises(ResultError, match="damaged"):
        open_result(tmp_path / "r")
    with pytest.raises(ResultError, match="there is no result of mining"):
        open_result(tmp_path)
