"""Foreign text: logs and messages of jobs, workers and servers, before a terminal shows them. They may be hostile."""

from __future__ import annotations

import re

from ...redact import redacted
from ...text import printable

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, movements of the cursor
    r"|(?:\x1b[P\]X^_]|[\x90\x9d\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|$)"  # titles, links, the clipboard
    r"|\x1b[ -/]*[0-~]"  # all others
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_LONGEST = 300


def plain_line(line: str) -> str:
    """One line as it would look, without colours: what a carriage return writes over is left out, as are escape
    sequences and control characters; other unprintable ones are shown as escapes."""
    written = [piece for piece in _ESCAPES.sub("", line).split("\r") if piece.strip()]
    return printable(_CONTROL.sub("", written[-1] if written else "").expandtabs())


def plain_lines(text: str) -> str:
    """The same of every line."""
    return "\n".join(map(plain_line, text.split("\n")))


def in_short(error: BaseException) -> str:
    """Of an exception's message, without credentials, cut where it is very long; its type where there is no message."""
    lines = (plain_line(line).strip() for line in str(error).splitlines())
    return shortened(redacted(next(filter(None, lines), type(error).__name__)))


def shortened(text: str, longest: int = _LONGEST) -> str:
    """The text, cut to a maximum number of characters. The last character shows whether it was cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
