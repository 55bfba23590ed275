"""Replies of handlers as HTTP responses: their bytes, compressed where that pays, and their headers."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import partial

from starlette.responses import Response

from ..redact import redacted
from .encode import arrays_bytes, json_bytes
from .endpoint import Arrays, Encoded, File, Json, Reply
from .served_store import ByteCache

_LEAST_BYTES = 2_000
"""Smallest reply that is compressed."""
_PACKED = ("image/png", "application/zip", "application/gzip")
"""Types that are compressed already."""


def response_of(reply: Reply, asked: Mapping[str, str], cache: ByteCache | None = None) -> Response:
    """Return a handler's reply for a request with some headers; 304 if the browser has it already.

    Compressed bytes of replies that have an etag, which never change, are kept in `cache`.
    """
    etag = getattr(reply, "etag", None)
    headers = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"} if etag else {}
    if etag and f'"{etag}"' in asked.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    status = reply.status if isinstance(reply, Json) else 200
    data, media_type = _content(reply)
    if isinstance(reply, File):
        headers |= _file_headers(reply)
    kept = None if cache is None or not etag else partial(cache.get, ("gzip", etag))
    data, of_encoding = encoded(data, media_type, asked.get("accept-encoding", ""), kept=kept)
    return Response(data, status, headers | of_encoding, media_type)


def encoded(
    data: bytes,
    media_type: str,
    accepted: str,
    level: int = 1,
    kept: Callable[[Callable[[], bytes]], bytes] | None = None,
) -> tuple[bytes, dict[str, str]]:
    """Return bytes, compressed if the other side accepts that and if it pays, and the headers that say so.

    `kept` returns the compressed bytes from where they are kept, or those of the function that it is given.
    """
    if len(data) < _LEAST_BYTES or media_type in _PACKED:
        return data, {}
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" not in accepted:
        return data, headers
    compress = partial(gzip.compress, data, level, mtime=0)
    return compress() if kept is None else kept(compress), headers | {"Content-Encoding": "gzip"}


def error_response(status: int, kind: str, message: str) -> Response:
    """Return an error in the form that pages and programs read."""
    body = {"error": {"kind": kind, "message": redacted(message)}}
    headers = {"Retry-After": "5"} if status == 503 else {}
    return Response(json_bytes(body), status, headers, "application/json")


def _content(reply: Reply) -> tuple[bytes, str]:
    if isinstance(reply, Json):
        return json_bytes(reply.value), "application/json"
    if isinstance(reply, Arrays):
        return arrays_bytes(reply.values, reply.arrays), "application/octet-stream"
    if isinstance(reply, Encoded):
        return reply.content, "application/octet-stream"
    if isinstance(reply, File):
        return reply.content, reply.media_type
    return reply.text.encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8"


def _file_headers(file: File) -> dict[str, str]:
    """Return the headers of a download; its name has only characters that are safe in a header."""
    name = "".join(
        character if character.isascii() and (character.isalnum() or character in "._-") else "_"
        for character in file.name
    )
    return {"Content-Disposition": f'{"inline" if file.inline else "attachment"}; filename="{name or "file"}"'}
