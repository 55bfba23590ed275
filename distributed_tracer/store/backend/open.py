"""open_backend: opens the backend that a store's path or URL stands for."""

from __future__ import annotations

import re

from ...errors import ConfigError
from ...redact import redacted_url
from .base import Backend


def is_path(url: str) -> bool:
    """Whether a store's address is a path or a `file://` URL, and not that of a server."""
    return "://" not in url or url.startswith("file://")


def open_backend(url: str) -> Backend:
    """Return the backend for a local path, a `file://` URL or any URL that fsspec knows.

    Raises ConfigError for an address that contains credentials, StoreError for an unknown kind of address.
    """
    if re.search(r"://[^/]*@", url) or re.search(r"://.*\?", url):
        shown = redacted_url(url)
        raise ConfigError(
            f"the store's address {shown} holds a user name, password or signature; leave them out and set them "
            "where the file system's driver looks (for s3:// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
    if is_path(url):
        from .local import LocalBackend

        return LocalBackend(url.removeprefix("file://"))
    if url.startswith("s3://"):
        from .s3 import S3Backend

        return S3Backend(url)
    from .fsspec_backend import FsspecBackend

    return FsspecBackend(url)
