"""What becomes of requests that have no answer yet when the server stops: they get one, and the log says how many.

uvicorn waits for them for some seconds and then cancels them, which it would log as errors with tracebacks.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..text import counted
from .responses import error_response

_CANCELLED = "Cancel %s running task(s)"
_NOT_WHOLE = "ASGI callable returned without completing response."


class GivenUp:
    """The ASGI layer around all others that answers requests which are cancelled."""

    def __init__(self, app: ASGIApp) -> None:
        """Answer for `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let `app` answer; if the server stops before, say so. An answer that has begun ends there."""
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if not has_begun:
                await error_response(503, "Stopping", "the server is being stopped")(scope, receive, send)


class OneLine(logging.Filter):
    """Makes one line of what uvicorn logs about requests that it cancels."""

    def __init__(self) -> None:
        """Have seen nothing yet."""
        super().__init__()
        self._is_stopping = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Change or drop a record."""
        if str(record.msg).startswith(_CANCELLED) and isinstance(record.args, tuple) and record.args:
            self._is_stopping = True
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg, record.args = f"stopped with {counted(int(str(record.args[0])), 'request')} unanswered", ()
        return not (self._is_stopping and record.msg == _NOT_WHOLE)


def in_one_line() -> None:
    """Let uvicorn log requests that it cancels in one line; to be called after it has set up its logging."""
    log = logging.getLogger("uvicorn.error")
    for old in [one for one in log.filters if isinstance(one, OneLine)]:
        log.removeFilter(old)
    log.addFilter(OneLine())
