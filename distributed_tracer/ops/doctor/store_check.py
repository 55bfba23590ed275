"""Store check: whether the store has a known version, accepts objects, refuses to replace them, and is the same store
on all nodes."""

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
"""Prefix of probe objects. Readers of a store ignore names that begin with a dot."""


def try_store(url: str, marker: str | None = None) -> StoreCheck:
    """Create an object twice, read it, remove it, and look for the driver's object.

    The folder of the store is created if it does not exist. Errors of the store are part of the result.
    """
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
        shared = None if marker is None else root.read(marker) is not None
    except TracerError as error:
        _removed(root, key)
        return StoreCheck(root.url, error=redacted(str(error)))
    create_only = [*answers, there] == [b"first"] * 3
    return StoreCheck(root.url, create_only=create_only, shared=shared, left_over=_removed(root, key))


@contextmanager
def marker_object(url: str | None) -> Iterator[str | None]:
    """Keep an object in the store inside the block, and yield its key.

    The key is None without a store, or if the store cannot be written.
    """
    key = _new_key()
    try:
        root = open_backend(url) if url else None
        if root is not None:
            root.put_if_absent(key, b"the driver's")
    except TracerError:
        root = None  # the driver's own store check reports the reason
    try:
        yield key if root is not None else None
    finally:
        if root is not None:
            _removed(root, key)


def _new_key() -> str:
    return f"{_PREFIX}{uuid.uuid4().hex}"


def _removed(root: Backend, key: str) -> str:
    """Remove an object, and return an empty string, or its key if it could not be removed.

    Permission to write may come without permission to delete.
    """
    try:
        root.remove(key)
    except TracerError:
        return key
    return ""
