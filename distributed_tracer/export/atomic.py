"""Files and folders that appear at their place whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import ConfigError
from ..table_folder import sync


def check_file(destination: Path) -> None:
    """Raise ConfigError for a place where no file can be written or replaced."""
    if destination.is_dir():
        raise ConfigError(f"{destination} is a directory")
    check_parent(destination)


def check_folder(destination: Path) -> None:
    """Raise ConfigError for a place where no new folder can be made. Nothing that exists is replaced by a folder."""
    if destination.exists() or destination.is_symlink():
        raise ConfigError(f"{destination} exists, and a folder replaces nothing: remove it, or name another")
    check_parent(destination)


def check_parent(destination: Path) -> None:
    """Raise ConfigError if the directory of a file does not exist."""
    if not destination.parent.is_dir():
        raise ConfigError(f"there is no directory {destination.parent} to write {destination.name} to")


@contextmanager
def new_file(destination: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which replaces `destination` at the end, unless an exception is raised."""
    temporary = _temporary(destination)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, destination)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """Yield a folder to fill with files, which becomes `destination` at the end, unless an exception is raised.

    Raises OSError if `destination` exists by then and is not an empty folder.
    """
    temporary = _temporary(destination)
    temporary.mkdir()
    try:
        yield temporary
        for entry in (*temporary.rglob("*"), temporary):
            sync(entry)
        os.rename(temporary, destination)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.{uuid.uuid4().hex}{destination.suffix}.tmp")
