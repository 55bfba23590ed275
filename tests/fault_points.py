"""Kills a process with signal 9 between any two of the changes that it makes on disk, which are counted.

A killed process leaves what the operating system holds in memory, so syncing makes no difference here. Syncing is
therefore left out, which is faster, and killing right before a change equals killing right after the previous one.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

from ledgers import record_failure
from random_graphs import random_graph
from random_stores import RUN_INFO, write_part

from distributed_tracer.store.backend import local
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance import copy_parts
from distributed_tracer.store.maintenance.split import split_store
from distributed_tracer.store.reader import open_store

Work = Callable[[str], object]

GRAPHS = [random_graph(f"p{i}", seed=i, num_active=12, num_positions=3) for i in range(8)]

_OS = ("link", "replace", "mkdir", "unlink", "rename", "rmdir")
_mkdir = os.mkdir
_SPACING = int(os.environ.get("KILL_SPACING", "240"))
"""Only every `_SPACING`-th change within a part or an index is a point to kill at. 1 tries them all, in half an hour.
"""
_SHALLOW = 2


class Points:
    """Counts changes, kills the process right before one of them, and reports how deep in the store each change is."""

    def __init__(self, url: str, fatal: int | None, report: int) -> None:
        self._url, self._fatal, self._report = url, fatal, report
        self._count, self._lock = 0, Lock()

    def wrapped(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(path: Any, *args: Any, **kwargs: Any) -> Any:
            if change is not _mkdir or not os.path.isdir(path):
                self.at(path if "dir_fd" not in kwargs else f"{self._url}/within/a/folder")
            return change(path, *args, **kwargs)

        return counted

    def at(self, path: Any) -> None:
        """Record that a change of this file or folder follows."""
        with self._lock:
            if self._count == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            self._count += 1
            os.write(self._report, bytes([os.path.relpath(path, self._url).count(os.sep) + 1]))


def killed_runs(work: Work, before: Path | None, url: Path) -> Iterator[int]:
    """Run `work(url)` on the store `before` (None: an empty one), and kill it at another change for each iteration.

    The points are every change of a record, a commit, an index's JSON or a whole folder, which are at most two names
    deep, and every `_SPACING`-th of the many similar changes within a part or an index. The first value is the number
    of changes of a run that was not killed, and comes when everything is done.
    """
    depths = run_and_kill(work, _fresh(before, url), None)
    yield len(depths)
    for point in points(depths):
        assert len(run_and_kill(work, _fresh(before, url), point)) == point, "it came to be killed"
        yield point
    shutil.rmtree(url)


def points(depths: bytes) -> list[int]:
    """Return the numbers of the changes at which to kill."""
    return [point for point, depth in enumerate(depths) if depth <= _SHALLOW or point % _SPACING == 0]


def run_and_kill(work: Work, url: str, fatal: int | None) -> bytes:
    """Run `work(url)` in its own process, kill it at change `fatal`, and return the depths of the changes that it made.

    The process is forked from a server that has imported everything and started no thread, because zarr's threads do
    not survive a fork.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(
        ["fault_points", "distributed_tracer.store.maintenance.repair", "distributed_tracer.store.maintenance.compact"]
    )
    read, write = context.Pipe(duplex=False)
    process = context.Process(target=_killed_at, args=(work, url, fatal, write))
    process.start()
    write.close()
    with open(os.dup(read.fileno()), "rb") as reached:
        depths = reached.read()
    read.close()
    process.join()
    assert process.exitcode == (0 if fatal is None else -signal.SIGKILL), "it failed, or ended, by itself"
    return depths


def write_all(url: str) -> None:
    """Make a run: write everything that is not done yet, in two parts, and a failure."""
    ledger = Ledger(url)
    ledger.create_or_check(RUN_INFO)
    done = ledger.done()
    ledger.start_run(len(GRAPHS) + 1, len(done), 60.0, {})
    for half in (GRAPHS[:4], GRAPHS[4:]):
        if left := [graph for graph in half if graph.prompt_id not in done]:
            ledger.commit(write_part(url, left))
    record_failure(ledger, "bad", "trace", "no memory", 2)


def split_all(source: str, url: str) -> None:
    """Copy every graph of a store into another one."""
    split_store(open_store(source), url, list(open_store(source)))


def _fresh(before: Path | None, url: Path) -> str:
    shutil.rmtree(url, ignore_errors=True)
    if before:
        shutil.copytree(before, url)
    return str(url)


def _killed_at(work: Work, url: str, fatal: int | None, report: Any) -> None:
    on_local_disk(Points(url, fatal, report.fileno()))
    work(url)


def on_local_disk(points: Points) -> None:
    """Count links, replaces, mkdirs, unlinks, renames, rmdirs, and halves of writes, in the same order in each run."""
    os.fsync = _nothing
    for name in _OS:
        setattr(os, name, points.wrapped(getattr(os, name)))

    def torn(path: Path, data: bytes) -> None:
        points.at(path)
        with path.open("wb", buffering=0) as file:
            file.write(data[: len(data) // 2])
            points.at(path)
            file.write(data[len(data) // 2 :])

    local._write_synced = torn
    for module in (local, copy_parts):
        module.ThreadPoolExecutor = _OneByOne  # type: ignore[attr-defined]


def _nothing(descriptor: Any) -> None:
    pass


class _OneByOne:
    """A thread pool that uses no threads."""

    def __init__(self, size: int, name: str = "") -> None:
        pass

    def __enter__(self) -> _OneByOne:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, *args: Any) -> Any:
        return map(*args)
