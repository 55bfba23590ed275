"""Text files from outside, of bounded size. Errors of reading become the exception class that the caller names."""

from __future__ import annotations

from pathlib import Path
from reprlib import Repr

MAX_CONFIG_BYTES = 4 * 2**20
MAX_INDEX_BYTES = 64 * 2**20
"""Largest size of an index: one of 140,000 tensors has 14 MiB. A parsed document takes up to twenty times its bytes."""

Refuse = type[Exception]
"""Class of the exception that a function raises for a document that it refuses."""

_SHORT_REPR = Repr()
_SHORT_REPR.maxstring = _SHORT_REPR.maxother = 60


def shortened(value: object) -> str:
    """Return a short form of a value from outside, quoted and without control characters."""
    return _SHORT_REPR.repr(value)


def read_text(path: Path, refuse: Refuse, max_bytes: int = MAX_CONFIG_BYTES) -> str:
    """Return the text of a UTF-8 file. Raises `refuse` if it cannot be read or is longer than `max_bytes`."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise ValueError(f"it has more than {max_bytes:,} bytes, the most that such a file may have")
        return data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise refuse(f"{path}: cannot be read: {error}") from error
