"""Whatever changes a store is killed -9 before changes that it makes on disk, one run for each; see fault_points.py."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import pytest
from fault_points import GRAPHS, Work, killed_runs, split_all, write_all
from ledgers import record_failure
from random_graphs import assert_same, random_graph
from random_stores import make_store, whole, write_part

from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.maintenance.repair import repair
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow

BIG = [random_graph(f"b{i}", seed=i, num_active=1500, density=0.09) for i in range(3)]
TRUTH = [*GRAPHS, *BIG]
PAIRS = [GRAPHS[first : first + 2] for first in range(0, len(GRAPHS), 2)]

sweep = partial(collect_garbage, grace_hours=-1.0)
"""However young it is."""


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the processes that are killed: nobody pulls the plug."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def tree(url: str) -> set[str]:
    """Everything in a store, temporary files and empty folders too."""
    return set(open_backend(url).list_all(""))


def test_a_writer_killed_at_any_change_loses_nothing_and_a_rerun_completes(tmp_path: Path) -> None:
    url, counts = str(tmp_path / "store"), []
    expected = make_store(str(tmp_path / "expected"), GRAPHS).digest()
    for point in killed_runs(write_all, None, tmp_path / "store"):
        if (tmp_path / "store/run.json").exists():
            counts.append(whole(url, TRUTH))
        write_all(url)
        assert open_store(url).digest() == expected, point
        assert Ledger(url).failures().keys() == {"bad"}
    finished, *counts = counts
    assert finished == len(GRAPHS)
    assert counts == sorted(counts), "a later kill leaves no less"
    assert set(counts) == {0, 4, 8}


def test_a_compaction_killed_at_any_change_changes_no_answer_and_another_completes(tmp_path: Path) -> None:
    """Of two commits that an earlier one made into one, and two later ones."""
    before, url = str(tmp_path / "before"), str(tmp_path / "store")
    make_store(before, *PAIRS[:2])
    compact(before)
    digest = make_store(before, *PAIRS[2:]).digest()
    num_indexed = []
    for point in killed_runs(compact, Path(before), Path(url)):
        assert whole(url, TRUTH) == len(GRAPHS), point
        num_indexed.append(open_store(url).num_indexed)
        compact(url)
        assert open_store(url).digest() == digest, point
        assert len(open_store(url).catalogue.commits) == open_store(url).num_indexed == 1
        sweep(url)
        assert whole(url, TRUTH) == len(GRAPHS), point
        assert [len(open_backend(url).list_dir(folder)) for folder in ("commits", "parts", "index")] == [1, 1, 2]
    assert set(num_indexed) == {1}


def test_gc_killed_at_any_change_removes_nothing_that_is_read_and_another_removes_the_rest(tmp_path: Path) -> None:
    """Superseded parts, an older index, a part that nobody committed, one half removed, temporary files."""
    before, url = str(tmp_path / "before"), str(tmp_path / "store")
    make_store(before, *PAIRS[:2])
    compact(before)
    digest = make_store(before, *PAIRS[2:]).digest()
    compact(before)
    orphan, doomed = (write_part(before, [BIG[0]]).part for _ in range(2))
    (Path(before) / "parts" / doomed).rename(Path(before) / f"parts/.{doomed}.0.tmp")
    (Path(before) / f"commits/.0000000009-{orphan}.json.0.tmp").write_bytes(b"{")
    left: set[str] = set()
    for point in killed_runs(sweep, Path(before), Path(url)):
        left = left or tree(url)
        assert left <= tree(url)
        assert whole(url, TRUTH) == len(GRAPHS), point
        sweep(url)
        assert tree(url) == left, point
        assert open_store(url).digest() == digest
        shutil.rmtree(f"{url}/index")
        assert whole(url, TRUTH) == len(GRAPHS), "without an index too"
    assert len([key for key in left if key.endswith("/zarr.json") and key.count("/") == 2]) == 2, "a part and an index"


@pytest.mark.parametrize(  # all three write by the same transfer
    "how",
    ["copy", pytest.param("merge", marks=pytest.mark.thorough), pytest.param("split", marks=pytest.mark.thorough)],
)
def test_a_copy_killed_at_any_change_is_part_of_the_source_and_another_completes(tmp_path: Path, how: str) -> None:
    """Of a store with an index, superseded parts and a later one; merged with one that has prompts of it."""
    source, other, url = (str(tmp_path / name) for name in ("source", "other", "store"))
    make_store(source, *PAIRS[:2])
    compact(source)
    make_store(source, PAIRS[2])
    record_failure(Ledger(source), "bad", "trace", "no memory", 2)
    make_store(other, PAIRS[1], PAIRS[3])
    work: dict[str, Work] = {
        "copy": partial(copy_store, source),
        "merge": partial(merge_stores, sources=[source, other]),
        "split": partial(split_all, source),
    }
    expected = make_store(str(tmp_path / "expected"), *PAIRS[: 4 if how == "merge" else 3])
    for point in killed_runs(work[how], None, Path(url)):
        if (tmp_path / "store/run.json").exists():
            assert whole(url, TRUTH) <= len(expected), point
        work[how](url)
        assert whole(url, TRUTH) == len(expected), point
        assert open_store(url).digest() == expected.digest()
        assert (open_store(url).index is not None) == (how == "copy")
        assert how == "split" or Ledger(url).failures().keys() == {"bad"}


def damage(url: str, indexed: bool) -> None:
    """One of two commits has a damaged chunk that concerns its last prompt only; a failure's record is garbage."""
    store = make_store(url, BIG, GRAPHS)
    if indexed:
        compact(url, part_edges=1)
    record_failure(Ledger(url), "bad", "trace", "no memory", 2)
    chunk = max(
        (Path(url) / "parts" / store.manifests[0].part / "edges/source/c").iterdir(), key=lambda path: int(path.name)
    )
    chunk.write_bytes(chunk.read_bytes()[:-1])
    (record,) = (Path(url) / "failures").iterdir()
    record.write_bytes(b"{")


@pytest.mark.parametrize("indexed", [False, True])
def test_a_repair_killed_at_any_change_leaves_no_worse_a_store(tmp_path: Path, indexed: bool) -> None:
    before, url = str(tmp_path / "before"), str(tmp_path / "store")
    damage(before, indexed)
    kept = [graph for graph in TRUTH if graph.prompt_id != "b2"]
    expected = make_store(str(tmp_path / "expected"), kept).digest()
    for point in killed_runs(repair, Path(before), Path(url)):
        between = open_store(url)
        for graph in kept:
            assert_same(between.graph(graph.prompt_id), graph)
        assert set(repair(url).dropped) <= {"b2"}
        assert whole(url, TRUTH) == len(kept), point
        assert open_store(url).digest() == expected, point
