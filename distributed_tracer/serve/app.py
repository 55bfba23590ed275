"""The ASGI application: routes of pages, of static files and of the API, around the endpoints."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..documents.json_text import parse_json
from ..errors import ConfigError, InputError, PromptNotFound, StoreNotFound, StoreUnavailable, TracerError
from ..redact import redacted
from ..text import printable
from .api import ALL
from .encode import json_bytes
from .endpoint import Endpoint, endpoints_by_path
from .openapi import openapi_document
from .responses import error_response, response_of
from .security import Access, body_of
from .served_store import ServedStore
from .static_files import static_routes

_log = logging.getLogger(__name__)

API = "/api/v1"
_QUICK, _SLOW, _ALONE = 16, 2, 1
"""Requests that are answered at the same time: quick ones, those that may take seconds or much memory, and those that
read whole tables or write files."""


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
        *static_routes(),
        Route(
            "/api/{rest:path}", lambda request: error_response(404, "NotFound", "there is no such address in this API")
        ),
    ]
    app = Starlette(routes=routes)
    app.state.served = served
    app.state.quick, app.state.slow, app.state.alone = map(anyio.CapacityLimiter, (_QUICK, _SLOW, _ALONE))
    return Access(app, token, (served.settings.host, *served.settings.allowed_hosts))


def _answering(endpoint: Endpoint) -> Any:
    """Return the function of requests that checks parameters and body, and calls the handler in a thread."""

    async def answer(request: Request) -> Response:
        state = request.app.state
        served: ServedStore = state.served
        try:
            if endpoint.writes and served.settings.read_only:
                return error_response(403, "ReadOnly", "this server is read-only: it was started with --read-only")
            given: list[Any] = [_arguments(endpoint, request)]
            if endpoint.body is not None:
                given.append(await _body(request))
            limiter = state.alone if endpoint.alone else state.slow if endpoint.slow else state.quick
            # The bytes of the reply are made and compressed in the thread too: others are answered meanwhile
            return await anyio.to_thread.run_sync(
                lambda: response_of(endpoint.handler(served, *given), request.headers, served.cache), limiter=limiter
            )
        except Exception as error:
            return _error_of(error, endpoint)

    return answer


def _error_of(error: Exception, endpoint: Endpoint) -> Response:
    """Return what is said about an error: our own ones in their words, bugs without any."""
    kind = type(error).__name__
    if isinstance(error, PromptNotFound):
        return error_response(404, kind, str(error))
    if isinstance(error, InputError):
        return error_response(400, kind, str(error))
    if isinstance(error, StoreUnavailable | StoreNotFound | OSError):
        return error_response(503, kind, str(error))
    if isinstance(error, TracerError):
        return error_response(500, kind, str(error))
    # Texts of errors may come from a prompt: no line of the log may control a terminal
    said = "\n".join(map(printable, redacted("".join(traceback.format_exception(error))).splitlines()))
    _log.error("%s %s failed:\n%s", endpoint.method, endpoint.path, said)
    return error_response(500, "Bug", "the server met an error of its own; its log says more")


def _arguments(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    query: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name, []).append(value)
    of_path = {name: [str(value)] for name, value in request.path_params.items()}
    return endpoint.arguments({**query, **of_path})


async def _body(request: Request) -> Any:
    """Return the JSON of the body."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ConfigError("the body of a change is application/json")
    return parse_json(await body_of(request), ConfigError)
