"""Access: who may ask this server what. An ASGI layer that every request passes first.

- A request must name a host that is allowed: otherwise a page of another site, whose name was made to lead here (DNS
  rebinding), could read the store.
- A request must know the server's token: in a cookie, which `enter?token=...` sets, or as `Authorization: Bearer`.
  Other users of the machine reach its loopback addresses too.
- A change must come from a page of this server: its Origin is the host that it names. A program with a bearer token,
  which no browser adds by itself, needs none.
- Every reply says that nothing else may be loaded, and that no other page may frame it or read it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import ConfigError, StoreUnavailable
from .responses import error_response

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ENTER = "/enter"
_FREE = ("/static/", "/healthz")
"""Paths that need no token: they hold nothing of the store."""
MOST_BODY_BYTES = 1 << 20
MOST_ADDRESS_BYTES, MOST_HEADER_BYTES = 32 << 10, 32 << 10
"""Largest sizes of path and query, and of all headers: pinned nodes make addresses of a few kilobytes."""
_BODY_SECONDS = 30.0
"""Time in which the body of a request must have come."""
_DISCARD_SECONDS, _MOST_DISCARDED_BYTES = 2.0, 16 * MOST_BODY_BYTES


class Access:
    """The ASGI layer."""

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str] = ()) -> None:
        """Guard `app` with a token. `hosts` are names that are allowed besides those of the loopback addresses."""
        self._app = app
        self._token = token
        self._session = hashlib.sha256(b"session of " + token.encode()).hexdigest()
        self._cookie = f"distributed_tracer_{hashlib.sha256(b'name of ' + token.encode()).hexdigest()[:12]}"
        self._hosts = {name.lower().strip("[]") for name in (*_LOOPBACK, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let `app` answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        response = await self._refused(scope, receive)
        await (response or self._app)(scope, receive, self._with_headers(send))

    async def _refused(self, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to a request that does not reach the application."""
        headers = Headers(scope=scope)
        host = _host_name(headers.get("host", ""))
        if host not in self._hosts:
            return PlainTextResponse(
                "This server does not answer under that name. Start it with --allow-host NAME to allow it.", 421
            )
        if int_or_zero(headers.get("content-length", "0")) > MOST_BODY_BYTES:
            await _discard_body(Request(scope, receive))
            return PlainTextResponse(f"The body of a request has at most {MOST_BODY_BYTES:,} bytes.", 413)
        if too_long := _too_long(scope):
            return too_long
        path = scope["path"]
        is_change = scope["method"] not in ("GET", "HEAD")
        is_bearer = self._is_bearer(headers)
        if is_change and not is_bearer and not _is_same_origin(headers):
            return PlainTextResponse("A change must come from a page of this server.", 403)
        if path == _ENTER:
            return await self._enter(Request(scope, receive))
        if is_bearer or self._has_cookie(headers) or path.startswith(_FREE):
            return None
        return _enter_page(401, wanted=path.startswith("/api/"))

    async def _enter(self, request: Request) -> Response:
        """Set the cookie for a request that knows the token."""
        if request.method == "POST":
            try:
                fields = parse_qs((await body_of(request)).decode("utf-8", "replace"), max_num_fields=4)
            except (ConfigError, StoreUnavailable, ValueError) as error:  # too long, too slow, too many fields
                return PlainTextResponse(str(error), 400)
            given, to = ((fields.get(name) or [""])[0] for name in ("token", "next"))
        else:
            given, to = (request.query_params.get(name, "") for name in ("token", "next"))
        if not _equal(given.strip(), self._token):
            return _enter_page(401 if not given else 403)
        to = f"./{to}" if to.startswith("?") else to  # of the first page, not of this address
        reply = RedirectResponse(to if is_local_address(to.removeprefix("./")) else "./", 303)
        # Lax: a link in a message leads to the page; no page of another site can make a change or read a reply
        reply.set_cookie(self._cookie, self._session, httponly=True, samesite="lax", path="/")
        return reply

    def _is_bearer(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and _equal(given.strip(), self._token)

    def _has_cookie(self, headers: Headers) -> bool:
        # Read by hand: other servers under this name may have set cookies at which the standard library gives up
        pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
        return any(name == self._cookie and _equal(value, self._session) for name, _, value in pairs)

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return sending


async def body_of(request: Request) -> bytes:
    """Return the body of a request, which is read no further than its largest size, whatever its headers say.

    Raises ConfigError if it is longer, StoreUnavailable if it takes too long.
    """
    read = bytearray()
    with anyio.move_on_after(_BODY_SECONDS):
        async for chunk in request.stream():
            read += chunk
            if len(read) > MOST_BODY_BYTES:
                raise ConfigError(f"the body of a request has at most {MOST_BODY_BYTES:,} bytes")
        return bytes(read)
    raise StoreUnavailable(f"the body of the request did not come within {_BODY_SECONDS:g} s")


async def _discard_body(request: Request) -> None:
    """Read what comes of a body that is too large, for a short time and up to a limit.

    Most programs send all of a body before they read the answer, and would see a broken connection instead of it.
    """
    num_bytes = 0
    with anyio.move_on_after(_DISCARD_SECONDS):
        async for chunk in request.stream():
            num_bytes += len(chunk)
            if num_bytes > _MOST_DISCARDED_BYTES:
                return


def new_token() -> str:
    """Return a new secret."""
    return secrets.token_urlsafe(24)


def is_local_address(address: str) -> bool:
    """Whether an address leads to a page of this server, relative to its root: `graph?prompt=dallas`."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    bad = {"\\", "\r", "\n", "\t"} & set(address)
    return bool(address) and not (parts.scheme or parts.netloc or bad or address.startswith(("/", ".")))


def int_or_zero(text: str) -> int:
    """Return the number that a text is, or 0."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _too_long(scope: Scope) -> Response | None:
    """Return the answer to a request whose address or headers are too long."""
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > MOST_ADDRESS_BYTES:
        return PlainTextResponse(f"The address of a request has at most {MOST_ADDRESS_BYTES:,} bytes.", 414)
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
        return PlainTextResponse(f"The headers of a request have at most {MOST_HEADER_BYTES:,} bytes.", 431)
    return None


def _equal(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())


def _host_name(host: str) -> str:
    """Return the name in a Host header, without its port: a tunnel's other end has another port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_same_origin(headers: Headers) -> bool:
    try:
        origin = urlsplit(headers.get("origin", "")).netloc.lower()
    except ValueError:
        return False
    return bool(origin) and origin == headers.get("host", "").lower()


def _enter_page(status: int, wanted: bool = False) -> Response:
    """Return the page that asks for the token."""
    said = "This token is not the server's." if status == 403 else "This server needs its token."
    if wanted:
        remedy = "Open the address that it printed, or give the token as `Authorization: Bearer TOKEN`."
        return error_response(status, "NoToken", f"{said} {remedy}")
    page = files(__package__).joinpath("static", "enter.html").read_text(encoding="utf-8")
    return HTMLResponse(page.replace("{said}", escape(said)), status)
