from __future__ import annotations

import json
from pathlib import Path

import pytest
from killing import kill_until_done
from ledgers import record_failure
from random_graphs import AWKWARD, random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.cli.main import main
from distributed_tracer.errors import StoreCorrupt, StoreMismatch, StoreNotFound
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.digest import graph_digest
from distributed_tracer.store.format.failure import read_failures
from distributed_tracer.store.format.run_record import read_runs
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.reader import open_store

PARTS = [[random_graph(f"p{i}{n}", seed=10 * i + n) for n in range(2)] for i in range(3)]


def objects(url: str) -> dict[str, bytes]:
    root = open_backend(url)
    return root.read_many([key for key in root.list_all("") if not key.endswith("/")])


def test_a_copy_has_the_same_objects_and_nothing_else(store_url: str, other_url: str) -> None:
    store = make_store(store_url, [graph for name, graph in AWKWARD.items() if name != "wide"], *PARTS)
    ledger = Ledger(store_url)
    ledger.start_run(9, 0, 10.0, {})
    record_failure(ledger, "bad", "trace", "no such token", 1)
    ledger.end("stopped", "SIGTERM")
    everything = objects(store_url)
    write_part(store_url, [random_graph("nobody committed this")])
    made = copy_store(store_url, other_url)
    assert objects(other_url) == everything
    assert any(key.endswith(".end.json") for key in everything)
    assert (made.num_parts, made.num_there, made.num_beside) == (4, 0, 0)
    assert made.num_bytes == sum(manifest.num_bytes for manifest in store.manifests)
    copied = open_store(other_url)
    assert copied.digest() == store.digest()
    assert copied.verify() == made.num_bytes
    assert len(read_runs(open_backend(other_url))) == len(read_failures(open_backend(other_url))) == 1


def test_a_second_copy_brings_only_what_is_new(store_url: str, other_url: str) -> None:
    make_store(store_url, *PARTS[:1])
    copy_store(store_url, other_url)
    ledger = Ledger(store_url)
    record_failure(ledger, "bad", "trace", "first reason", 1)
    ledger.commit(write_part(store_url, PARTS[1]))
    made = copy_store(store_url, other_url)
    assert (made.num_parts, made.num_there) == (1, 1)
    assert copy_store(store_url, other_url).num_parts == 0
    assert open_store(other_url).digest() == open_store(store_url).digest()
    assert [failure.reason for failure in read_failures(open_backend(other_url))] == ["first reason"]


def test_a_later_record_of_a_failure_replaces_an_earlier_one_and_never_the_other_way(tmp_path: Path) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    make_store(here)
    record_failure(Ledger(here), "bad", "trace", "old", 1)
    copy_store(here, there)
    for url, reason, time in ((here, "newer", "2999-01-01T00:00:00+00:00"), (there, "newest", "3000")):
        (name,) = open_backend(url).list_dir("failures")
        record = json.loads(open_backend(url).read(f"failures/{name}") or b"")
        open_backend(url).put(f"failures/{name}", json.dumps({**record, "reason": reason, "time": time}).encode())
        if url == here:
            copy_store(here, there)
            assert [failure.reason for failure in read_failures(open_backend(there))] == ["newer"]
    copy_store(here, there)
    assert [failure.reason for failure in read_failures(open_backend(there))] == ["newest"]


def test_the_failure_of_a_later_run_replaces_that_of_an_earlier_one_whatever_their_clocks_said(tmp_path: Path) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    make_store(here)
    for year, reason in ((3000, "old"), (2000, "new")):
        ledger = Ledger(here)
        ledger.start_run(1, 0, 60.0, {})
        record_failure(ledger, "bad", "trace", reason, 1)
        (name,) = open_backend(here).list_dir("failures")
        record = json.loads(open_backend(here).read(f"failures/{name}") or b"")
        open_backend(here).put(f"failures/{name}", json.dumps({**record, "time": f"{year}-01-01"}).encode())
        copy_store(here, there)
        assert [failure.reason for failure in read_failures(open_backend(there))] == [reason]


def test_what_is_there_is_not_written_again_and_what_is_torn_is(tmp_path: Path) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    (manifest,) = make_store(here, PARTS[0]).manifests
    copy_store(here, there)
    (commit,) = (tmp_path / "there" / "commits").iterdir()
    commit.unlink()  # as if it had been killed just before
    part = tmp_path / "there" / "parts" / manifest.part
    flipped, missing, short = part / "edges/weight/c/0", part / "nodes/kind/c/0", part / "edges/source/c/0"
    flipped.write_bytes(bytes([flipped.read_bytes()[0] ^ 1]) + flipped.read_bytes()[1:])
    missing.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    before = open_backend(there).list_all("parts")
    copy_store(here, there)
    after = open_backend(there).list_all("parts")
    assert open_store(there).verify() == manifest.num_bytes
    written = {Path(key) for key in after if after[key] != before.get(key)}
    torn = {path.relative_to(tmp_path / "there") for path in (flipped, missing, short)}
    assert written == torn | {Path("parts") / manifest.part / "zarr.json"}, "the last one keeps the part young for gc"


def test_another_store_is_refused_with_every_difference(store_url: str, other_url: str) -> None:
    make_store(store_url, PARTS[0])
    Ledger(other_url).create_or_check({**RUN_INFO, "created": "later", "versions": {"numpy": "3"}})
    before = objects(other_url)
    with pytest.raises(StoreMismatch) as caught:
        copy_store(store_url, other_url)
    assert f'versions.numpy: {other_url} has "3", the source "2"' in str(caught.value)
    assert f'created: {other_url} has "later", the source nothing' in str(caught.value)
    assert objects(other_url) == before


def test_no_store_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match=r"no run\.json"):
        copy_store(str(tmp_path / "nothing"), str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_damage_in_the_source_is_not_copied(tmp_path: Path, damage: str) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    manifests = make_store(here, *PARTS).manifests
    chunk = tmp_path / "here" / "parts" / manifests[1].part / "edges/weight/c/0"
    if damage == "missing":
        chunk.unlink()
    else:
        chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    with pytest.raises(StoreCorrupt, match=r"edges/weight/c/0 .*'p10', 'p11'"):
        copy_store(here, there)
    copied = open_store(there)
    assert list(copied) == ["p00", "p01"]
    assert copied.verify() == manifests[0].num_bytes


def test_what_the_target_has_beside_stays_and_is_counted(tmp_path: Path) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    make_store(here, PARTS[0])
    copy_store(here, there)
    Ledger(there).commit(write_part(there, PARTS[1]))
    assert copy_store(here, there).num_beside == 1
    assert len(open_store(there)) == 4


def test_a_compacted_store_is_copied_with_its_index_and_without_what_it_superseded(
    store_url: str, other_url: str
) -> None:
    store = make_store(store_url, *PARTS)
    compact(store_url)
    Ledger(store_url).commit(write_part(store_url, [random_graph("later")]))
    copy_store(store_url, other_url)
    copied = open_store(other_url)
    assert copied.index is not None
    assert len(copied.catalogue.commits) == len(open_backend(other_url).list_dir("commits")) == 2
    assert copied.digest() == open_store(store_url).digest()
    assert copied.verify() > 0
    assert set(copied) == {*store, "later"}
    assert copy_store(store_url, other_url).num_parts == 0


def test_a_copy_made_before_compacting_gets_the_index_later(tmp_path: Path) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    store = make_store(here, *PARTS)
    copy_store(here, there)
    compact(here)
    made = copy_store(here, there)
    assert (made.num_parts, made.num_beside) == (1, 0)
    copied = open_store(there)
    assert len(copied.catalogue.superseded) == 3
    assert copied.digest() == store.digest()


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    store = make_store(here, *PARTS)
    assert main(["copy", here, there]) == 0
    assert capsys.readouterr().out.startswith("copied 3 parts of ")
    assert main(["copy", here, there]) == 0
    assert capsys.readouterr().out == "copied 0 parts of 0 bytes; 3 were there\n"
    assert main(["digest", there]) == 0
    assert capsys.readouterr().out == f"{store.digest()}\n"
    assert main(["copy", str(tmp_path), there]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(  # reading and writing do not know of each other: each kind of place once at each end
    ("store_url", "other_url"),
    [
        ("local", "s3"),
        ("s3", "local"),
        pytest.param("local", "local", marks=pytest.mark.thorough),
        pytest.param("s3", "s3", marks=pytest.mark.thorough),
    ],
    indirect=True,
)
def test_a_copy_killed_at_random_moments_is_a_store_and_the_same_command_goes_on(
    store_url: str, other_url: str
) -> None:
    parts = [[random_graph(f"p{i:02}{n}", seed=2 * i + n) for n in range(2)] for i in range(16)]
    source = make_store(store_url, *parts)
    digests = {graph.prompt_id: graph_digest(graph) for graph in source.graphs()}
    there = open_backend(other_url)

    def check() -> None:
        if there.read("run.json") is not None:
            copied = open_store(other_url)
            assert copied.verify() >= 0
            assert list(copied) == sorted(digests)[: len(copied)], "parts are committed in order"
            assert all(digests[graph.prompt_id] == graph_digest(graph) for graph in copied.graphs())

    num_objects = 0

    def has_begun() -> bool:
        """It has written something that was not there before."""
        nonlocal num_objects
        before, num_objects = num_objects, len(there.list_all(""))
        return num_objects > before > 0 or (before == 0 and num_objects > 0)

    kill_until_done(["copy", store_url, other_url], has_begun, check, longest_wait=0.3, most=3)
    collect_garbage(other_url, grace_hours=0.0)  # temporary files of the killed
    assert objects(other_url) == objects(store_url)
    assert open_store(other_url).digest() == source.digest()
