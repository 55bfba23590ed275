"""LocalBackend: a store in a directory.

Files that must survive a crash are synced; files that must appear once are linked.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from time import perf_counter

from ...errors import StoreError, StoreUnavailable
from ..object_names import most_bytes
from .base import Larger, ObjectInfo, check_size, clock_key, found_of, translate_errors

_THREADS = 16
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
"""Error numbers of file systems without hard links. Waiting does not fix these errors."""
_BY_ITSELF = 0.002
"""Time in seconds for which objects are read one by one.

The 30 objects of a graph take about one millisecond if they are in memory.
"""


class LocalBackend:
    """A directory, which is created when it is first written to. `Backend` documents the methods."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser().absolute()
        self.url = str(self._path)

    def read(self, key: str) -> bytes | None:
        return found_of(self.url, {key: self._read(key, most_bytes(key))}, None).get(key)

    def read_many(
        self, keys: Sequence[str], sizes: Mapping[str, int] | None = None, larger: dict[str, Larger] | None = None
    ) -> dict[str, bytes]:
        """Return whole objects: first one by one for 2 ms, then the rest concurrently.

        Objects in the system's cache are read faster than threads wake up; for the others, waiting concurrently is
        faster.
        """
        most = [most_bytes(key) if sizes is None else sizes[key] for key in keys]
        found: list[bytes | Larger | None] = []
        start = perf_counter()
        while len(found) < len(keys) and perf_counter() - start < _BY_ITSELF:
            found.append(self._read(keys[len(found)], most[len(found)]))
        found += self._readers.map(self._read, keys[len(found) :], most[len(found) :])
        return found_of(self.url, dict(zip(keys, found, strict=True)), larger)

    def _read(self, key: str, most: int) -> bytes | Larger | None:
        with translate_errors("read", f"{self.url}/{key}"):
            try:
                with (self._path / key).open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    return Larger(most, size) if size > most else file.read(size)
            except (FileNotFoundError, NotADirectoryError):
                return None

    @cached_property
    def _readers(self) -> ThreadPoolExecutor:
        """Threads for reading. They are kept, as starting threads takes longer than reading a part's small objects."""
        return ThreadPoolExecutor(_THREADS, "read")

    def list_dir(self, folder: str) -> list[str]:
        with translate_errors("list", f"{self.url}/{folder}"):
            try:
                return sorted(os.listdir(self._path / folder))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def list_all(self, folder: str) -> dict[str, ObjectInfo]:
        found = {}
        with translate_errors("list", f"{self.url}/{folder}"):
            for place, folders, files in os.walk(self._path / folder, onerror=_unless_absent):
                below = Path(place).relative_to(self._path)
                for name in files:
                    with suppress(FileNotFoundError):  # removed since it was listed
                        status = (self._path / below / name).stat()
                        found[(below / name).as_posix()] = ObjectInfo(status.st_size, status.st_mtime)
                if not files and not folders:
                    with suppress(FileNotFoundError):
                        found[f"{below.as_posix()}/"] = ObjectInfo(0, os.stat(place).st_mtime)
        return found

    def put_if_absent(self, key: str, data: bytes) -> bytes:
        check_size(self.url, key, data)
        path = self._path / key
        with translate_errors("create", str(path)):
            temporary = _write_temporary(path, data)
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise StoreError(
                        f"cannot create {path}: hard links are needed for that, and this file system has none "
                        f"({error}); keep the store on another one, or in an object store under its own URL"
                    ) from error
                raise
            finally:
                temporary.unlink()
            _sync_folder(path.parent)
            _sync_folder(path.parent.parent)  # the folder itself may be new, so its entry is synced too
        there = self.read(key)
        if there is None:
            raise StoreUnavailable(f"{path} was created, and is gone when read back")
        return there

    def put(self, key: str, data: bytes) -> None:
        path = self._path / key
        with translate_errors("write", str(path)):
            _replace(path, data)
            _sync_folder(path.parent)

    def remove(self, key: str) -> None:
        with translate_errors("remove", f"{self.url}/{key}"):
            (self._path / key).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        path = self._path / folder
        doomed = _temporary_path(path)
        with translate_errors("remove", str(path)):
            try:
                path.rename(doomed)  # atomic: nobody finds half of the folder
            except FileNotFoundError:
                return
            if doomed.is_symlink():  # the target of a link does not belong to the store
                doomed.unlink()
            else:
                shutil.rmtree(doomed)

    def now(self) -> float:
        path = self._path / clock_key()
        with translate_errors("write", str(path)):
            try:
                path.touch(exist_ok=False)
                return path.stat().st_mtime
            finally:
                path.unlink(missing_ok=True)

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        paths = [self._path / key for key in objects]
        with translate_errors("write a part to", self.url):
            folders = {parent for path in paths for parent in path.parents if parent.is_relative_to(self._path)}
            for folder in sorted(folders):
                folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(_replace, paths, objects.values()))
                list(pool.map(_sync_folder, folders))


def _replace(path: Path, data: bytes) -> None:
    """Write a file completely or not at all.

    Another copy of the same part may be committed while this one is being written.
    """
    os.replace(_write_temporary(path, data), path)


def _write_temporary(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_path(path)
    try:
        _write_synced(temporary, data)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _temporary_path(path: Path) -> Path:
    """Return a temporary name in the same folder, which readers ignore and `gc` recognises."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # the folder may be entered and written to, but not listed
        os.sync()
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
