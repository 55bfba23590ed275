"""Layout: the files of a profile, and how each is read and written. It needs the optional package pyarrow.

A profile is a folder:

    profile.json                  settings, counts, where it comes from, and size and SHA-256 of every other file
    features/layer_0003.parquet   one row per feature of layer 3 that is active anywhere, by feature
    contexts/layer_0003.parquet   its contexts: by feature, then quantile, the strongest first
    weights/layer_0003.parquet    promoted and suppressed tokens and neighbours, by feature
    prompts.parquet               number, id and tokens of every prompt that was examined, by number
    tokens.parquet                id and name of every token that the other files mention

`profile.json` is written last, so that a folder without it is unfinished.

Axes: I row, X entry of any row.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .ragged import Ragged

FORMAT, FORMAT_VERSION = "distributed_tracer profile", 1
DOCUMENT, PROMPTS, TOKENS = "profile.json", "prompts.parquet", "tokens.parquet"
FEATURES, CONTEXTS, WEIGHTS = "features", "contexts", "weights"
WORK = "work"
"""Folder of what is not finished; nothing reads it once `profile.json` exists."""
FEATURES_OF_GROUP = 512
"""Number of features whose rows form a row group, so that one feature is found without reading its layer."""

Columns = Mapping[str, "npt.NDArray[Any] | Ragged | list[str]"]


def layer_file(kind: str, layer: int) -> str:
    """Return the name of a layer's file: FEATURES, CONTEXTS or WEIGHTS."""
    return f"{kind}/layer_{layer:04d}.parquet"


def import_parquet(what: str = "a profile") -> Any:
    """Return the module pyarrow.parquet. Raises ConfigError, which says what needs it, if pyarrow is not installed."""
    try:
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(f"{what} needs pyarrow: pip install 'distributed-tracer[parquet]'") from error


def arrow_table(columns: Columns) -> Any:
    """Return columns as a pyarrow.Table. Half surrogates in text become `?`, as in the tables of a store."""
    arrow = import_module("pyarrow")

    def array(values: npt.NDArray[Any] | Ragged | list[str]) -> Any:
        if isinstance(values, Ragged):
            return arrow.ListArray.from_arrays(values.indptr.astype(np.int32), arrow.array(values.values_X))
        if isinstance(values, list):
            return arrow.array([text.encode("utf-8", "replace").decode("utf-8") for text in values], arrow.string())
        return arrow.array(values)

    return arrow.table({name: array(values) for name, values in columns.items()})


def write_parquet(
    path: Path, tables: Iterator[Any], rows_of_group: int | None = None, dictionary: Sequence[str] | None = None
) -> None:
    """Write pyarrow.Tables of one schema, at least one, as one file, which appears whole or not at all.

    `dictionary` names the columns to be dictionary-encoded (default: all).
    """
    parquet = import_parquet()
    with new_file(path) as temporary:
        first = next(tables)
        encoded = True if dictionary is None else list(dictionary)
        with parquet.ParquetWriter(temporary, first.schema, compression="zstd", use_dictionary=encoded) as writer:
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
