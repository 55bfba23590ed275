"""Root: where a store lives, a local directory or any fsspec URL, behind the few things a store does there.

Credentials never belong in an address: they are found where its driver looks (for s3:// the AWS variables and files).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from ...errors import ConfigError, StoreError, StoreUnavailable
from ...redact import redacted, redacted_url

LASTING = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError, ValueError)
"""What waiting does not mend: no such bucket, something in the way, a refused key. Drivers word refusals so."""


def clock_key() -> str:
    """Of an object that is written for its stamp; what a crash leaves of it, `gc` takes."""
    return f".clock.{uuid4().hex}.tmp"


def dotted(key: str) -> bool:
    """Whether the last of an object's names begins with a dot."""
    return key.rpartition("/")[2].startswith(".")


@dataclass(frozen=True)
class Stamp:
    """What a listing tells of an object: its size, and when it was last written (seconds since 1970, UTC)."""

    num_bytes: int
    written: float


class Root(Protocol):
    """One store's folder. Keys are relative paths with `/`; every failure is a StoreError naming `url`."""

    url: str

    def read(self, key: str) -> bytes | None:
        """The whole object, or None if there is none."""
        ...

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Whole objects, read concurrently; absent ones are left out."""
        ...

    def names(self, folder: str) -> list[str]:
        """Names directly in `folder`, sorted; empty if there is no such folder."""
        ...

    def listing(self, folder: str) -> dict[str, Stamp]:
        """Every object below `folder`, at any depth, by key; all of the store's for an empty name.

        A local directory with nothing in it is listed too, as a key that ends in `/`.
        """
        ...

    def create(self, key: str, data: bytes) -> bytes:
        """Make an object atomically unless there is one; what is there afterwards, be it `data` or another's."""
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Make or replace an object atomically."""
        ...

    def remove(self, key: str) -> None:
        """Take an object away, if there is one. FORMAT.md says what may go."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Take away all that is below a folder; what is in it under a name that begins with a dot goes last. What a
        crash leaves of it, another call takes: on a local disk under a temporary name beside it."""
        ...

    def now(self) -> float:
        """The store's own clock, by which objects are stamped (seconds since 1970, UTC): writes an object, and
        removes it. The clock of this machine says nothing of how old an object is."""
        ...

    def upload(self, objects: Mapping[str, bytes]) -> None:
        """Write many new objects concurrently, each durable on return. Not atomic as a whole."""
        ...


def open_root(url: str) -> Root:
    """The root at a local path, `file://` URL or any URL that fsspec knows.

    Raises ConfigError for an address that holds credentials, StoreError for an unknown kind of address.
    """
    if re.search(r"://[^/]*@", url) or re.search(r"://.*\?", url):
        shown = redacted_url(url)
        raise ConfigError(
            f"the store's address {shown} holds a user name, password or signature; leave them out and set them "
            "where the file system's driver looks (for s3:// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
    if "://" not in url or url.startswith("file://"):
        from .local import LocalRoot

        return LocalRoot(url.removeprefix("file://"))
    if url.startswith("s3://"):
        from .s3 import S3Root

        return S3Root(url)
    from .remote import RemoteRoot

    return RemoteRoot(url)


@contextmanager
def reported(doing: str, where: str) -> Iterator[None]:
    """Turn whatever a file system or its driver raises into a StoreError that says what was done and where.

    It is StoreUnavailable where trying again may help.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # drivers raise types of their own that cannot be named without importing them
        kind = StoreError if isinstance(error, LASTING) else StoreUnavailable
        raise kind(f"cannot {doing} {where}: {type(error).__name__}: {redacted(str(error))}") from error
