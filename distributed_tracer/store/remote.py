"""RemoteRoot: a store behind any fsspec URL. Object stores write whole objects, so each is there or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import fsspec

from .root import reported


class RemoteRoot:
    """An fsspec folder; on s3:// creation is a conditional put (`If-None-Match: *`)."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with reported("open", self.url):
            self._files, self._path = fsspec.core.url_to_fs(self.url)

    def read(self, key: str) -> bytes | None:
        return self.read_many([key]).get(key)

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        if not keys:
            return {}
        with reported("read from", self.url):
            # cat_ranges rather than cat, which would take [ and * in the store's own name for patterns
            answers = self._files.cat_ranges([self._at(key) for key in keys], None, None, on_error="return")
        found = {}
        for key, answer in zip(keys, answers, strict=True):
            if isinstance(answer, FileNotFoundError):
                continue
            if isinstance(answer, BaseException):
                with reported("read", f"{self.url}/{key}"):
                    raise answer
            found[key] = bytes(answer)
        return found

    def names(self, folder: str) -> list[str]:
        with reported("list", f"{self.url}/{folder}"):
            self._files.invalidate_cache(self._at(folder))
            try:
                paths = self._files.ls(self._at(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def create(self, key: str, data: bytes) -> bytes:
        """As `Root.create`. Servers word a failed condition differently (s3fs: FileExistsError or EINVAL), and a
        lost answer looks like a failure too: reading the object back tells whose it is in every case."""
        with reported("create", f"{self.url}/{key}"):
            try:
                self._files.pipe_file(self._at(key), data, mode="create")
            except OSError:
                there = self.read(key)
                if there is None:
                    raise
                return there
            there = self.read(key)
            if there is None:
                raise OSError("written without error, but not there when read back")
            return there

    def replace(self, key: str, data: bytes) -> None:
        with reported("write", f"{self.url}/{key}"):
            self._files.pipe_file(self._at(key), data)

    def upload(self, objects: Mapping[str, bytes]) -> None:
        with reported("write a part to", self.url):
            self._files.pipe({self._at(key): data for key, data in objects.items()})

    def _at(self, key: str) -> str:
        return f"{self._path}/{key}"
