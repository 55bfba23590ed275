"""The ASGI application: routes of pages, of static files and of the API, around the endpoints."""

from __future__ import annotations

import hashlib
import logging
import mimetypes
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..documents.json_text import parse_json
from ..errors import ConfigError, InputError, PromptNotFound, StoreUnavailable, TracerError
from ..redact import redacted
from .api import ALL
from .encode import arrays_bytes, json_bytes
from .endpoint import Arrays, Encoded, Endpoint, File, Json, Reply, Text, endpoints_by_path
from .openapi import openapi_document
from .security import MOST_BODY_BYTES, Access
from .served_store import ServedStore

_log = logging.getLogger(__name__)

API = "/api/v1"
PAGES = ("", "graph", "feature", "compare", "findings", "about")
"""Addresses of pages, all of which are one document; `static/main.js` shows the page."""
_QUICK, _SLOW = 16, 2
"""Requests that are answered at the same time: quick ones, and those that may take seconds or much memory."""
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_CACHED = {"Cache-Control": "no-cache"}


def create_app(served: ServedStore, token: str) -> ASGIApp:
    """Return the application that serves a store to everyone who knows `token`."""
    endpoints = endpoints_by_path(ALL)
    document = openapi_document(endpoints.values())
    routes = [
        *(
            Route(f"{API}{path}", _answering(endpoint), methods=[method])
            for (method, path), endpoint in endpoints.items()
        ),
        Route(f"{API}/openapi.json", lambda request: Response(json_bytes(document), media_type="application/json")),
        Route("/healthz", lambda request: PlainTextResponse("ok")),
        *_static_routes(),
        Route("/api/{rest:path}", lambda request: _error(404, "NotFound", "there is no such address in this API")),
    ]
    app = Starlette(routes=routes)
    app.state.served = served
    app.state.quick, app.state.slow = anyio.CapacityLimiter(_QUICK), anyio.CapacityLimiter(_SLOW)
    hosts = (served.settings.host, *served.settings.allowed_hosts)
    return Access(GZipMiddleware(app, minimum_size=2_000, compresslevel=1), token, hosts)


def _answering(endpoint: Endpoint) -> Any:
    """Return the function of requests that checks parameters and body, and calls the handler in a thread."""

    async def answer(request: Request) -> Response:
        state = request.app.state
        served: ServedStore = state.served
        try:
            if endpoint.writes and served.settings.read_only:
                return _error(403, "ReadOnly", "this server is read-only: it was started with --read-only")
            given: list[Any] = [_arguments(endpoint, request)]
            if endpoint.body is not None:
                given.append(await _body(request))
            limiter = state.slow if endpoint.slow else state.quick
            reply = await anyio.to_thread.run_sync(lambda: endpoint.handler(served, *given), limiter=limiter)
            return _response(reply, request)
        except PromptNotFound as error:
            return _error(404, type(error).__name__, error.args[0])
        except InputError as error:
            return _error(400, type(error).__name__, str(error))
        except (StoreUnavailable, OSError) as error:
            return _error(503, type(error).__name__, str(error))
        except TracerError as error:
            return _error(500, type(error).__name__, str(error))
        except Exception:
            _log.exception("%s %s failed", endpoint.method, endpoint.path)
            return _error(500, "Bug", "the server met an error of its own; its log says more")

    return answer


def _arguments(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    query: dict[str, list[str]] = {name: request.query_params.getlist(name) for name in request.query_params}
    of_path = {name: [str(value)] for name, value in request.path_params.items()}
    return endpoint.arguments({**query, **of_path})


async def _body(request: Request) -> Any:
    """Return the JSON of the body, which is read no further than its largest size."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ConfigError("the body of a change is application/json")
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > MOST_BODY_BYTES:
            raise ConfigError(f"the body of a request has at most {MOST_BODY_BYTES:,} bytes")
    return parse_json(bytes(read), ConfigError)


def _response(reply: Reply, request: Request) -> Response:
    """Return a handler's reply as bytes; 304 if the browser has them already."""
    etag = getattr(reply, "etag", None)
    headers = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"} if etag else {}
    if etag and f'"{etag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if isinstance(reply, Json):
        return Response(json_bytes(reply.value), reply.status, headers, "application/json")
    if isinstance(reply, Arrays):
        return Response(arrays_bytes(reply.values, reply.arrays), 200, headers, "application/octet-stream")
    if isinstance(reply, Encoded):
        return Response(reply.content, 200, headers, "application/octet-stream")
    if isinstance(reply, Text):
        return PlainTextResponse(reply.text.encode("utf-8", "backslashreplace"))
    return Response(reply.content, 200, _file_headers(reply), reply.media_type)


def _file_headers(file: File) -> dict[str, str]:
    """Return the headers of a download; its name has only characters that are safe in a header."""
    name = (
        "".join(
            character if character.isascii() and (character.isalnum() or character in "._-") else "_"
            for character in file.name
        )
        or "file"
    )
    return {"Content-Disposition": f'{"inline" if file.inline else "attachment"}; filename="{name}"'}


def _error(status: int, kind: str, message: str) -> Response:
    body = {"error": {"kind": kind, "message": redacted(message)}}
    headers = {"Retry-After": "5"} if status == 503 else {}
    return Response(json_bytes(body), status, headers, "application/json")


def _static_routes() -> list[Route]:
    """Return a route for each file of the pages, which are read once: no path of a request reaches the disk."""
    found = dict(_files(files(__package__).joinpath("static"), ""))
    shell = found.pop("index.html").decode("utf-8")
    found.pop("enter.html")
    routes = [Route(f"/{page}", lambda request: HTMLResponse(shell, headers=_CACHED)) for page in PAGES]
    return [*routes, *(Route(f"/static/{name}", _file_answer(name, data)) for name, data in found.items())]


def _files(folder: Traversable, prefix: str) -> Any:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _file_answer(name: str, data: bytes) -> Any:
    ending = "." + name.rpartition(".")[2]
    media_type = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    etag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    headers: Mapping[str, str] = {"ETag": etag, **_CACHED}

    async def answer(request: Request) -> Response:
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=dict(headers))
        return Response(data, 200, dict(headers), media_type)

    return answer
