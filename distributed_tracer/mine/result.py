"""Result: the folder that a mining command writes, and how it is read. It needs the optional package pyarrow.

    provenance.json                   what was mined, from what, with what; size and SHA-256 of every other file
    tables/edges/layer_0003.parquet   rows of the table of edges whose targets are in layer 3
    tables/features.parquet           a table in one file

`provenance.json` is written last, so that a folder without it is unfinished.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import ConfigError, ResultError
from ..names import unknown
from ..table import Table
from ..table_folder import TableFolder, import_parquet, sync
from ..table_stream import Batch, CategoricalColumn, TableStream
from ..tasks.phases import Execute, Phases
from ..text import counted, html_facts, short

DOCUMENT, TABLES, ADDED_TABLES, WORK = "provenance.json", "tables", "added", "work"
RECORDS = "records"
"""Folder within WORK for temporary files, empty when work begins."""
ATLAS = "atlas"
"""Field of the document that says how an atlas is divided."""
RESULT = TableFolder(
    "result", "result of mining", DOCUMENT, "distributed_tracer result", 1, ResultError, decided_by="store"
)
_LOCK = "mining.lock"


def open_result(path: str | Path) -> Result:
    """Return the result of mining in a folder; that of an atlas is an `Atlas`.

    Raises ResultError if there is none, if it is not finished or damaged, or if it is of a format that this program
    does not know.
    """
    folder = Path(path).expanduser()
    document = read_document(folder)
    if document is None:
        if (folder / WORK).is_dir():
            raise ResultError(f"{folder} is a result that is not finished: run the same `mine` command again")
        raise ResultError(f"there is no result of mining at {folder}: it has no {DOCUMENT}")
    if ATLAS in document:
        found: Result = import_module(".atlas_result", __package__).Atlas(folder, document)
        return found
    return Result(folder, document)


def is_result(path: str | Path) -> bool:
    """Return whether a path is the folder of a result of mining, finished or not; a URL is none."""
    folder = Path(path).expanduser()
    return "://" not in str(path) and ((folder / DOCUMENT).is_file() or (folder / WORK / _LOCK).exists())


class Result:
    """Tables of statistics over many graphs. They are read when they are asked for."""

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        self.path = folder
        self.info = document
        """Where the result comes from: settings, store, counts, limits, versions; see docs/mining.md."""
        self._checked = lru_cache(None)(self._check)

    def __repr__(self) -> str:
        facts = self._facts()
        return f"<Result {facts['path']}: {facts['what']} of {facts['prompts']}; tables {facts['tables']}>"

    def _repr_html_(self) -> str:
        """Return a summary for notebooks; all text is escaped."""
        return html_facts("result of mining", self._facts())

    def _facts(self) -> dict[str, str]:
        return {
            "path": short(str(self.path), 200),
            "what": short(str(self.info["what"])),
            "prompts": counted(self.info["num_prompts"], "prompt"),
            "graphs": short(str(self.info["graphs"]), 200),
            "tables": ", ".join(self.tables),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """What a reader must know to judge the tables, such as the number of tests; docs/mining.md describes them."""
        return dict(self.info.get("facts", {}))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the numbers less certain than they look, and what the data cannot say."""
        return tuple(self.info.get("warnings", ()))

    @property
    def tables(self) -> list[str]:
        """Names of the tables."""
        return sorted({_table_of(name) for name in self.info["files"] if name.startswith(f"{TABLES}/")})

    def files(self, table: str) -> list[Path]:
        """Return the Parquet files of a table, in the order of its rows, for programs that read Parquet themselves.

        Raises ConfigError for an unknown table.
        """
        if table not in self.tables:
            raise ConfigError(unknown("table", table, self.tables))
        own = (name for name in self.info["files"] if name.startswith(f"{TABLES}/"))
        return [self.path / name for name in sorted(own) if _table_of(name) == table]

    def stream(self, table: str, columns: str | Sequence[str] | None = None) -> TableStream:
        """Return a table, or some of its columns, that is read while it is iterated over, a row group at a time.

        Raises ConfigError for an unknown table or column, ResultError for damaged files.
        """
        files = self.files(table)
        schema = self._file(files[0]).schema_arrow
        names = [columns] if isinstance(columns, str) else list(schema.names if columns is None else columns)
        for name in names:
            if name not in schema.names:
                raise ConfigError(unknown("column", name, schema.names))

        def read() -> Iterator[Batch]:
            for file in files:
                found = self._file(file)
                for group in range(found.num_row_groups):
                    yield _batch(found.read_row_group(group, names, use_threads=False))

        return TableStream({name: _kind(schema.field(name).type) for name in names}, read)

    def table(self, table: str, columns: str | Sequence[str] | None = None) -> Table:
        """Return a whole table, or some of its columns, in memory; the errors are those of `stream`."""
        return self.stream(table, columns).table()

    def describe(self, table: str) -> Table:
        """Return the name, unit and meaning of each column of a table, as its files have them."""
        fields = list(self._file(self.files(table)[0]).schema_arrow)
        about = [{key.decode(): value.decode() for key, value in (field.metadata or {}).items()} for field in fields]
        return Table(
            {
                "column": [field.name for field in fields],
                "unit": [one.get("unit", "") for one in about],
                "meaning": [one.get("meaning", "") for one in about],
            }
        )

    def _file(self, path: Path) -> Any:
        self._checked(path)
        try:
            return import_parquet("a result of mining").ParquetFile(path)
        except (import_module("pyarrow").ArrowException, OSError) as error:
            raise ResultError(f"{path} is not a file of a result: {error}") from error

    def _check(self, path: Path) -> None:
        RESULT.check_file(path, self.info["files"][path.relative_to(self.path).as_posix()])


def _table_of(name: str) -> str:
    return name.split("/")[1].removesuffix(".parquet")


def _kind(type_: Any) -> str:
    """Return numpy's short name of an Arrow type; empty for text."""
    return "" if str(type_).startswith(("dictionary", "string")) else np.dtype(type_.to_pandas_dtype()).str[1:]


def _batch(table: Any) -> Batch:
    columns: dict[str, Any] = {}
    for name, values in zip(table.column_names, table.combine_chunks().itercolumns(), strict=True):
        array = values.combine_chunks() if hasattr(values, "combine_chunks") else values
        if hasattr(array, "dictionary"):
            columns[name] = CategoricalColumn(
                array.indices.to_numpy(zero_copy_only=False).astype(np.int32), array.dictionary.to_pylist()
            )
        else:
            columns[name] = array.to_numpy(zero_copy_only=False)
    return columns


def write_document(folder: Path, fields: Mapping[str, Any], known: Mapping[str, tuple[int, str]] = {}) -> None:
    """Write `provenance.json`, which makes the folder a result, for the files in `tables` and `added`.

    `known` has the sizes and SHA-256 of files that the document had before.
    """
    files = [file for name in (TABLES, ADDED_TABLES) for file in sorted((folder / name).rglob("*.parquet"))]
    RESULT.write(folder, fields, files, known)


def place_file(made: Path, path: Path) -> None:
    """Make a file of a task a file of the result, without taking it from the task, which may be needed again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(made, path)
    except OSError:  # a file system without links
        shutil.copyfile(made, path)
    sync(path)
    sync(path.parent)


def read_document(folder: Path) -> dict[str, Any] | None:
    """Return the document of the result in a folder; None if it has none. Raises ResultError if it is damaged."""
    return RESULT.read(folder, _check)


def _check(document: dict[str, Any]) -> None:
    document["num_prompts"] = int(document["num_prompts"])
    for name in document["files"]:
        if (
            not name.startswith((f"{TABLES}/", f"{ADDED_TABLES}/"))
            or not name.endswith(".parquet")
            or ".." in name.split("/")
        ):
            raise ValueError(f"its files include {short(name)}")
    if not isinstance(document["settings"], dict):
        raise ValueError("its settings are not an object")
    if not isinstance(document.get("facts", {}), dict) or not isinstance(document.get("warnings", []), list):
        raise ValueError("its facts or its warnings are of another kind")
    document["warnings"] = [str(text) for text in document.get("warnings", [])]
    if not {"what", "graphs"} <= document.keys():
        raise ValueError("it does not say what it is of")


def check_folder(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether the folder has the finished result of these settings. Nothing is written.

    Raises ConfigError for a folder that has another finished result, and names every setting that differs; for a folder
    that has other files; and for one whose parent does not exist.
    """
    document = document_at(folder)
    if document is not None:
        RESULT.check_same(folder, document["settings"], settings)
    return document is not None


def document_at(folder: Path) -> dict[str, Any] | None:
    """Return the document of the result in a folder; None if it has none. Nothing is written.

    Raises ConfigError for a folder that has other files, and for one whose parent does not exist.
    """
    RESULT.check_place(folder)
    document = read_document(folder)
    if document is None and folder.is_dir() and any(folder.iterdir()) and not (folder / WORK / _LOCK).exists():
        raise RESULT.has_other_files(folder)
    return document


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder for temporary files inside a result's folder, in which no other run works meanwhile.

    What a killed run has left is removed: work begins anew. At the end the temporary files are removed too, and if the
    result is not finished, so is all else that was written. Raises ConfigError if another run is at work.
    """
    work = folder / WORK
    with RESULT.locked(folder, work / _LOCK):
        (folder / DOCUMENT).unlink(missing_ok=True)
        _remove_tables(folder)
        temporary = work / RECORDS
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if (folder / DOCUMENT).exists():
                shutil.rmtree(work, ignore_errors=True)
            else:
                _remove_tables(folder)


@contextmanager
def work_phases(
    folder: Path, settings: Mapping[str, Any], execute: Execute, given: Mapping[str, Any], is_kept: bool = False
) -> Iterator[Phases]:
    """Yield the phases of tasks that make a result, in whose folder no other run works meanwhile.

    Tasks that a killed or failed run with the same settings has finished count; what it has left otherwise is removed.
    `given` holds arguments of all tasks that say where something is. With `is_kept` the tables of a finished result
    stay. At the end the work folder is removed, unless an exception is raised. Raises ConfigError if another run is at
    work.
    """
    work = folder / WORK
    with RESULT.locked(folder, work / _LOCK):
        if not is_kept:
            (folder / DOCUMENT).unlink(missing_ok=True)
            _remove_tables(folder)
        try:
            yield Phases(work / "phases", {"version": __version__, **settings}, execute, given)
        except BaseException:
            if not (folder / DOCUMENT).exists():
                _remove_tables(folder)
            raise
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def room(folder: Path, temporary_bytes: int) -> Iterator[None]:
    """Raise ResultError, which says what is needed, if the disk becomes full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ResultError(
            f"the disk of {folder} is full: {temporary_bytes:,} bytes of temporary files and the tables must fit "
            f"there, and {shutil.disk_usage(folder).free:,} bytes are free; make room, and run the same command again"
        ) from error


def _remove_tables(folder: Path) -> None:
    for name in (TABLES, ADDED_TABLES):
        shutil.rmtree(folder / name, ignore_errors=True)
