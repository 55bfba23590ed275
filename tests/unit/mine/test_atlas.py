"""The atlas equals the one made by dictionaries bit for bit, however the work and the store are divided."""

from __future__ import annotations

import errno
import random
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from atlas_by_dictionary import atlas_of
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, ResultError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine import atlas, atlas_tasks, spill
from distributed_tracer.mine.atlas import AtlasPlan, mine_atlas, plan_atlas
from distributed_tracer.mine.result import Result, open_result
from distributed_tracer.mine.spill import EDGE_RECORD
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.reader import Store, open_store

FEW_FEATURES = 12


def graph(number: int, num_active: int = 60) -> Graph:
    """A random graph whose features and tokens recur in other graphs and at several positions of one graph."""
    sizes: Any = {"num_positions": 12, "num_active": num_active, "num_targets": 3, "density": 0.25}
    found = random_graph(f"prompt-{number:02d}", seed=number, **sizes)
    nodes = found.nodes
    modulus_N = np.where(nodes.kind_N == 0, FEW_FEATURES, np.where(nodes.kind_N == 2, 4, 1 << 30))
    targets = tuple(replace(target, token_id=target.token_id % 3) for target in found.targets)
    feature_N = np.where(nodes.feature_N < 0, nodes.feature_N, nodes.feature_N % modulus_N).astype(np.int32)
    weight_E = found.weight_E.copy()
    weight_E[5:9] = [0.0, 1e30, -1e30, np.inf][: len(weight_E[5:9])]
    rng = np.random.default_rng(number)
    row_abs_sum_N = np.where(rng.random(len(nodes)) < 0.1, np.nan, found.row_abs_sum_N).astype(np.float32)
    return replace(
        found,
        nodes=replace(nodes, feature_N=feature_N),
        targets=targets,
        weight_E=weight_E,
        row_abs_sum_N=row_abs_sum_N,
        metadata={"family": f"f{number % 3}"} if number % 5 else {},
    )


GRAPHS = [graph(number) for number in range(9)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("atlas") / "store"), GRAPHS[:5], GRAPHS[5:])


@pytest.fixture(scope="module")
def result(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return mine_atlas(store, tmp_path_factory.mktemp("atlas") / "result", cluster="family")


def tables(result: Result) -> dict[str, bytes]:
    """The bytes of all files of the tables."""
    files = [*result.files("edges"), *result.files("features")]
    return {file.relative_to(result.path).as_posix(): file.read_bytes() for file in files}


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


def test_each_file_of_edges_has_the_targets_of_its_layer(result: Result) -> None:
    files = result.files("edges")
    assert [file.name for file in files] == [f"layer_{layer:04d}.parquet" for layer in range(4)]
    for layer, file in enumerate(files):
        assert set(pq.read_table(file, columns=["target_layer"])["target_layer"].to_pylist()) == {layer}


def test_the_store_has_everything_that_makes_the_comparison_strict(result: Result) -> None:
    table = result.table("edges")
    for column in ("prompts_unknown", "instances_at_8_up", "prompts_dropped_unknown", "instances_negative"):
        assert table[column].any() or column == "prompts_dropped_unknown", column
    assert (table["prompts_share"] < table["prompts"]).any()
    assert (table["instances"] > table["prompts"]).any()
    assert (table["prompts"] < table["prompts_both"]).any()
    assert (table["clusters"] < table["prompts"]).any()


@pytest.mark.parametrize(
    "plan", [AtlasPlan(1, 300, 1), AtlasPlan(700, 40, 2), AtlasPlan(10_000, 1_000, 7)], ids=["1", "2", "7"]
)
def test_files_do_not_depend_on_partitions_nor_on_how_much_is_read_or_sorted_at_once(
    plan: AtlasPlan, store: Store, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AtlasPlan, "of", lambda *args: plan)
    monkeypatch.setattr(spill, "_BLOCK", 100)
    assert tables(mine_atlas(store, tmp_path / "r", cluster="family")) == tables(result)


def test_files_do_not_depend_on_row_batches_of_the_reduction(
    store: Store, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed_tracer.mine import pairs

    for name, value in (("_PAIRS_AT_ONCE", 3), ("_LOOKUPS_AT_ONCE", 5), ("_EDGES_AT_ONCE", 7)):
        monkeypatch.setattr(pairs, name, value)
    assert tables(mine_atlas(store, tmp_path / "r", cluster="family")) == tables(result)


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


def test_a_finished_result_is_left_as_it_is_and_another_is_not_overwritten(store: Store, tmp_path: Path) -> None:
    first = mine_atlas(store, tmp_path / "r")
    times = [file.stat().st_mtime_ns for file in first.files("edges")]
    again = mine_atlas(store, tmp_path / "r", memory_gb=0.1)
    assert [file.stat().st_mtime_ns for file in again.files("edges")] == times
    with pytest.raises(ConfigError, match=r"made otherwise:\n  cluster: the result has null, this run"):
        mine_atlas(store, tmp_path / "r", cluster="family")


@pytest.mark.parametrize(
    "stop_at", [(atlas_tasks, "Incidences"), (atlas, "write_document")], ids=["a task", "the document"]
)
def test_a_run_that_was_stopped_leaves_no_result_and_the_same_command_completes(
    stop_at: tuple[Any, str], store: Store, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*stop_at, stop)
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

    monkeypatch.setattr(spill, "_append", full)
    with pytest.raises(ResultError, match=r"the disk of .*r is full: [\d,]+ bytes of temporary files and the "):
        mine_atlas(store, tmp_path / "r")
    assert list((tmp_path / "r").rglob("edges_*")) == []


def test_memory_stays_below_the_option(tmp_path: Path) -> None:
    """The records of all edges alone are larger than the option."""
    many = [graph(number, 800) for number in range(22)]
    assert sum(one.num_edges for one in many) * EDGE_RECORD.itemsize > 55e6
    store = make_store(str(tmp_path / "store"), many[:11], many[11:])
    del many
    tracemalloc.start()
    mine_atlas(store, tmp_path / "r", memory_gb=0.05)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.05e9


def test_memory_that_is_too_small_is_refused_with_what_is_needed(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"at least 0\.05 GB, not 0\.01"):
        plan_atlas(store, memory_gb=0.01)
    with pytest.raises(ConfigError, match=r"10,000,000 different nodes need at least --memory-gb 3\.38, not 1"):
        AtlasPlan.of(1.0, 10**9, 10**7)
    assert AtlasPlan.of(3.4, 10**9, 10**7).most_edges > 0


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
    assert set(result.tables) == {"edges", "features"}
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
