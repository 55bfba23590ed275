"""LocalRoot: a store in a directory. What must survive a crash is synced to disk; what must appear once is linked."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .root import reported

_THREADS = 16


class LocalRoot:
    """A directory, made when first written to."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser().absolute()
        self.url = str(self._path)

    def read(self, key: str) -> bytes | None:
        with reported("read", f"{self.url}/{key}"):
            try:
                return (self._path / key).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        with ThreadPoolExecutor(_THREADS) as pool:
            found = dict(zip(keys, pool.map(self.read, keys), strict=True))
        return {key: data for key, data in found.items() if data is not None}

    def names(self, folder: str) -> list[str]:
        with reported("list", f"{self.url}/{folder}"):
            try:
                return sorted(os.listdir(self._path / folder))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def create(self, key: str, data: bytes) -> bytes:
        path = self._path / key
        with reported("create (hard links are needed for that; object stores: use their own URL)", str(path)):
            temporary = _write_beside(path, data)
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
            _sync_folder(path.parent)
            _sync_folder(path.parent.parent)  # the folder itself may be new
            return path.read_bytes()

    def replace(self, key: str, data: bytes) -> None:
        path = self._path / key
        with reported("write", str(path)):
            os.replace(_write_beside(path, data), path)
            _sync_folder(path.parent)

    def upload(self, objects: Mapping[str, bytes]) -> None:
        paths = [self._path / key for key in objects]
        with reported("write a part to", self.url):
            folders = {parent for path in paths for parent in path.parents if parent.is_relative_to(self._path)}
            for folder in sorted(folders):
                folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(_write_synced, paths, objects.values()))
                list(pool.map(_sync_folder, folders))


def _write_beside(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    _write_synced(temporary, data)
    return temporary


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
