"""import_graphs: reads graphs that other tools wrote, and adds them to a store of imported graphs."""

from __future__ import annotations

import glob
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from .. import __version__
from ..config import StoreConfig
from ..errors import ConfigError, StoreMismatch, StoreNotFound, StoreUnavailable, TracerError, WorkerLost
from ..graph.labels import Label
from ..redact import redacted, without_secrets
from ..store.annotations import read_labels, write_groups, write_labels
from ..store.backend.open import open_backend
from ..store.format.annotation import PromptGroups
from ..store.ledger import Ledger
from ..store.read.prefetch import results_in_order
from ..store.reader import open_store
from ..store.writer import PartWriter
from ..text import and_more, counted, printable, short
from .formats import ImportOptions, content_hash, files_below, is_graph_folder, is_list_of_graphs, read_graph_file
from .imported_graph import ImportedGraph
from .token_names import names_of_tokenizer, unnamed

IDENTITY = {"imported": True}
"""What makes a store one of imported graphs: a run of `trace` never continues it, and imports continue no other."""
_AUTHOR = "import"
_VERSIONS = {"versions": {"distributed_tracer": __version__}}
_SHOWN = 20
Show = Callable[[int, int], None]


@dataclass(frozen=True)
class ImportSummary:
    """What came of an import."""

    store: str
    num_imported: int
    num_there: int
    """Files whose content the store had already."""
    failed: dict[str, str]
    """Why each file was not imported, by its path."""
    notes: dict[str, tuple[str, ...]]
    """What of each file could not be kept, by its path; only of files that lost something."""
    seconds: float

    @property
    def exit_code(self) -> int:
        """Exit code of the program: 0 all is done, 3 some files could not be imported."""
        return 3 if self.failed else 0

    def describe(self) -> str:
        """Return a few lines for people."""
        lines = [
            f"{counted(self.num_imported, 'graph')} imported into {self.store}, {self.num_there:,} skipped (imported "
            f"before), {len(self.failed):,} failed in {self.seconds:,.1f} seconds"
        ]
        lost = [f"{path}: {note}" for path, notes in self.notes.items() for note in notes]
        failed = [f"failed: {path}: {redacted(reason)}" for path, reason in self.failed.items()]
        for found in (lost, failed):
            lines += found[:_SHOWN]
            lines += [more] if (more := and_more(len(found) - _SHOWN, before="... ")) else []
        store = shlex.quote(self.store)
        lines.append(f"next: distributed-tracer query {store} --where imported_format=viewer")
        return "\n".join(map(printable, lines))


@dataclass
class _Progress:
    """What came of the files until now."""

    num_imported: int = 0
    num_there: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Read:
    """One file that was read: its graph, or the reason why it has none."""

    path: Path
    hash: str
    found: ImportedGraph | None
    reason: str = ""


def import_graphs(
    files: str | Path | Iterable[str | Path],
    store: str,
    *,
    prefix: str = "",
    drop_unknown: bool = False,
    num_layers: int | None = None,
    tokenizer: str | None = None,
    processes: int = 1,
    show: Show | None = None,
) -> ImportSummary:
    """Add the graphs in files of other tools, and of this one, to a store of imported graphs.

    `files` are files, patterns such as `graphs/*.json`, and directories, whose files count, but not those of
    directories in them. The store is created if it does not exist. A file is skipped if the store has a graph of the
    same content; so after an interruption, the same call goes on. A file that cannot be read is recorded as failed, and
    the others go on. `tokenizer` (a directory or a hub id) names the tokens of files that have only their ids.
    `show` is called with the number of files that are done, and of all. Raises ConfigError if there are no files, or
    for a store of traced graphs; StoreError.
    """
    if processes < 1:
        raise ConfigError(f"processes must be at least 1, not {processes}")
    if num_layers is not None and num_layers < 1:
        raise ConfigError(f"the number of layers must be at least 1, not {num_layers}")
    paths, started = _paths([files] if isinstance(files, str | Path) else files), time.monotonic()
    options = ImportOptions(prefix, drop_unknown, num_layers)
    if tokenizer is not None:
        names_of_tokenizer(tokenizer)  # a mistake shows at once
    writer, found = _Writer(store), list(_hashed(paths))
    with writer.run(found):
        read = partial(_read_one, options, tokenizer)
        for number, file in enumerate(_read_all(found, read, writer.hashes, processes), start=1):
            writer.take(file)
            if show:
                show(number, len(paths))
        writer.flush()
    done = writer.progress
    return ImportSummary(store, done.num_imported, done.num_there, done.failed, done.notes, time.monotonic() - started)


def _paths(files: Iterable[str | Path]) -> list[Path]:
    """Return the files that are meant, each once. Raises ConfigError if one of the arguments means none."""
    found: list[Path] = []
    for given in files:
        path = Path(given)
        if path.is_dir() and not is_graph_folder(path):
            inside = list(files_below(path))
        elif path.exists():
            inside = [path]
        else:
            named = (Path(name) for name in sorted(glob.glob(str(given), recursive=True)))
            inside = [name for name in named if not is_list_of_graphs(name)]
        if not inside:
            raise ConfigError(f"{str(given)!r} is no file, and no pattern or directory of files that can be imported")
        found += inside
    if not found:
        raise ConfigError("name at least one file to import")
    return list(dict.fromkeys(found))


def _hashed(paths: list[Path]) -> Iterator[_Read]:
    """Yield the hash of each file, or the reason why it cannot be read."""
    for path in paths:
        try:
            yield _Read(path, content_hash(path), None)
        except OSError as error:
            yield _Read(path, "", None, f"{type(error).__name__}: {error.strerror}")


def _read_all(files: list[_Read], read: Callable[[_Read], _Read], known: set[str], processes: int) -> Iterator[_Read]:
    """Yield what is in each file, in order, unless its content is known or it cannot be read; only a few files are in
    memory at a time."""
    jobs = (partial(_same if file.reason or file.hash in known else read, file) for file in files)
    if processes == 1:
        yield from (job() for job in jobs)
        return
    pool: Executor = ProcessPoolExecutor(processes, get_context("spawn"))
    try:
        yield from results_in_order(pool, jobs, 2 * processes - 1)
    except BrokenProcessPool as error:
        raise WorkerLost(
            "a process that read files ended, perhaps for want of memory: --processes 1 reads them one after another"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _same(file: _Read) -> _Read:
    return file


def _read_one(options: ImportOptions, tokenizer: str | None, file: _Read) -> _Read:
    """Read one file. Whatever is wrong with it concerns this file alone."""
    try:
        names = unnamed if tokenizer is None else names_of_tokenizer(tokenizer)
        return replace(file, found=read_graph_file(file.path, options, names))
    except TracerError as error:
        return replace(file, reason=str(error))
    except Exception as error:
        return replace(file, reason=f"{type(error).__name__}: {error}")


class _Writer:
    """Writes graphs into parts, and what belongs to them, and remembers what the store has."""

    def __init__(self, store: str) -> None:
        self.progress = _Progress()
        self._root, self._ledger = open_backend(store), Ledger(store)
        if (there := self._ledger.identity()) is not None and there != IDENTITY:
            raise StoreMismatch(f"{self._root.url} holds graphs that were traced: import into another store")
        self._ledger.create_or_check(
            {
                "identity": IDENTITY,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": without_secrets(shlex.join(sys.argv)),
                **_VERSIONS,
            }
        )
        self._hash_of = dict(self._ledger.content_hashes())
        self.hashes = set(self._hash_of.values())
        """Hashes of all files whose graphs are in the store, or will be with the next part."""
        self._num_layers = open_store(store).num_layers if self._hash_of else 0
        self._labels = {(*site, label) for site, labels in read_labels(self._root) for label in labels}
        # A part holds all active features of its graphs, or of none: files of viewers have only some.
        self._parts = {whole: PartWriter(store, StoreConfig(store, store_active=whole)) for whole in (True, False)}
        self._groups: list[PromptGroups] = []
        self._new_labels: list[tuple[int, int, Label]] = []

    @contextmanager
    def run(self, files: list[_Read]) -> Iterator[None]:
        """Record the run: how many graphs there are to be, how many of them are there, and how it ended."""
        different = {file.hash or str(file.path) for file in files}
        num_done = len(different & self.hashes)
        self._ledger.start_run(len(different), num_done, StoreConfig("").part_seconds, _VERSIONS)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, StoreUnavailable | StoreNotFound):
                with suppress(TracerError, OSError):
                    self.flush()
                    stopped = isinstance(error, KeyboardInterrupt)
                    self._ledger.end("stopped" if stopped else "failed", "" if stopped else f"{type(error).__name__}")
            raise
        self._ledger.end("finished")

    def take(self, read: _Read) -> None:
        """Add a graph to the next part, or record why it cannot be added."""
        if read.hash and read.hash in self.hashes:
            self.progress.num_there += 1
            return
        reason = read.reason
        if read.found is not None and not (reason := self._refusal(read.found)):
            try:
                self._add(read.found, read.hash)
            except TracerError as error:
                reason = str(error)
        if reason:
            self.progress.failed[str(read.path)] = reason
            name = read.found.graph.prompt_id if read.found else read.path.stem
            self._ledger.record_failures([(name, "import", f"{read.path.name}: {reason}", 1)])
        elif read.found is not None:
            self.progress.num_imported += 1
            if read.found.notes:
                self.progress.notes[str(read.path)] = read.found.notes

    def _refusal(self, found: ImportedGraph) -> str:
        """Return why a graph does not go with those that are in the store; empty if it does."""
        graph = found.graph
        if graph.prompt_id in self._hash_of:
            return (
                f"the store has the graph of another file under the id {short(graph.prompt_id)}: --prefix gives the "
                "graphs of a command other ids"
            )
        if self._num_layers and graph.num_layers != self._num_layers:
            return (
                f"its model has {graph.num_layers} layers, and that of the store {self._num_layers}: import graphs of "
                "another model into another store, or state the layers with --num-layers if the file does not say them"
            )
        return ""

    def _add(self, found: ImportedGraph, digest: str) -> None:
        graph, context = found.graph, found.context
        self._parts[found.all_active].add(graph, digest)
        self._num_layers = self._num_layers or graph.num_layers
        self._hash_of[graph.prompt_id] = digest
        self.hashes.add(digest)
        if context.groups or context.pins:
            self._groups.append(PromptGroups(graph.prompt_id, digest, context.groups, context.pins))
        rows = [(*site, label) for site, labels in context.labels for label in labels]
        self._new_labels += [row for row in rows if row not in self._labels]
        self._labels.update(rows)
        if any(part.full for part in self._parts.values()):
            self.flush()

    def flush(self) -> None:
        """Write what was taken. What people said of graphs is written first: a graph that counts then has it."""
        write_groups(self._root, self._groups, _AUTHOR)
        write_labels(self._root, self._new_labels, _AUTHOR)
        self._groups, self._new_labels = [], []
        manifests = [manifest for part in self._parts.values() if (manifest := part.flush()) is not None]
        self._ledger.commit(*manifests)
