"""No more is read of an object than was noted of its size, or than its kind can have; nor is more written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ledgers import record_failure
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import StoreCorrupt, StoreError
from distributed_tracer.report.status import status_of
from distributed_tracer.store import object_names
from distributed_tracer.store.backend.base import Larger
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.failure import read_failures
from distributed_tracer.store.format.run_record import read_runs
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import open_store

GIGABYTES = 50 * 10**9
"""More than there is memory; as a file without content it takes no room on the disk."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A part, an index, a run that has begun, a failure."""
    path = tmp_path / "store"
    graphs = [random_graph(name, seed=n, num_active=8, num_positions=3) for n, name in enumerate("ab")]
    make_store(str(path), graphs)
    ledger = Ledger(str(path))
    ledger.start_run(3, 0, 60.0, {})
    record_failure(ledger, "c", "trace", "no memory", 1)
    return path


def open_all(store: Path) -> None:
    for name in ("a", "b"):
        open_store(str(store)).graph(name)


def enlarge(path: Path) -> str:
    os.truncate(path, GIGABYTES)
    return f"{path.name} has 50,000,000,000 bytes"


def test_a_chunk_of_many_gigabytes_is_refused_by_its_size_and_named_with_its_prompts(store: Path) -> None:
    (chunk,) = store.glob("parts/*/edges/weight/c/0")
    expected = chunk.stat().st_size
    enlarge(chunk)
    said = f"edges/weight/c/0 has 50,000,000,000 bytes, the commit says {expected}; it concerns prompts? 'a'"
    with pytest.raises(StoreCorrupt, match=said):
        open_store(str(store)).graph("a")
    (damage,) = verify(open_backend(str(store))).damages
    assert "has 50,000,000,000 bytes" in damage.problems[0]


@pytest.mark.parametrize("pattern", ["run.json", "commits/*.json", "index/*.json"])
def test_a_document_of_many_gigabytes_is_refused_and_listed(store: Path, pattern: str) -> None:
    compact(str(store))
    path = sorted(store.glob(pattern))[-1]
    said = enlarge(path)
    with pytest.raises(StoreCorrupt, match=rf"{said}; at most [0-9,]+ are read of such an object"):
        open_all(store)
    listed = [problem for damage in verify(open_backend(str(store))).damages for problem in damage.problems]
    assert any(said in problem for problem in listed)


def test_records_of_many_gigabytes_are_refused_and_listed_and_keep_no_run_from_starting(
    store: Path, tmp_path: Path
) -> None:
    (failure,), (run,) = store.glob("failures/*.json"), store.glob("runs/*.json")
    said = [enlarge(failure), enlarge(run)]
    root = open_backend(str(store))
    for read in (read_failures, read_runs):
        with pytest.raises(StoreCorrupt, match="has 50,000,000,000 bytes; at most"):
            read(root)
    with pytest.raises(StoreCorrupt, match="has 50,000,000,000 bytes; at most"):
        status_of(str(store))
    with pytest.raises(StoreCorrupt, match="has 50,000,000,000 bytes; at most"):
        copy_store(str(store), str(tmp_path / "copy"))
    listed = [problem for damage in verify(root).damages for problem in damage.problems]
    assert [each for each in said if not any(each in problem for problem in listed)] == []
    Ledger(str(store)).start_run(3, 0, 60.0, {})


def test_of_several_objects_those_that_are_larger_than_noted_are_told_apart(root_url: str) -> None:
    root = open_backend(root_url)
    objects = {"parts/a": b"1234", "parts/b": b"12345", "parts/c": b"", "parts/e": b"123"}
    root.put_many(objects)
    larger: dict[str, Larger] = {}
    found = root.read_many([*objects, "parts/d"], dict.fromkeys((*objects, "parts/d"), 4), larger)
    assert found == {"parts/a": b"1234", "parts/c": b"", "parts/e": b"123"}
    assert list(larger) == ["parts/b"]
    assert larger["parts/b"].num_bytes in (5, None)
    with pytest.raises(StoreCorrupt, match=r"parts/b has (5|more than 4) bytes; at most 4 are read"):
        root.read_many(["parts/b"], {"parts/b": 4})


def test_what_could_not_be_read_again_is_not_written(root_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = open_backend(root_url)
    monkeypatch.setattr(object_names, "_MOST_OF_OTHERS", 10)
    with pytest.raises(StoreError, match="would have 11 bytes, and at most 10 are read"):
        root.put_if_absent("commits/1.json", b"x" * 11)
    assert root.list_dir("commits") == []
    assert root.put_if_absent("commits/1.json", b"x" * 10) == b"x" * 10


def test_an_error_of_any_length_is_a_failure_that_can_be_read(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    record_failure(ledger, "p" * 500, "trace", "\U0001f600" * 10**6, 1)
    (failure,) = read_failures(open_backend(str(tmp_path)))
    assert len(failure.reason) == 50_000
