"""TableFolder: a folder of Parquet files that a checksummed document makes a finished profile or result.

The document names every other file with its size and SHA-256, and is written last, so that a folder without it is
unfinished. Parquet needs the optional package pyarrow.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from .documents.json_text import parse_json
from .errors import ConfigError, TracerError
from .store.format.checksummed_json import MALFORMED, dump_checksummed, load_checksummed
from .store.format.run_file import differences
from .text import short


@dataclass(frozen=True)
class TableFolder:
    """A kind of folder: what it is called, and the document that it has."""

    name: str
    """What the folder is to the run that makes it, as in `a profile` or `a result`."""
    noun: str
    """What the folder is called where nothing else says what it belongs to."""
    document: str
    """Name of the document's file."""
    format: str
    version: int
    error: type[TracerError]
    """Class of the errors about folders that are damaged or of another kind."""
    decided_by: str
    """What a run must have the same to continue a folder."""

    def write(
        self, folder: Path, fields: Mapping[str, Any], files: Iterable[Path], known: Mapping[str, tuple[int, str]] = {}
    ) -> None:
        """Write the document for `files`, which lie in the folder.

        `known` has the sizes and SHA-256 of files that a document had before.
        """
        names = [path.relative_to(folder).as_posix() for path in files]
        found = {name: list(known[name] if name in known else size_and_digest(folder / name)) for name in names}
        document = {"format": self.format, "format_version": self.version, **fields, "files": found}
        with new_file(folder / self.document) as path:
            path.write_bytes(dump_checksummed(document))

    def read(self, folder: Path, check: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
        """Return the document of a folder, after `check` has checked and converted it; None if there is none.

        Raises the kind's error for a document that is damaged, of another format or of another version, and where
        `check` raises one of the exceptions in MALFORMED.
        """
        path = folder / self.document
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.error(f"{path} cannot be read: {error.strerror}") from error
        try:
            parse_json(data, ValueError)  # bounds depth and numbers
            document = load_checksummed(data)
            if document["format"] != self.format:
                raise ValueError(f"its format is {short(str(document['format']))}")
            if document["format_version"] == self.version:
                document["files"] = {
                    str(name): (int(size), str(sha)) for name, (size, sha) in document["files"].items()
                }
                check(document)
        except MALFORMED as error:
            raise self.damaged(path, f"{type(error).__name__}: {error}") from error
        if document["format_version"] != self.version:
            version = short(str(document["format_version"]))
            raise self.error(f"{path} has format version {version}; this program reads {self.version}")
        return document

    def damaged(self, path: Path, why: str) -> TracerError:
        """Return the error for a file that is not what a folder of this kind has there."""
        return self.error(f"{path} is not a {self.noun}, or it is damaged: {short(why, 200)}")

    def check_file(self, path: Path, expected: tuple[int, str]) -> None:
        """Raise the kind's error if a file is not the one that has the `expected` size and SHA-256."""
        try:
            found = size_and_digest(path)
        except OSError as error:
            raise self.error(f"{path} cannot be read: {error.strerror}") from error
        if found != expected:
            raise self.error(
                f"{path} is not as it was written: {found[0]:,} bytes, expected {expected[0]:,}, or other content"
            )

    def check_place(self, folder: Path) -> None:
        """Raise ConfigError for a place where there can be no folder."""
        if not folder.parent.is_dir():
            raise ConfigError(f"there is no directory {folder.parent} to write {folder.name} to")
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} exists and is no directory: a {self.name} is a folder of its own")

    def has_other_files(self, folder: Path) -> ConfigError:
        """Return the error for a folder that has files and was not begun by a run of this kind."""
        return ConfigError(f"{folder} has files and is no {self.noun}: give a folder that is new or empty")

    def check_same(self, folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
        """Raise ConfigError, which names every setting of the folder (`there`) that differs from this run's."""
        if lines := differences(there, here, (f"the {self.name}", "this run")):
            raise ConfigError(
                f"{folder} has a {self.name} that was made otherwise:\n  "
                + "\n  ".join(lines)
                + f"\n  Give the run the same settings and {self.decided_by}, or another folder."
            )

    @contextmanager
    def locked(self, folder: Path, lock: Path) -> Iterator[None]:
        """Hold a lock, whose folder is created, inside the block. Raises ConfigError if another run holds it."""
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"another run is making the {self.name} {folder}: wait for it, or name another folder"
                ) from error
            yield


def import_parquet(what: str = "reading and writing Parquet") -> Any:
    """Return the module pyarrow.parquet. Raises ConfigError, which says what needs it, if pyarrow is not installed."""
    try:
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(f"{what} needs pyarrow: pip install 'distributed-tracer[parquet]'") from error


def write_parquet(path: Path, tables: Iterator[Any], rows_of_group: int | None = None, **options: Any) -> None:
    """Write pyarrow.Tables of one schema, at least one, as one file, which appears whole or not at all.

    `options` go to pyarrow.parquet.ParquetWriter; without them, columns are dictionary-encoded and compressed by zstd.
    """
    parquet = import_parquet()
    with new_file(path) as temporary:
        first = next(tables)
        with parquet.ParquetWriter(temporary, first.schema, **{"compression": "zstd", **options}) as writer:
            writer.write_table(first, rows_of_group)
            for table in tables:
                writer.write_table(table, rows_of_group)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path to write a file to, which becomes `path` at the end, synced, unless an exception is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_and_digest(path: Path) -> tuple[int, str]:
    """Return the size of a file in bytes and its SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path.stat().st_size, digest
