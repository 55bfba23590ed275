"""OverlappedWriter: writes a full part of the store in a thread of its own, while the worker traces further prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Thread

from ..config import StoreConfig
from ..errors import OutOfMemory
from ..graph.graph import Graph
from ..store.backend.open import is_path
from ..store.format.part_manifest import PartManifest
from ..store.writer import PartWriter
from .failures import first_line, is_out_of_memory


def overlap_helps(store: str, device_type: str, threads: int) -> bool:
    """Whether a worker should trace while a part of `store` is written.

    `device_type` is that of its model, and `threads` the number of its CPU threads. Writing mostly compresses if the
    store is on a disk, and mostly waits if it is on a server. A worker on a CPU leaves no core idle for compressing, so
    it gains nothing with a disk; if it has several threads, they wait for each other in every product, and would wait
    for the one whose core is taken. docs/engine.md has the measurements.
    """
    return device_type != "cpu" or (threads == 1 and not is_path(store))


class OverlappedWriter:
    """Collects graphs in one PartWriter, while another one writes the part before: at most one part is in flight.

    Each call returns at most one manifest, and none of a part that is not completely written. An error of the part in
    flight is raised by the next call other than `add`; the part's graphs are kept, and a later call writes them again.
    The thread does not use torch, whose settings belong to the whole process. The end of the program does not wait for
    it: what it leaves has no commit, and does not count.
    """

    def __init__(self, config: StoreConfig, worker: str, check_files: Callable[[], None], overlap: bool) -> None:
        """Create a writer of parts for the worker of the name `worker`, which messages give.

        `check_files` raises FilesChanged if graphs that were traced until now may belong to two models. It is called in
        the caller's thread, before a part is written. Without `overlap`, parts are written in the caller's thread, too.
        """
        self._worker, self._check_files, self._overlap = worker, check_files, overlap
        self._filling, self._behind = (PartWriter(config.store, config) for _ in range(2))
        self._in_flight: Future[PartManifest | None] | None = None

    def add(self, graph: Graph, asked: str) -> None:
        """Keep a graph for the next part, as `PartWriter.add` does."""
        self._filling.add(graph, asked)

    def raise_failure(self) -> None:
        """Raise the error of the part in flight, if it has failed."""
        if self._in_flight is not None and self._in_flight.done() and self._in_flight.exception() is not None:
            self._join()

    def advance(self) -> PartManifest | None:
        """Begin to write the part that is being filled if it is full, after the part before it has been written.

        Return a part's manifest once it is written, and None if there is none yet.
        """
        if not self._filling.full:
            return self._join() if self._in_flight is not None and self._in_flight.done() else None
        if not self._overlap:
            return self.flush()
        manifest = self._join()
        self._begin()
        return manifest

    def flush(self) -> PartManifest | None:
        """Wait for the part in flight and return its manifest; if there is none, write the graphs that are kept.

        Return None if there are none. Two calls thus write everything.
        """
        if self._in_flight is not None or len(self._behind):
            return self._join()
        return self._write(self._filling)

    def _begin(self) -> None:
        """Begin to write the part that is full. Errors are kept for the next call, as this one may have a manifest."""
        self._filling, self._behind = self._behind, self._filling
        self._in_flight = Future()
        try:
            self._check_files()
            Thread(target=_run, args=(self._behind, self._in_flight), name="part", daemon=True).start()
        except Exception as error:
            self._in_flight.set_exception(error)

    def _join(self) -> PartManifest | None:
        """Wait for the part in flight and return its manifest.

        If a part failed before, write its graphs again; None if there is nothing to write.
        """
        if self._in_flight is None:
            return self._write(self._behind)
        wait([self._in_flight])  # a signal may interrupt this, and the part is then still in flight
        finished, self._in_flight = self._in_flight, None
        with self._describing():
            return finished.result()

    def _write(self, writer: PartWriter) -> PartManifest | None:
        if not len(writer):
            return None
        self._check_files()
        with self._describing():
            return writer.flush()

    @contextmanager
    def _describing(self) -> Iterator[None]:
        """Raise OutOfMemory, which says what to try, for an error that means that there is not enough memory."""
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"{self._worker} has no memory left to write a part: {type(error).__name__}: {first_line(error)}. "
                "What is committed stays. Try a smaller --part-prompts or --part-edges, or fewer workers on a machine."
            ) from error


def _run(writer: PartWriter, in_flight: Future[PartManifest | None]) -> None:
    try:
        in_flight.set_result(writer.flush())
    except BaseException as error:
        in_flight.set_exception(error)
