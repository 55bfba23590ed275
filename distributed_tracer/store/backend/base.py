"""Backend: where a store lives, a local directory or any fsspec URL, behind the few things a store does there.

Credentials never belong in an address: they are found where its driver looks (for s3:// the AWS variables and files).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from ...errors import StoreCorrupt, StoreError, StoreUnavailable
from ...redact import redacted
from ..object_names import most_bytes

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
"""What waiting does not mend: no such bucket, something in the way, a refused key. Drivers word refusals so."""


def clock_key() -> str:
    """Of an object that is written for its stamp; what a crash leaves of it, `gc` takes."""
    return f".clock.{uuid4().hex}.tmp"


def dotted(key: str) -> bool:
    """Whether the last of an object's names begins with a dot."""
    return key.rpartition("/")[2].startswith(".")


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing tells of an object: its size, and when it was last written (seconds since 1970, UTC)."""

    num_bytes: int
    written: float


@dataclass(frozen=True)
class Larger:
    """An object that was not read, as it has more than `most` bytes."""

    most: int
    num_bytes: int | None = None
    """What it has, where the driver tells."""

    def __str__(self) -> str:
        if self.num_bytes is None:
            return f"more than {self.most:,} bytes"
        return f"{self.num_bytes:,} bytes"


def found_of(
    url: str, answers: Mapping[str, bytes | Larger | None], larger: dict[str, Larger] | None
) -> dict[str, bytes]:
    """As `Root.read_many` returns and raises, of what each object is, None where there is none."""
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
    """Raises StoreError for an object that nobody would read again."""
    if len(data) > most_bytes(key):
        raise StoreError(
            f"{url}/{key} would have {len(data):,} bytes, and at most {most_bytes(key):,} are read of such an object: "
            "write parts of fewer prompts"
        )


class Backend(Protocol):
    """One store's folder. Keys are relative paths with `/`; every failure is a StoreError naming `url`.

    No more is read of an object than was noted of its size, or than its kind can have: `schema.most_bytes`.
    """

    url: str

    def read(self, key: str) -> bytes | None:
        """The whole object, or None if there is none. Raises StoreCorrupt for one that is too large to be of its kind,
        before it is read."""
        ...

    def read_many(
        self, keys: Sequence[str], sizes: Mapping[str, int] | None = None, larger: dict[str, Larger] | None = None
    ) -> dict[str, bytes]:
        """Whole objects, read concurrently; absent ones are left out.

        `sizes` are those noted of objects, by key. One that has more is not read: it goes into `larger`, or
        StoreCorrupt is raised where that is not given.
        """
        ...

    def list_dir(self, folder: str) -> list[str]:
        """Names directly in `folder`, sorted; empty if there is no such folder."""
        ...

    def list_all(self, folder: str) -> dict[str, ObjectInfo]:
        """Every object below `folder`, at any depth, by key; all of the store's for an empty name.

        A local directory with nothing in it is listed too, as a key that ends in `/`.
        """
        ...

    def put_if_absent(self, key: str, data: bytes) -> bytes:
        """Make an object atomically unless there is one; what is there afterwards, be it `data` or another's.

        Raises StoreError for more bytes than are read of such an object, and StoreCorrupt as `read` does.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
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

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        """Make or replace many objects concurrently, each atomically and durable on return. Not atomic as a whole."""
        ...


@contextmanager
def translate_errors(doing: str, where: str) -> Iterator[None]:
    """Turn whatever a file system or its driver raises into a StoreError that says what was done and where.

    It is StoreUnavailable where trying again may help.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # drivers raise types of their own that cannot be named without importing them
        kind = StoreError if isinstance(error, PERMANENT_ERRORS) else StoreUnavailable
        raise kind(f"cannot {doing} {where}: {type(error).__name__}: {redacted(str(error))}") from error


def key_batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the keys, in order, in batches of as many as are read at once."""
    for first in range(0, len(keys), KEYS_AT_ONCE):
        yield keys[first : first + KEYS_AT_ONCE]
