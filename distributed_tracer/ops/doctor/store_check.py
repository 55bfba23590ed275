"""Does the store do what a run needs: be one of this version, take objects, refuse to replace them, and show all nodes
the same?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import TracerError
from ...redact import redacted, redacted_url
from ...store.backend.base import Backend
from ...store.backend.open import open_backend
from ...store.format.run_file import parse_run
from ...store.object_names import RUN
from .node_report import StoreCheck

_PREFIX = ".doctor-"
"""Names that begin with a dot mean nothing to readers of a store."""


def try_store(url: str, beacon: str | None = None) -> StoreCheck:
    """Create an object twice, read it back, remove it; look for the driver's. Makes the store's folder if need be."""
    key = _new_key()
    try:
        root = open_backend(url)
    except TracerError as error:
        return StoreCheck(redacted_url(url), error=redacted(str(error)))
    try:
        if (info := root.read(RUN)) is not None:
            parse_run(info, root.url)
    except TracerError as error:
        return StoreCheck(root.url, error=redacted(str(error)))
    try:
        answers = [root.put_if_absent(key, data) for data in (b"first", b"second")]
        there = root.read(key)
        shared = None if beacon is None else root.read(beacon) is not None
    except TracerError as error:
        _removed(root, key)
        return StoreCheck(root.url, error=redacted(str(error)))
    create_only = [*answers, there] == [b"first"] * 3
    return StoreCheck(root.url, create_only=create_only, shared=shared, left_over=_removed(root, key))


@contextmanager
def marker_object(url: str | None) -> Iterator[str | None]:
    """The key of an object that is in the store meanwhile; None without a store, or if it cannot be written."""
    key = _new_key()
    try:
        root = open_backend(url) if url else None
        if root is not None:
            root.put_if_absent(key, b"the driver's")
    except TracerError:
        root = None  # the driver's own trial says why
    try:
        yield key if root is not None else None
    finally:
        if root is not None:
            _removed(root, key)


def _new_key() -> str:
    return f"{_PREFIX}{uuid.uuid4().hex}"


def _removed(root: Backend, key: str) -> str:
    """Empty, or the key if the object has to stay: a right to write need not be one to delete."""
    try:
        root.remove(key)
    except TracerError:
        return key
    return ""
