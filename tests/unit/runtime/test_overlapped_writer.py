"""Parts that are written while the next ones are filled, into real stores. No model is loaded here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import RUN_INFO, make_store

from distributed_tracer.config import StoreConfig
from distributed_tracer.errors import FilesChanged, OutOfMemory, StoreError, StoreUnavailable, TracerError
from distributed_tracer.runtime import overlapped_writer
from distributed_tracer.runtime.overlapped_writer import OverlappedWriter, overlap_helps
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store
from distributed_tracer.store.writer import PartWriter

GRAPHS = {name: random_graph(name, seed=seed, num_active=12, num_positions=3) for seed, name in enumerate("abcdef")}
SECONDS = 20.0
flush = PartWriter.flush


class Gate:
    """Lets parts be written one by one, and says which threads wrote and how many parts were written at once."""

    def __init__(self) -> None:
        self.passes = threading.Semaphore(0)
        self.errors: list[Exception] = []
        """Errors to raise in place of writing, the first one first."""
        self.writing = self.most = 0
        self.threads: list[str] = []
        """Name of the thread that wrote each part; a thread for which the program's end would wait has another one."""

    def flush(self, writer: PartWriter) -> PartManifest | None:
        thread = threading.current_thread()
        self.threads.append(thread.name if thread.daemon or thread is threading.main_thread() else "waited for")
        self.writing += 1
        self.most = max(self.most, self.writing)
        try:
            assert self.passes.acquire(timeout=SECONDS)
            if self.errors:
                raise self.errors.pop(0)
            return flush(writer)
        finally:
            self.writing -= 1


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(PartWriter, "flush", lambda writer: gate.flush(writer))
    return gate


def unchanged() -> None:
    """No weights have changed."""


def writer_of(tmp_path: Path, overlap: bool = True, check: Callable[[], None] = unchanged) -> OverlappedWriter:
    url = str(tmp_path / "store")
    Ledger(url).create_or_check(RUN_INFO)
    return OverlappedWriter(StoreConfig(url, part_prompts=2, retry_seconds=0.0), "host:1", check, overlap)


def advance(writer: OverlappedWriter, name: str) -> list[str]:
    """Add a graph, and return the ids of the part that was written by then."""
    writer.add(GRAPHS[name], "")
    return ids(writer.advance())


def ids(manifest: PartManifest | None) -> list[str]:
    return [] if manifest is None else list(manifest.prompt_ids)


def until_written(writer: OverlappedWriter) -> None:
    assert writer._in_flight is not None
    overlapped_writer.wait([writer._in_flight], timeout=SECONDS)


def test_graphs_are_added_while_a_part_is_written_and_its_manifest_comes_only_then(tmp_path: Path, gate: Gate) -> None:
    writer = writer_of(tmp_path)
    assert [advance(writer, name) for name in "abc"] == [[], [], []]
    gate.passes.release()
    until_written(writer)
    assert ids(writer.advance()) == ["a", "b"]
    assert ids(writer.advance()) == []
    gate.passes.release()
    assert (ids(writer.flush()), ids(writer.flush())) == (["c"], [])
    assert gate.threads[:2] == ["part", "MainThread"]


def test_a_part_that_is_full_waits_for_the_one_before_so_that_only_one_is_in_flight(tmp_path: Path, gate: Gate) -> None:
    writer = writer_of(tmp_path)
    for name in "abc":
        assert advance(writer, name) == []
    threading.Timer(0.1, gate.passes.release).start()
    assert advance(writer, "d") == ["a", "b"]
    gate.passes.release()
    assert (ids(writer.flush()), gate.most) == (["c", "d"], 1)


@pytest.mark.parametrize("overlap", [False, True])
def test_parts_come_in_order_and_hold_the_same_with_overlap_and_without(tmp_path: Path, overlap: bool) -> None:
    writer, found = writer_of(tmp_path, overlap), list[PartManifest]()
    for name in GRAPHS:
        writer.add(GRAPHS[name], "")
        found += filter(None, [writer.advance()])
    while manifest := writer.flush():
        found.append(manifest)
    assert [ids(manifest) for manifest in found] == [["a", "b"], ["c", "d"], ["e", "f"]]
    Ledger(str(tmp_path / "store")).commit(*found)
    assert open_store(str(tmp_path / "store")).digest() == make_store(str(tmp_path / "all"), GRAPHS.values()).digest()


ERRORS: dict[str, tuple[Exception, type[TracerError], str]] = {
    "refused": (StoreError("403"), StoreError, "^403$"),
    "away": (StoreUnavailable("503; tried 1 times"), StoreUnavailable, "^503; tried 1 times$"),
    "no memory": (MemoryError("large"), OutOfMemory, "^host:1 has no memory left to write a part: MemoryError: large"),
    "no thread": (RuntimeError("can't start new thread"), OutOfMemory, "new thread.*Try a smaller --part-prompts"),
}


@pytest.mark.parametrize(
    ("what", "call"), [("refused", "trace"), ("away", "advance"), ("no memory", "flush"), ("no thread", "trace")]
)
def test_an_error_of_the_part_in_flight_is_raised_by_the_next_call_and_its_graphs_are_written_later(
    tmp_path: Path, gate: Gate, what: str, call: str
) -> None:
    error, kind, text = ERRORS[what]
    gate.errors.append(error)
    writer = writer_of(tmp_path)
    for name in "abc":
        advance(writer, name)
    writer.raise_failure()
    gate.passes.release(3)
    until_written(writer)
    calls = {"trace": writer.raise_failure, "advance": writer.advance, "flush": writer.flush}
    with pytest.raises(kind, match=text) as raised:
        calls[call]()
    assert type(raised.value) is kind
    assert [ids(writer.flush()) for _ in range(3)] == [["a", "b"], ["c"], []]


def test_a_thread_that_cannot_begin_is_out_of_memory_at_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = writer_of(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(overlapped_writer.Thread, "start", refuse)
        assert [advance(writer, name) for name in "ab"] == [[], []]
    with pytest.raises(OutOfMemory, match="no memory left to write a part"):
        writer.raise_failure()
    assert ids(writer.flush()) == ["a", "b"]


def test_weights_that_changed_keep_a_part_from_the_store_and_not_the_manifest_before_it(
    tmp_path: Path, gate: Gate
) -> None:
    changed = list[str]()

    def check() -> None:
        assert threading.current_thread() is threading.main_thread()
        if changed:
            raise FilesChanged("model.safetensors was written to")

    writer = writer_of(tmp_path, check=check)
    for name in "abc":
        advance(writer, name)
    changed.append("model.safetensors")
    gate.passes.release(9)
    assert advance(writer, "d") == ["a", "b"]
    for call in (writer.raise_failure, writer.flush, writer.flush):
        with pytest.raises(FilesChanged, match="was written to"):
            call()
    assert len(gate.threads) == 1


def test_a_signal_while_a_part_is_waited_for_leaves_it_in_flight(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(futures: object) -> None:
        raise KeyboardInterrupt

    writer = writer_of(tmp_path)
    for name in "ab":
        advance(writer, name)
    with monkeypatch.context() as patch:
        patch.setattr(overlapped_writer, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.flush()
    gate.passes.release()
    assert (ids(writer.flush()), ids(writer.flush()), len(gate.threads)) == (["a", "b"], [], 1)


@pytest.mark.parametrize(
    ("store", "device", "threads", "helps"),
    [
        ("graphs", "cpu", 1, False),
        ("file:///graphs", "cpu", 1, False),
        ("s3://bucket/graphs", "cpu", 1, True),
        ("gs://bucket/graphs", "cpu", 1, True),
        ("s3://bucket/graphs", "cpu", 2, False),
        ("graphs", "cuda", 8, True),
    ],
)
def test_parts_are_written_beside_the_tracing_where_that_takes_no_core_from_it(
    store: str, device: str, threads: int, helps: bool
) -> None:
    assert overlap_helps(store, device, threads) == helps
