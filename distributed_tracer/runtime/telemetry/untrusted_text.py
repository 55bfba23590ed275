"""Untrusted text: makes logs and messages of jobs, workers and servers, which may be hostile, safe for a terminal."""

from __future__ import annotations

import re

from ...redact import redacted
from ...text import printable

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and movements of the cursor
    r"|(?:\x1b[P\]X^_]|[\x90\x9d\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|$)"  # titles, links and the clipboard
    r"|\x1b[ -/]*[0-~]"  # all other escape sequences
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_LONGEST = 300


def plain_line(line: str) -> str:
    """Return a line as a terminal would show it, without colours.

    Text that a carriage return overwrites is left out, as are escape sequences and control characters; other
    unprintable characters are shown as escapes.
    """
    written = [piece for piece in _ESCAPES.sub("", line).split("\r") if piece.strip()]
    return printable(_CONTROL.sub("", written[-1] if written else "").expandtabs())


def plain_lines(text: str) -> str:
    """Return a text of several lines with every line made safe by `plain_line`."""
    return "\n".join(map(plain_line, text.split("\n")))


def in_short(error: BaseException) -> str:
    """Return the first line of an exception's message that is not blank, or else the name of its type.

    Credentials are removed, and a very long line is cut.
    """
    lines = (plain_line(line).strip() for line in str(error).splitlines())
    return shortened(redacted(next(filter(None, lines), type(error).__name__)))


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return the text, cut to at most `longest` characters; a text that was cut ends in an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
