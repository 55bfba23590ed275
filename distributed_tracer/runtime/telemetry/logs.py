"""Logs: lines for people or, with `--log-format json`, one JSON object per line; a worker's say which prompt it was at.

Ids and reasons come from outside: JSON escapes them, and lines for people show them printable. Prompts' texts are in
neither.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from ...config import LogFormat
from ...plan.work import Outcome
from ...redact import redacted
from ...text import printable
from .phases import PhaseTimer
from .untrusted_text import plain_lines

CURRENT_PROMPT: ContextVar[tuple[str, PhaseTimer] | None] = ContextVar("at_work", default=None)
"""The prompt that a worker is at, and its phases."""
STOPPING = "stopping: writing what is under way; a second signal ends at once"

_PACKAGE = __name__.partition(".")[0]
_events = logging.getLogger(f"{_PACKAGE}.prompts")
_LEVELS = {"failed": logging.ERROR, "retried": logging.WARNING}


class PromptContextFilter(logging.Filter):
    """Gives every record the prompt and phase that it was made in, None outside of any."""

    def filter(self, record: logging.LogRecord) -> bool:
        at_work = CURRENT_PROMPT.get()
        record.prompt, record.phase = (at_work[0], at_work[1].now) if at_work else (None, None)
        return True


class JsonLines(logging.Formatter):
    """One object: time, level, message and, where there are, prompt, phase, reason, worker, attempt, seconds."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
            "prompt": getattr(record, "prompt", None),
            "phase": getattr(record, "phase", None),
            **getattr(record, "outcome", {}),
        }
        if record.exc_info:
            line["traceback"] = redacted(self.formatException(record.exc_info))
        return json.dumps({key: value for key, value in line.items() if value is not None})


class _Lines(logging.Formatter):
    """For people, in the log files of Ray's workers."""

    def format(self, record: logging.LogRecord) -> str:
        text = plain_lines(redacted(super().format(record)))
        prompt, phase = getattr(record, "prompt", None), getattr(record, "phase", None)
        return text if prompt is None else f"{text} (prompt {printable(repr(prompt))}, phase {phase})"


def keep_worker_logs(log_format: LogFormat) -> None:
    """Let this process, a Ray worker of our own, write its records to standard error, which Ray keeps in a file."""
    plain = _Lines("%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger().addHandler(_handler(JsonLines() if log_format == "json" else plain))


@contextmanager
def log_outcomes(log_format: LogFormat) -> Iterator[Callable[[Outcome], None]]:
    """While the block runs, log as configured; gives what is to be called with every outcome.

    As text that is nothing: progress and the summary are for people.
    """
    if log_format == "text":
        yield lambda outcome: None
        return
    root, ours, handler = logging.getLogger(), logging.getLogger(_PACKAGE), _handler(JsonLines())
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield _tell
    finally:
        logging.captureWarnings(False)
        ours.setLevel(level)
        root.removeHandler(handler)


def stopping_line(log_format: LogFormat) -> bytes:
    """What is said when a run is asked to stop."""
    if log_format == "text":
        return f"{STOPPING}\n".encode()
    record = logging.LogRecord(_PACKAGE, logging.WARNING, "", 0, STOPPING, None, None)
    return f"{JsonLines().format(record)}\n".encode()


def _tell(outcome: Outcome) -> None:
    fields: dict[str, Any] = {
        "event": outcome.status,
        "prompt": outcome.prompt_id,
        "phase": outcome.phase,
        "reason": redacted(outcome.reason or "") or None,
        "worker": outcome.worker or None,
        "attempt": outcome.attempt,
        "seconds": round(outcome.seconds, 6) or None,
    }
    level = _LEVELS.get(outcome.status, logging.INFO)
    _events.log(level, "%s", outcome.status, extra={"outcome": fields})


def _handler(formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(PromptContextFilter())
    return handler
