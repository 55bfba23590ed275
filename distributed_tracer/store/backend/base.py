"""Backend: the few operations that a store needs from its location, a local directory or any fsspec URL.

Credentials never belong in an address: they are looked up where the location's driver looks (for s3:// in the AWS
variables and files).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from ...errors import StoreCorrupt, StoreError, StoreUnavailable
from ...redact import redacted
from ..object_names import file_of, most_bytes

KEYS_AT_ONCE = 256
"""Largest number of objects in one call of `Backend.read_many`: fewer waste time, more hold more in memory."""

PERMANENT_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
    ValueError,
)
"""Errors that waiting does not fix: a missing bucket, something in the way, a refused key.

Drivers report these types.
"""


def clock_key() -> str:
    """Return the key of an object that is written only for its timestamp.

    If a crash leaves one behind, `gc` removes it.
    """
    return f".clock.{uuid4().hex}.tmp"


def dotted(key: str) -> bool:
    """Whether the last component of a key begins with a dot."""
    return file_of(key).startswith(".")


@dataclass(frozen=True)
class ObjectInfo:
    """Properties of an object in a listing: its size, and when it was last written (seconds since 1970, UTC)."""

    num_bytes: int
    written: float


@dataclass(frozen=True)
class Larger:
    """An object that was not read because it has more than `most` bytes."""

    most: int
    num_bytes: int | None = None
    """Size of the object in bytes, where the driver reports it."""

    def __str__(self) -> str:
        if self.num_bytes is None:
            return f"more than {self.most:,} bytes"
        return f"{self.num_bytes:,} bytes"


def found_of(
    url: str, answers: Mapping[str, bytes | Larger | None], larger: dict[str, Larger] | None
) -> dict[str, bytes]:
    """Return the objects that were found, as `Backend.read_many` does; an answer of None means that there is no object.

    Objects that are too large go into `larger`. Raises StoreCorrupt for such an object if `larger` is None.
    """
    found = {}
    for key, answer in answers.items():
        if isinstance(answer, bytes):
            found[key] = answer
        elif answer is not None and larger is not None:
            larger[key] = answer
        elif answer is not None:
            raise StoreCorrupt(f"{url}/{key} has {answer}; at most {answer.most:,} are read of such an object")
    return found


def check_size(url: str, key: str, data: bytes) -> None:
    """Raise StoreError for an object that is larger than readers accept for its kind."""
    if len(data) > most_bytes(key):
        raise StoreError(
            f"{url}/{key} would have {len(data):,} bytes, and at most {most_bytes(key):,} are read of such an object: "
            "write parts of fewer prompts"
        )


class Backend(Protocol):
    """The folder of one store. Keys are relative paths with `/`; every failure is a StoreError that names `url`.

    No more bytes are read of an object than its recorded size, or than its kind can have: `object_names.most_bytes`.
    """

    url: str

    def read(self, key: str) -> bytes | None:
        """Return the whole object, or None if there is none.

        Raises StoreCorrupt, before reading, for an object that is larger than its kind can be.
        """
        ...

    def read_many(
        self, keys: Sequence[str], sizes: Mapping[str, int] | None = None, larger: dict[str, Larger] | None = None
    ) -> dict[str, bytes]:
        """Return whole objects, read concurrently; objects that do not exist are left out.

        `sizes` gives the recorded sizes of objects, by key. An object that is larger is not read: it goes into
        `larger`, or StoreCorrupt is raised if `larger` is None.
        """
        ...

    def list_dir(self, folder: str) -> list[str]:
        """Return the names directly in `folder`, sorted; the list is empty if there is no such folder."""
        ...

    def list_all(self, folder: str) -> dict[str, ObjectInfo]:
        """Return every object below `folder`, at any depth, by key; an empty name stands for the whole store.

        An empty local directory is listed, too, as a key that ends in `/`.
        """
        ...

    def put_if_absent(self, key: str, data: bytes) -> bytes:
        """Create an object atomically unless it exists; return its content afterwards, which may be another writer's.

        Raises StoreError if `data` has more bytes than are read of such an object, and StoreCorrupt as `read` does.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
        """Create or replace an object atomically."""
        ...

    def remove(self, key: str) -> None:
        """Remove an object if it exists. FORMAT.md says which objects may be removed."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove everything below a folder; objects whose name begins with a dot are removed last.

        If a crash interrupts the removal, another call removes the rest; on a local disk the rest has a temporary name
        beside the folder.
        """
        ...

    def now(self) -> float:
        """Return the time of the store's own clock, which stamps its objects (seconds since 1970, UTC).

        Writes an object and removes it. The clock of this machine says nothing about how old an object is.
        """
        ...

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        """Create or replace many objects concurrently, each atomically and durable on return. Not atomic as a whole."""
        ...


@contextmanager
def translate_errors(doing: str, where: str) -> Iterator[None]:
    """Turn whatever a file system or its driver raises into a StoreError that says what was done and where.

    The error is StoreUnavailable where trying again may help.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # drivers raise their own types, which cannot be named without importing the drivers
        kind = StoreError if isinstance(error, PERMANENT_ERRORS) else StoreUnavailable
        raise kind(f"cannot {doing} {where}: {type(error).__name__}: {redacted(str(error))}") from error


def key_batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the keys, in order, in batches of as many as are read at once."""
    for first in range(0, len(keys), KEYS_AT_ONCE):
        yield keys[first : first + KEYS_AT_ONCE]
