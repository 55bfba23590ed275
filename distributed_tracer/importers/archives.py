"""Archives of graphs are ZIP files, and the library that reads them raises errors of many classes for damaged ones."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import GraphFileError
from ..text import printable

_LONGEST = 300
_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, UnicodeDecodeError, EOFError, OSError, RuntimeError)


@contextmanager
def archive_errors(kind: str) -> Iterator[None]:
    """Turn the errors of damaged archives into GraphFileError, whose message names the `kind` of file."""
    try:
        yield
    except _ERRORS as error:  # NotImplementedError, for unknown compressions, is a RuntimeError
        reason = printable(" ".join(f"{type(error).__name__}: {error}".split()))[:_LONGEST]
        raise GraphFileError(f"it cannot be read as {kind}: {reason}") from error
