"""FsspecBackend: a store behind any fsspec URL but s3://. Object stores write an object whole, or not at all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

import fsspec

from ..object_names import most_bytes
from .base import Larger, ObjectInfo, check_size, clock_key, dotted, found_of, translate_errors

_THREADS = 16
_TIMES = ("LastModified", "mtime", "updated", "last_modified", "created")
"""Names under which fsspec's drivers report the time of the last change."""


class FsspecBackend:
    """An fsspec folder. `Backend` documents the methods.

    Its driver must be able to refuse the creation of an object that exists.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with translate_errors("open", self.url):
            # a cached listing would hide an object that another process has created since
            self._files, self._path = fsspec.core.url_to_fs(self.url, use_listings_cache=False)

    def read(self, key: str) -> bytes | None:
        return self.read_many([key]).get(key)

    def read_many(
        self, keys: Sequence[str], sizes: Mapping[str, int] | None = None, larger: dict[str, Larger] | None = None
    ) -> dict[str, bytes]:
        """Return whole objects; requests one byte more of each object than it may have.

        An object that is too large is thus noticed without another request for its size.
        """
        if not keys:
            return {}
        most = [most_bytes(key) if sizes is None else sizes[key] for key in keys]
        with translate_errors("read from", self.url):
            # cat_ranges rather than cat, which would interpret [ and * in the store's own name as patterns
            answers = self._files.cat_ranges(
                [self._at(key) for key in keys], [0] * len(keys), [size + 1 for size in most], on_error="return"
            )
        found: dict[str, bytes | Larger | None] = {}
        for key, size, answer in zip(keys, most, answers, strict=True):
            if isinstance(answer, FileNotFoundError):
                continue
            if isinstance(answer, BaseException):
                with translate_errors("read", f"{self.url}/{key}"):
                    raise answer
            found[key] = bytes(answer) if len(answer) <= size else Larger(size)
        return found_of(self.url, found, larger)

    def list_dir(self, folder: str) -> list[str]:
        with translate_errors("list", f"{self.url}/{folder}"):
            try:
                paths = self._files.ls(self._at(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def list_all(self, folder: str) -> dict[str, ObjectInfo]:
        with translate_errors("list", f"{self.url}/{folder}"):
            try:
                found = self._files.find(self._at(folder).rstrip("/"), detail=True)
            except FileNotFoundError:
                return {}
        return {
            path.removeprefix(self._at("")): ObjectInfo(int(about["size"] or 0), _modified_time(about))
            for path, about in found.items()
            if about["type"] == "file"  # some servers list empty folders
        }

    def put_if_absent(self, key: str, data: bytes) -> bytes:
        """Create an object unless it exists, as `Backend.put_if_absent` says.

        Drivers report a failed condition in different ways, and a lost response may look like a failure of any type. In
        every case, reading the object back shows whose it is.
        """
        check_size(self.url, key, data)
        with translate_errors("create", f"{self.url}/{key}"):
            try:
                self._files.pipe_file(self._at(key), data, mode="create")
            except Exception:
                there = self.read(key)
                if there is None:
                    raise
                return there
            there = self.read(key)
            if there is None:
                raise OSError("written without error, but not there when read back")
            return there

    def put(self, key: str, data: bytes) -> None:
        with translate_errors("write", f"{self.url}/{key}"):
            self._files.pipe_file(self._at(key), data)

    def remove(self, key: str) -> None:
        with translate_errors("remove", f"{self.url}/{key}"), suppress(FileNotFoundError):
            self._files.rm_file(self._at(key))

    def remove_folder(self, folder: str) -> None:
        keys = list(self.list_all(folder))
        with ThreadPoolExecutor(_THREADS) as pool:  # not rm, which interprets [ and * as patterns
            for last in (False, True):
                list(pool.map(self.remove, [key for key in keys if dotted(key) == last]))

    def now(self) -> float:
        key = clock_key()
        self.put(key, b"")
        try:
            with translate_errors("read", f"{self.url}/{key}"):
                return _modified_time(self._files.info(self._at(key)))
        finally:
            self.remove(key)

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        with translate_errors("write a part to", self.url):
            self._files.pipe({self._at(key): data for key, data in objects.items()})

    def _at(self, key: str) -> str:
        return f"{self._path}/{key}"


def _modified_time(about: Mapping[str, Any]) -> float:
    """Return the time of the last change in seconds since 1970.

    If the driver does not report it, this is the current time, because an object that may be new must not count as old.
    """
    modified = next((about[name] for name in _TIMES if about.get(name)), None)
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    if isinstance(modified, datetime):
        modified = modified.timestamp()
    return time.time() if modified is None else float(modified)
