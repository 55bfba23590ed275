"""Logs: text lines for people or, with `--log-format json`, one JSON object per line.

A worker's lines name the prompt that it was tracing. Ids and reasons come from outside this program: JSON escapes them,
and text lines replace unprintable characters. Neither format contains the texts of prompts.
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
"""Id of the prompt that a worker is tracing, and the timer of its phases; None between prompts."""
STOPPING = "stopping: writing what is under way; a second signal ends at once"

_PACKAGE = __name__.partition(".")[0]
_events = logging.getLogger(f"{_PACKAGE}.prompts")
_LEVELS = {"failed": logging.ERROR, "retried": logging.WARNING}


class PromptContextFilter(logging.Filter):
    """Adds the current prompt and phase to every log record; both are None while no prompt is traced."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attributes `prompt` and `phase` of a record; return True, so that every record is logged."""
        at_work = CURRENT_PROMPT.get()
        record.prompt, record.phase = (at_work[0], at_work[1].now) if at_work else (None, None)
        return True


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger and message.

    Prompt, phase, reason, worker, attempt, seconds and traceback are included where the record has them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line of JSON, without the fields that are None."""
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
    """Formats records as text for people, in the log files of Ray's workers."""

    def format(self, record: logging.LogRecord) -> str:
        text = plain_lines(redacted(super().format(record)))
        prompt, phase = getattr(record, "prompt", None), getattr(record, "phase", None)
        return text if prompt is None else f"{text} (prompt {printable(repr(prompt))}, phase {phase})"


def keep_worker_logs(log_format: LogFormat) -> None:
    """Make this Ray worker process write its log records to standard error, which Ray saves in a file."""
    logging.getLogger(_PACKAGE).setLevel(logging.INFO)
    plain = _Lines("%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger().addHandler(_handler(JsonLines() if log_format == "json" else plain))


@contextmanager
def log_outcomes(log_format: LogFormat) -> Iterator[Callable[[Outcome], None]]:
    """Log as configured while the block runs; yield the function to call with every outcome.

    In the text format that function does nothing, because people read the progress and the summary instead.
    """
    if log_format == "text":
        yield lambda outcome: None
        return
    root, handler = logging.getLogger(), _handler(JsonLines())
    level = _events.level
    root.addHandler(handler)
    _events.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield _log_outcome
    finally:
        logging.captureWarnings(False)
        _events.setLevel(level)
        root.removeHandler(handler)


def stopping_line(log_format: LogFormat) -> bytes:
    """Return the line, as bytes, that a run writes when it is asked to stop."""
    if log_format == "text":
        return f"{STOPPING}\n".encode()
    record = logging.LogRecord(_PACKAGE, logging.WARNING, "", 0, STOPPING, None, None)
    return f"{JsonLines().format(record)}\n".encode()


def _log_outcome(outcome: Outcome) -> None:
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
