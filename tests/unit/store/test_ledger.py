from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from ledgers import record_failure
from random_graphs import random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.errors import StoreCorrupt, StoreError, StoreMismatch
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.object_names import COMMIT_NAME
from distributed_tracer.store.reader import open_store


def identity(**trace: Any) -> dict[str, Any]:
    return {"identity": {"model": "tiny", "trace": {"round_size": 4, **trace}}}


def test_a_second_run_with_the_same_identity_continues(store_url: str) -> None:
    Ledger(store_url).create_or_check(RUN_INFO)
    Ledger(store_url).create_or_check({**RUN_INFO, "versions": {"numpy": "3"}})
    assert open_store(store_url).info["versions"] == {"numpy": "2"}
    assert len(open_store(store_url)) == 0


def test_another_identity_is_refused_with_every_difference(store_url: str) -> None:
    Ledger(store_url).create_or_check({"identity": {"model": "tiny", "trace": {"round_size": 4, "keep_all": True}}})
    with pytest.raises(StoreMismatch) as caught:
        Ledger(store_url).create_or_check({"identity": {"model": "large", "trace": {"round_size": 5}, "bits": 10}})
    message = str(caught.value)
    assert 'model: the store has "tiny", this run "large"' in message
    assert "trace.round_size: the store has 4, this run 5" in message
    assert "trace.keep_all: the store has true, this run nothing" in message
    assert "bits: the store has nothing, this run 10" in message


def test_tuples_in_an_identity_equal_the_lists_they_become(tmp_path: Path) -> None:
    for _ in range(2):
        Ledger(str(tmp_path)).create_or_check({"identity": {"layers": (1, 2)}})


def test_a_folder_with_another_run_json_is_refused(tmp_path: Path) -> None:
    for content in (b"not json", b"[]", b'{"format_version": 1, "format": "else", "identity": {}}'):
        open_backend(str(tmp_path)).put("run.json", content)
        with pytest.raises(StoreCorrupt, match="does not describe a store"):
            Ledger(str(tmp_path)).create_or_check(RUN_INFO)


def test_done_is_what_commits_name(store_url: str) -> None:
    ledger, other = Ledger(store_url), Ledger(store_url)
    ledger.create_or_check(RUN_INFO)
    assert other.done() == set()
    manifest = write_part(store_url, [random_graph("a"), random_graph("b")])
    assert ledger.done() == set()
    ledger.commit(manifest)
    assert ledger.done() == other.done() == {"a", "b"}
    other.commit(write_part(store_url, [random_graph("c")]))
    assert ledger.done() == {"a", "b", "c"}


def test_commits_are_numbered_in_the_order_they_come(store_url: str) -> None:
    make_store(store_url, [random_graph("a")], [random_graph("b")])
    Ledger(store_url).commit(write_part(store_url, [random_graph("c")]))
    names = open_backend(store_url).list_dir("commits")
    assert [int(name[:10]) for name in names] == [1, 2, 3]
    assert all(COMMIT_NAME.fullmatch(name) for name in names)


def test_committing_a_part_manifest_again_changes_nothing(store_url: str) -> None:
    make_store(store_url, [random_graph("a")])
    manifest = write_part(store_url, [random_graph("b")])
    first, again = Ledger(store_url), Ledger(store_url)
    again.done()
    first.commit(manifest)
    again.commit(manifest)  # it does not know that its own first try came through
    assert len(open_backend(store_url).list_dir("commits")) == 2
    assert again.done() == {"a", "b"}


def test_a_failure_is_recorded_with_its_reason_and_replaced(store_url: str) -> None:
    ledger = Ledger(store_url)
    ledger.create_or_check(RUN_INFO)
    strange = "a/../b\n🧪"
    record_failure(ledger, strange, "tokenize", "too long: 99 tokens, 64 fit", 1)
    record_failure(ledger, strange, "trace", "worker died", 3)
    record_failure(ledger, "other", "trace", "worker died", 3)
    failures = Ledger(store_url).failures()
    assert set(failures) == {strange, "other"}
    assert (failures[strange].phase, failures[strange].attempts) == ("trace", 3)
    assert failures[strange].reason == "worker died"
    assert failures[strange].time.endswith("+00:00")


def test_a_prompt_done_later_is_no_failure(store_url: str) -> None:
    ledger = Ledger(store_url)
    ledger.create_or_check(RUN_INFO)
    record_failure(ledger, "a", "trace", "worker died", 3)
    ledger.commit(write_part(store_url, [random_graph("a")]))
    assert Ledger(store_url).failures() == {}
    assert Ledger(store_url).done() == {"a"}


def test_foreign_files_in_the_store_are_left_alone(tmp_path: Path) -> None:
    make_store(str(tmp_path), [random_graph("a")])
    for name in ("commits/.0000000002.tmp", "commits/notes.txt", "failures/README", "parts/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("junk")
    assert Ledger(str(tmp_path)).done() == {"a"}
    assert Ledger(str(tmp_path)).failures() == {}


@pytest.mark.parametrize("change", ["truncate", "part", "object"])
def test_a_malformed_commit_is_named(tmp_path: Path, change: str) -> None:
    make_store(str(tmp_path), [random_graph("a")])
    (path,) = (tmp_path / "commits").iterdir()
    document = json.loads(path.read_bytes())
    if change == "part":
        document["part"] = "../../etc"
    if change == "object":
        document["objects"]["../../../etc/passwd"] = [1, "0"]
    path.write_text(json.dumps(document)[: 50 if change == "truncate" else None])
    with pytest.raises(StoreCorrupt, match=path.name):
        Ledger(str(tmp_path)).done()


def test_a_commit_that_is_not_ours_is_never_taken_for_ours(tmp_path: Path) -> None:
    make_store(str(tmp_path), [random_graph("c")])
    manifest = write_part(str(tmp_path), [random_graph("a")])
    ledger = Ledger(str(tmp_path))
    ledger.done()
    stranger = write_part(str(tmp_path), [random_graph("b")]).to_json("")
    open_backend(str(tmp_path)).put_if_absent(f"commits/0000000002-{manifest.part}.json", stranger)
    with pytest.raises(StoreError, match="holds another part"):
        ledger.commit(manifest)


def _drive(url: str, seed: int, barrier: Any) -> None:
    ledger = Ledger(url)
    barrier.wait()
    ledger.create_or_check(RUN_INFO)
    for i in range(seed, seed + 3):
        ledger.commit(write_part(url, [random_graph(f"p{i}", seed=i)]))


@pytest.mark.slow
def test_two_drivers_on_one_store_lose_nothing(store_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    drivers = [spawn.Process(target=_drive, args=(store_url, seed, barrier)) for seed in (0, 2)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert [driver.exitcode for driver in drivers] == [0, 0]
    store = open_store(store_url)
    assert list(store) == [f"p{i}" for i in range(5)]
    assert len(open_backend(store_url).list_dir("commits")) == 6
    assert Ledger(store_url).done() == set(store)
    clean = make_store(f"{store_url}-clean", [random_graph(f"p{i}", seed=i) for i in range(5)])
    assert store.digest() == clean.digest()
    assert store.verify() > 0
