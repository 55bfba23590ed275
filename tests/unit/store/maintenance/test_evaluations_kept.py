"""Upkeep takes figures along, checks them, and leaves them alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import StoreCorrupt
from distributed_tracer.report.info import info_of, info_text
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.evaluations import EvaluatedPrompt, check_keys, new_check, write_check
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.maintenance.repair import repair
from distributed_tracer.store.maintenance.split import split_store
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.table import Table

IDS = ("a", "b", "c")


def checked_store(url: str, ids: tuple[str, ...] = IDS) -> Store:
    """One object with figures of each prompt: its id's number."""
    store = make_store(url, [random_graph(name, seed=ord(name)) for name in ids])
    prompts = tuple(EvaluatedPrompt(name, store.entry(name).asked, "") for name in ids)
    tables = [Table({"value": [ord(name)]}) for name in ids]
    write_check(store.root, new_check("edges", {}, {}, prompts, tables))
    return store


def values(url: str) -> dict[str, int]:
    table = open_store(url).checks("edges")
    return dict(zip(table["prompt"].tolist(), table["value"].tolist(), strict=True)) if len(table) else {}


def damaged(store: Store) -> str:
    (key,) = check_keys(store.root)
    path = Path(store.url) / key
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data.replace(b'"value":[97', b'"value":[98'))
    return key


def test_a_copy_brings_them_once(store_url: str, other_url: str) -> None:
    checked_store(store_url)
    for _ in range(2):
        copy_store(store_url, other_url)
        assert values(other_url) == {"a": 97, "b": 98, "c": 99}
    assert check_keys(open_backend(other_url)) == check_keys(open_backend(store_url))


def test_a_merge_brings_those_of_all(tmp_path: Path) -> None:
    checked_store(str(tmp_path / "one"))
    checked_store(str(tmp_path / "two"), ("d",))
    merge_stores(str(tmp_path / "all"), [str(tmp_path / "one"), str(tmp_path / "two")])
    assert values(str(tmp_path / "all")) == {"a": 97, "b": 98, "c": 99, "d": 100}


def test_a_split_brings_those_of_its_prompts_once(store_url: str, other_url: str) -> None:
    store = checked_store(store_url)
    for _ in range(2):
        split_store(store, other_url, ["b"])
        assert values(other_url) == {"b": 98}
    assert len(check_keys(open_backend(other_url))) == 1


def test_compacting_and_cleaning_leave_them(tmp_path: Path) -> None:
    store = checked_store(str(tmp_path / "store"))
    compact(store.url)
    (tmp_path / "store" / "checks" / "edges" / ".x.tmp").write_bytes(b"half")
    time.sleep(0.01)
    assert [one.key for one in collect_garbage(store.url, grace_hours=0)] == ["checks/edges/.x.tmp"]
    assert values(store.url) == {"a": 97, "b": 98, "c": 99}


def test_what_was_altered_is_found_not_copied_and_taken_out(tmp_path: Path) -> None:
    store = checked_store(str(tmp_path / "store"))
    assert verify(store.root).damages == ()
    key = damaged(store)
    assert [damage.key for damage in verify(store.root).damages] == [key]
    with pytest.raises(StoreCorrupt, match="altered"):
        copy_store(store.url, str(tmp_path / "copy"))
    repair(store.url)
    assert verify(store.root).damages == ()
    assert values(store.url) == {}
    assert len(open_store(store.url)) == 3


def test_info_says_that_they_are_there(tmp_path: Path) -> None:
    store = checked_store(str(tmp_path / "store"))
    (key,) = check_keys(store.root)
    size = (tmp_path / "store" / key).stat().st_size
    found = info_of(store.url)
    assert found["checks"] == {"edges": {"objects": 1, "bytes": size}}
    assert f"checks   edges: 1 objects of {size:,} bytes" in info_text(found)
