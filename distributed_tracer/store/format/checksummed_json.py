"""Checksummed JSON: records that list the objects of a folder and end in a hash of themselves."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ...documents.json_text import MAX_DEPTH, is_deep
from ..object_names import OBJECT_KEY

LARGEST = 1 << 48
"""Upper bound of all counts and sizes: their sums over a whole store then fit into 64-bit integers."""

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""Exceptions that may be raised when JSON of an unexpected shape is read."""

_CHECKSUM_SIZE = len(',"sha256":""}') + 64
_SHA256 = re.compile(r"[0-9a-f]{64}")


def dump_checksummed(document: Mapping[str, Any]) -> bytes:
    """Return the record as it is stored, with the hash as its last key."""
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()[:-1]
    return body + _checksum_member(body)


def load_checksummed(data: bytes) -> dict[str, Any]:
    """Return the content of a record. Early records have no hash.

    Raises one of MALFORMED if the record was altered or is not a JSON object.
    """
    document: dict[str, Any] = json.loads(data)
    if "sha256" in document and data[-_CHECKSUM_SIZE:] != _checksum_member(data[:-_CHECKSUM_SIZE]):
        raise ValueError("it was altered (SHA-256 differs)")
    return document


def objects_of(document: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Return the size and SHA-256 of each object, by key.

    Raises one of MALFORMED for an impossible key, size or hash.
    """
    objects = {key: (size, digest) for key, (size, digest) in document["objects"].items()}
    for key, (size, digest) in objects.items():
        if not OBJECT_KEY.fullmatch(key):
            raise ValueError(f"object {key!r}")
        if type(size) is not int or not 0 <= size < LARGEST:
            raise ValueError(f"size of {key} is {size!r}")
        if not _SHA256.fullmatch(digest):
            raise ValueError(f"SHA-256 of {key} is {digest!r}")
    return objects


def check_depth(document: object) -> None:
    """Raise ValueError for JSON that is nested more deeply than any valid record and than all programs can show."""
    if is_deep(document):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _checksum_member(body: bytes) -> bytes:
    """Return the end of a record that begins with `body`: the hash of `body`.

    The hash ensures that a flipped bit cannot make the record name another prompt or object.
    """
    return f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}'.encode()
