"""Routes of the pages' files, which are read once: no path of a request reaches the disk."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .responses import encoded

PAGES = ("", "graph", "feature", "compare", "findings", "about")
"""Addresses of pages, all of which are one document; `static/main.js` shows the page."""
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def static_routes() -> list[Route]:
    """Return a route for each page and for each file of the pages."""
    found = dict(_files(files(__package__).joinpath("static"), ""))
    shell = _file_answer("index.html", found.pop("index.html"))
    found.pop("enter.html")
    routes = [Route(f"/{page}", shell) for page in PAGES]
    return [*routes, *(Route(f"/static/{name}", _file_answer(name, data)) for name, data in found.items())]


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _file_answer(name: str, data: bytes) -> Any:
    ending = "." + name.rpartition(".")[2]
    media_type = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    etag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    small, of_small = encoded(data, media_type, "gzip", level=9)

    async def answer(request: Request) -> Response:
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(small, 200, headers | of_small, media_type)
        return Response(data, 200, headers | {"Vary": "Accept-Encoding"}, media_type)

    return answer
